"""Gradients of the basic operations, by PyTorch's autograd in float64, rounded once to float32.

Run:       python Tools/goldens/gradients.py
Writes:    Tests/Goldens/gradients/{rows,linear,attention}.safetensors, cases.json
Versions:  requirements.txt (torch 2.15.0, safetensors 0.8.0)
Seeds:     one number per input, in the calls below; `cases.json` lists those of attention

Inputs are `noise(seed)` as in `ops.py`, so a reader makes the same numbers; results are stored.
`dy` is the gradient that comes in. Names end in what the gradient is of.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

from ops import attend, noise, slopes

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/gradients"


def save(name, tensors):
    tensors = {key: tensors[key].detach().float().contiguous() for key in sorted(tensors)}
    assert all(torch.isfinite(t).all() for t in tensors.values())
    save_file(tensors, ROOT / f"{name}.safetensors")
    print(name, (ROOT / f"{name}.safetensors").stat().st_size, len(tensors))


def gradients(function, inputs, dy):
    """The result in float64, and its gradients for every input."""
    leaves = [x.double().requires_grad_() for x in inputs]
    y = function(*leaves)
    return y, torch.autograd.grad(y, leaves, dy.double())


def norms(out):
    """Rows of 1, 17, 64 and 100 elements; heads of 24 in rows of 72."""
    for width in (1, 17, 64, 100):
        x, dy = 3 * noise(110, 5, width), noise(111, 5, width)
        weight, bias = 1 + 0.5 * noise(112, width), noise(113, width)

        def rms(x, weight):
            return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * weight

        def layer(x, weight, bias):
            return torch.nn.functional.layer_norm(x, (width,), weight, bias, 1e-5)

        _, (dx, dw) = gradients(rms, (x, weight), dy)
        out |= {f"rms.{width}.x": dx, f"rms.{width}.weight": dw}
        _, (dx, dw, db) = gradients(layer, (x, weight, bias), dy)
        out |= {f"layer.{width}.x": dx, f"layer.{width}.weight": dw, f"layer.{width}.bias": db}
    x, dy, weight = noise(114, 5, 3, 24), noise(115, 5, 3, 24), 1 + 0.5 * noise(116, 24)
    _, (dx, dw) = gradients(
        lambda x, weight: x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weight,
        (x, weight), dy)
    out |= {"rms.heads.x": dx, "rms.heads.weight": dw}


def activations(out):
    """swiglu and softmax of noise; gelu, both forms, of a grid from -12 to 12."""
    gate, up, dy = 8 * noise(120, 3, 50), 2 * noise(121, 3, 50), noise(122, 3, 50)
    _, (dgate, dup) = gradients(lambda g, u: torch.nn.functional.silu(g) * u, (gate, up), dy)
    out |= {"swiglu.gate": dgate, "swiglu.up": dup}
    x, dy = 6 * noise(123, 3, 77), noise(124, 3, 77)
    y, (dx,) = gradients(lambda x: x.softmax(-1), (x,), dy)
    out |= {"softmax.y": y, "softmax.x": dx}
    grid = torch.cat([torch.linspace(-12, 12, 385), torch.tensor([0.0, 1e-4, -1e-4, 30, -30])])
    dy = 1 + noise(125, len(grid))
    out["gelu.grid"] = grid
    out["gelu.dy"] = dy
    # `torch.nn.functional.gelu` sums 1 and -1 in its lower tail; the same functions without that.
    def exact(x):
        return x * torch.erfc(-x / math.sqrt(2)) / 2

    def tanh(x):
        return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))

    for form, name in ((exact, "exact"), (tanh, "tanh")):
        middle = grid[grid.abs() < 3].double()
        torch.testing.assert_close(form(middle), torch.nn.functional.gelu(
            middle, approximate=name.replace("exact", "none")), rtol=1e-12, atol=1e-15)
        y, (dx,) = gradients(form, (grid,), dy)
        out |= {f"gelu.{name}.y": y, f"gelu.{name}.x": dx}


def rotations(out):
    """Rows at positions 0, 3, 50; two heads of 12, of which the first 8 elements turn."""
    x, dy = noise(130, 3, 2, 12), noise(131, 3, 2, 12)
    angle = torch.tensor([0.0, 3.0, 50.0]).double()[:, None] * 100.0 ** (-torch.arange(4) / 4)
    cos, sin = 1.25 * angle.cos().float(), 1.25 * angle.sin().float()
    out |= {"rope.cosine": cos, "rope.sine": sin}
    cos, sin = cos.double()[:, None], sin.double()[:, None]

    def half(x):
        a, b = x[..., :4], x[..., 4:8]
        return torch.cat([a * cos - b * sin, b * cos + a * sin, x[..., 8:]], -1)

    def pairs(x):
        a, b = x[..., 0:8:2], x[..., 1:8:2]
        turned = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
        return torch.cat([turned, x[..., 8:]], -1)

    out["rope.half.x"] = gradients(half, (x,), dy)[1][0]
    out["rope.pairs.x"] = gradients(pairs, (x,), dy)[1][0]


def linear():
    """x.<T>, weight.<T>: of two weights [33, 20] and [7, 20] that share an input [T, 20]."""
    out = {}
    for tokens in (1, 2, 17, 33):
        x = noise(140, tokens, 20)
        weights = noise(141, 33, 20), noise(142, 7, 20)
        dy = noise(143, tokens, 33), noise(144, tokens, 7)
        y, (dx, first, second) = gradients(
            lambda x, a, b: torch.cat([x @ a.T, x @ b.T], -1), (x, *weights), torch.cat(dy, -1))
        out |= {f"{tokens}.x": dx, f"{tokens}.first": first, f"{tokens}.second": second}
    save("linear", out)


def attention(seeds):
    out = {}
    # name: lengths of the segments, H, KVH, D, window, ALiBi, seed of q (k, v and dy follow)
    cases = {
        "one": ([1], 2, 1, 8, None, False, 150),
        "two": ([2], 3, 3, 6, None, False, 154),
        "seventeen": ([17], 4, 2, 20, None, False, 158),
        "thirty-three": ([33], 2, 1, 16, None, False, 162),
        "segments": ([5, 33, 1, 70], 6, 2, 8, None, False, 166),
        "window": ([45, 3], 4, 2, 8, 7, False, 170),
        "wide-window": ([70], 2, 1, 8, 40, False, 174),
        "alibi": ([40], 6, 3, 8, None, True, 178),
        "window-alibi": ([37], 4, 1, 12, 5, True, 182),
        "heads.64": ([20], 3, 1, 64, None, False, 186),
    }
    for name, (lengths, h, kv, d, window, alibi, seed) in cases.items():
        t = sum(lengths)
        q, k, v = 4 * noise(seed, t, h, d), noise(seed + 1, t, kv, d), noise(seed + 2, t, kv, d)
        dy = noise(seed + 3, t, h, d)
        slope = slopes(h) if alibi else None

        def whole(q, k, v):
            parts = zip(q.split(lengths), k.split(lengths), v.split(lengths))
            return torch.cat([attend(*part, window, slope) for part in parts])

        y, (dq, dk, dv) = gradients(whole, (q, k, v), dy)
        out |= {f"{name}.y": y, f"{name}.q": dq, f"{name}.k": dk, f"{name}.v": dv}
        if alibi:
            out[f"slopes.{h}"] = slope
        seeds[name] = dict(lengths=lengths, heads=h, keyHeads=kv, width=d, window=window,
                           alibi=alibi, query=seed)
    save("attention", out)


def main():
    torch.set_num_threads(1)
    ROOT.mkdir(parents=True, exist_ok=True)
    rows, seeds = {}, {}
    norms(rows)
    activations(rows)
    rotations(rows)
    save("rows", rows)
    linear()
    attention(seeds)
    (ROOT / "cases.json").write_text(json.dumps(seeds, indent=1) + "\n")


if __name__ == "__main__":
    main()
