"""Weights that bitsandbytes rounds to NF4 and FP4, as it stores them.

Run:       python Tools/goldens/nf4.py
Writes:    Tests/Goldens/optim/four-bit.safetensors, four-bit.json
Versions:  requirements.txt (torch 2.15.0, bitsandbytes 0.50.2), its CPU backend
Seeds:     noise(31) of ops.py to the third power, [24, 128]; element i times 2^-(i // 64 % 9); row 5
           is zero, row 7 holds numbers halfway between codes

<case>.weight... are the tensors of a state dict, <case>.values what dequantize_4bit makes of them.
Double-quantised scales are rounded with the arithmetic of bitsandbytes' default backend, to the nearest
code: see optimizers.py. four-bit.json holds the mean absolute errors for 1024 x 1024 normal numbers.
"""

import json

import bitsandbytes.functional as functional
import torch
from ops import noise
from optimizers import ROOT, nearest, save


def double_quantized(absmax):
    """quantize_4bit's second quantisation: index, scales of 256, and what is added."""
    code = functional.create_dynamic_map(True)
    offset = absmax.double().mean().float()
    groups = -(-absmax.numel() // 256)
    indices, scales = torch.empty(absmax.numel(), dtype=torch.uint8), torch.empty(groups)
    nearest(absmax - offset, code, scales, indices, 256)
    state2 = functional.QuantState(absmax=scales, code=code, blocksize=256, dtype=torch.float32)
    return indices, offset, state2


def quantized(weight, kind, nested):
    codes, state = functional.quantize_4bit(weight, quant_type=kind)
    if nested:
        # What the library itself adds may differ in the last bit, by the order of its sum.
        own = functional.quantize_4bit(weight, quant_type=kind, compress_statistics=True)[1]
        indices, offset, state2 = double_quantized(state.absmax)
        assert abs(own.offset - offset) <= 1e-6 * offset.abs()
        assert (own.absmax.int() - indices.int()).abs().max() <= 3
        state = functional.QuantState(
            absmax=indices, shape=state.shape, code=state.code, blocksize=64, quant_type=kind,
            dtype=state.dtype, offset=offset, state2=state2)
    return codes, state


def main():
    torch.set_num_threads(1)
    weight = noise(31, 24, 128) ** 3
    weight *= (2.0 ** -(torch.arange(24 * 128) // 64 % 9).float()).reshape(24, 128)
    weight[5] = 0
    out = {}
    for kind in ("nf4", "fp4"):
        x = weight.clone()
        code, _ = functional.get_4bit_type(kind, device="cpu").sort()
        x[7] = 0
        x[7, 0], x[7, 1:16] = 1, (code[:-1] + code[1:]) / 2
        for nested in (False, True):
            case = kind + (".double" if nested else "")
            codes, state = quantized(x, kind, nested)
            out[f"{case}.weight"] = codes
            for key, value in state.as_dict(packed=True).items():
                out[f"{case}.weight.{key}"] = value
            out[f"{case}.values"] = functional.dequantize_4bit(codes, state)
    save("four-bit", out)
    normal = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(1))
    errors = {}
    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            codes, state = quantized(normal, kind, nested)
            wide = functional.dequantize_4bit(codes, state)
            errors[kind + (".double" if nested else "")] = (normal - wide).abs().mean().item()
    (ROOT / "four-bit.json").write_text(json.dumps({"mean_absolute_error": errors}, indent=1) + "\n")
    print(errors)


if __name__ == "__main__":
    main()
