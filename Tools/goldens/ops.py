"""Results of the basic operations, computed by PyTorch in float64 and rounded once to float32.

Run:       python Tools/goldens/ops.py
Writes:    Tests/Goldens/ops/{norm,activation,rope,linear,attention,softmax}.safetensors
Versions:  requirements.txt (torch 2.15.0, safetensors 0.8.0)
Seeds:     one number per input, in the calls below; `cases.json` lists those of absent inputs

Inputs are float32 numbers, so the references see exactly what an implementation sees. Small
inputs are stored; the large ones (linear, attention) are not: element i of the input with seed s
is noise(s)[i], and a reader makes the same numbers with 32-bit integer arithmetic:

  h = i * 0x9e3779b9 + s * 0x85ebca6b          (all modulo 2^32; MurmurHash3's finaliser follows)
  h ^= h >> 16;  h *= 0x85ebca6b;  h ^= h >> 13;  h *= 0xc2b2ae35;  h ^= h >> 16
  value = (h >> 8) * 2^-23 - 1                 (exact in float32, uniform in [-1, 1))

`noise.1` in linear.safetensors is the first 64 elements for seed 1, to check the recipe against.
"""

import json
import math
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/ops"


def noise(seed, *shape):
    """Uniform numbers in [-1, 1), the same on every machine."""
    count = math.prod(shape)
    mask = numpy.uint64(0xffffffff)
    h = (numpy.arange(count, dtype=numpy.uint64) * numpy.uint64(0x9e3779b9)
         + numpy.uint64(seed * 0x85ebca6b & 0xffffffff)) & mask
    h ^= h >> numpy.uint64(16)
    h = h * numpy.uint64(0x85ebca6b) & mask
    h ^= h >> numpy.uint64(13)
    h = h * numpy.uint64(0xc2b2ae35) & mask
    h ^= h >> numpy.uint64(16)
    values = (h >> numpy.uint64(8)).astype(numpy.float32) * numpy.float32(2.0 ** -23) - 1
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def save(name, tensors):
    tensors = {key: tensors[key].contiguous() for key in sorted(tensors)}
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
    save_file(tensors, ROOT / f"{name}.safetensors")
    print(name, (ROOT / f"{name}.safetensors").stat().st_size, len(tensors))


def norms():
    """rms.<width>.<eps> and layer.<width>.<eps> of x.<width>; row 3 is tiny, so eps matters."""
    out = {}
    for i, width in enumerate((576, 64, 33)):
        x = 3 * noise(10 + i, 4, width)
        x[3] *= 1e-3
        weight, bias = 1 + 0.5 * noise(20 + i, width), noise(30 + i, width)
        out |= {f"x.{width}": x, f"weight.{width}": weight, f"bias.{width}": bias}
        wide, scale, shift = x.double(), weight.double(), bias.double()
        for eps in (1e-5, 1e-6):
            root = (wide.square().mean(-1, keepdim=True) + eps).rsqrt()
            out[f"rms.{width}.{eps:.0e}"] = (wide * root * scale).float()
            layer = torch.nn.functional.layer_norm(wide, (width,), scale, shift, eps)
            out[f"layer.{width}.{eps:.0e}"] = layer.float()
    save("norm", out)


def activations():
    """swiglu = silu(gate) * up; exp and silu over grids that reach both ends of float32."""
    gate, up = 8 * noise(40, 3, 100), 2 * noise(41, 3, 100)
    out = {"gate": gate, "up": up,
           "swiglu": (torch.nn.functional.silu(gate.double()) * up.double()).float()}
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-8, -1e-8, 88.72, -87.33, -88.0, -95.0, -103.9,
                            -104.5, -1000.0, 0.34657, -0.34657, 0.6931472, -0.6931472])
    grid = torch.cat([special, torch.linspace(-104, 88.5, 771), torch.linspace(-1, 1, 201)])
    out["exp.x"], out["exp"] = grid, grid.double().exp().float()
    grid = torch.cat([special, torch.linspace(-100, 100, 401), torch.linspace(-6, 6, 241)])
    out["silu.x"], out["silu"] = grid, torch.nn.functional.silu(grid.double()).float()
    save("activation", out)


def rope():
    """x [positions, 2 heads, D]; half pairs (i, i + D/2), interleaved pairs (2i, 2i + 1).

    The angle is position * theta^(-2i/D), all in float64. A float32 frequency is off by up to
    2^-24 relatively, which is several 0.001 rad at position 100000: `rounded.*` uses frequencies rounded to
    float32 first (as checkpoints' reference code does) and then exact angles.
    """
    positions = torch.tensor([0, 1, 7, 2047, 32767, 100000])
    out = {"positions": positions.int()}
    for width, theta in ((16, 10000.0), (64, 100000.0), (128, 1000000.0)):
        key = f"{width}.{theta:.0f}"
        x = noise(50 + width, len(positions), 2, width)
        exact = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        out[f"x.{width}"] = x
        for name, frequency in (("exact", exact), ("rounded", exact.float().double())):
            angle = (positions.double()[:, None] * frequency)[:, None, :]
            cos, sin = angle.cos(), angle.sin()
            a, b = x.double()[..., : width // 2], x.double()[..., width // 2:]
            half = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
            a, b = x.double()[..., 0::2], x.double()[..., 1::2]
            paired = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
            out[f"{name}.half.{key}"], out[f"{name}.pairs.{key}"] = half.float(), paired.float()
    save("rope", out)


def linear(seeds):
    """y.<M>.<N>.<K> = x W^T: x is noise(1)[: M * K] as [M, K], W is noise(2)[: N * K] as [N, K]."""
    out = {"noise.1": noise(1, 64)}
    seeds["linear"] = dict(x=1, weight=2)
    for k in (32, 576, 1536):
        for m in (1, 3, 17):
            for n in (16, 33, 100):
                y = noise(1, m, k).double() @ noise(2, n, k).double().T
                out[f"y.{m}.{n}.{k}"] = y.float()
    save("linear", out)


def slopes(heads):
    """ALiBi slopes (Press et al., arXiv:2108.12409), including the rule for head counts that are
    not powers of two: the powers of the power of two below, then every second one of twice that."""
    below = 2 ** int(math.log2(heads))
    first = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    twice = [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * (heads - below), 2)]
    return torch.tensor(first + twice, dtype=torch.float64)


def attend(q, k, v, window=None, alibi=None):
    """Causal attention, q [T, H, D] at the last T of S positions, k and v [S, KVH, D]."""
    t, h, d = q.shape
    s, group = k.shape[0], h // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = torch.einsum("thd,shd->hts", q, k) / math.sqrt(d)
    i = torch.arange(s - t, s)[:, None]
    j = torch.arange(s)[None]
    if alibi is not None:
        scores = scores - alibi[:, None, None] * (i - j)
    hidden = j > i
    if window is not None:
        hidden = hidden | (j <= i - window)
    scores = scores.masked_fill(hidden, -math.inf)
    return torch.einsum("hts,shd->thd", scores.softmax(-1), v)


def attention(seeds):
    """Heads h use key/value head h / (H / KVH). q is 4 * noise, so that the softmax is peaked."""
    out = {}
    # name: T queries, S positions, H, KVH, D, window, ALiBi, seed of q (k and v follow)
    cases = {
        "causal.64": (70, 70, 6, 2, 64, None, False, 60),
        "window.64": (24, 24, 6, 2, 64, 7, False, 63),
        "alibi.64": (24, 24, 6, 2, 64, None, True, 66),
        "window-alibi.32": (24, 24, 4, 1, 32, 5, True, 69),
        "causal.32": (20, 20, 4, 4, 32, None, False, 72),
        "causal.128": (9, 9, 4, 2, 128, None, False, 75),
        "decode.64": (1, 70, 6, 2, 64, None, False, 78),
        "decode-window.64": (1, 70, 6, 2, 64, 16, False, 78),
        "continue.64": (5, 70, 6, 2, 64, None, False, 81),
    }
    for name, (t, s, h, kv, d, window, alibi, seed) in cases.items():
        q, k, v = 4 * noise(seed, t, h, d), noise(seed + 1, s, kv, d), noise(seed + 2, s, kv, d)
        slope = slopes(h) if alibi else None
        y = attend(q.double(), k.double(), v.double(), window, slope).float()
        out[name] = y
        if alibi:
            out[f"slopes.{h}"] = slope.float()
        seeds.setdefault("attention", {})[name] = dict(
            queries=t, positions=s, heads=h, keyHeads=kv, width=d, window=window, alibi=alibi,
            query=seed, key=seed + 1, value=seed + 2, queryScale=4)
    save("attention", out)


def softmaxes():
    """Rows of several scales; masked entries are given as -1e30, not infinity."""
    x = torch.stack([noise(90, 97), 30 * noise(91, 97), 1e-3 * noise(92, 97), 80 + noise(93, 97)])
    x[1, 10:40] = -1e30
    logits = 12 * noise(94, 1000)
    wide = logits.double()
    save("softmax", {
        "x": x, "softmax": x.double().softmax(-1).float(),
        "logits": logits, "logsumexp": wide.logsumexp(-1, keepdim=True).float(),
        "logsoftmax": wide.log_softmax(-1).float(),
    })


def main():
    torch.set_num_threads(1)
    ROOT.mkdir(parents=True, exist_ok=True)
    seeds = {}
    norms()
    activations()
    rope()
    linear(seeds)
    attention(seeds)
    softmaxes()
    (ROOT / "cases.json").write_text(json.dumps(seeds, indent=1) + "\n")


if __name__ == "__main__":
    main()
