"""Raw quantised blocks and the float32 values gguf-py reads from them, to the bit.

Run:       python Tools/goldens/blocks.py
Writes:    Tests/Goldens/blocks/<type>.safetensors and blocks/cases.json
Versions:  requirements.txt (gguf 0.19.0, numpy 2.4.6)
Seeds:     SEED plus the position of the type in TYPES

Each file holds, for the two kinds of input,
  quantized.bytes [5, row bytes] U8, quantized.values [5, 512] F32
      smooth weights: quantised by gguf.quants.quantize where it can (not Q4_K, Q5_K, Q6_K, whose
      bytes are random with ordinary scales)
  random.bytes [6, row bytes] U8, random.values [6, 512] F32
      every bit random, so every code and sub-scale occurs; half-precision scales are drawn from
      zero, minus zero, the smallest and the largest subnormal, the smallest normal, one, and the
      largest finite half, of both signs. Nothing is infinite or NaN
Values are what gguf.quants.dequantize gives: float32, one rounding per operation, so the order of
operations matters. cases.json also holds the CRC-32 and SHA-256 of the little-endian float32 bytes
of all 65536 halves and all 65536 bfloat16 patterns, in order of their bits, NaN replaced by
0x7fc00000.
"""

import hashlib
import json
import zlib
from pathlib import Path

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/blocks"
SEED = 300
COLUMNS = 512
TYPES = [Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0,
         Type.Q4_K, Type.Q5_K, Type.Q6_K]
# Byte offsets of the half-precision scales inside one block.
SCALES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
          Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
EXTREMES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x83ff, 0x0400, 0x8400, 0x3c00, 0xbc00,
            0x7bff, 0xfbff]


def random_blocks(kind, rows, generator, extreme):
    """Random bytes with finite scales."""
    width, size = GGML_QUANT_SIZES[kind]
    raw = generator.integers(0, 256, (rows, COLUMNS // width, size), dtype=numpy.uint8)
    if kind in (Type.F16, Type.BF16):
        halves = raw.view("<u2")
        mask = 0x7c00 if kind == Type.F16 else 0x7f80
        halves[(halves & mask) == mask] &= 0xffff ^ (mask & -mask)
        return raw.reshape(rows, -1)
    for offset in SCALES[kind]:
        count = rows * (COLUMNS // width)
        if extreme:
            few = numpy.resize(numpy.array(EXTREMES, dtype="<u2"), count)
            half = generator.permutation(few)
        else:
            half = generator.normal(0, 2e-3, count).astype("<f2").view("<u2")
        field = half.astype("<u2").view(numpy.uint8)
        raw[:, :, offset:offset + 2] = field.reshape(rows, COLUMNS // width, 2)
    return raw.reshape(rows, -1)


def values(raw, kind):
    """Dequantised rows; halves are read by numpy, whose conversion is exact."""
    if kind == Type.F16:
        return raw.view("<f2").astype(numpy.float32)
    with numpy.errstate(over="ignore", invalid="ignore"):
        return dequantize(raw, kind)


def checksums(floats):
    """Checksums of a float32 table whose NaNs have one bit pattern."""
    bits = floats.astype("<f4").view("<u4").copy()
    bits[numpy.isnan(floats)] = 0x7fc00000
    data = bits.tobytes()
    return dict(crc32=f"{zlib.crc32(data):08x}", sha256=hashlib.sha256(data).hexdigest())


def main():
    ROOT.mkdir(parents=True, exist_ok=True)
    report = {}
    for i, kind in enumerate(TYPES):
        generator = numpy.random.default_rng(SEED + i)
        weights = generator.normal(0, 0.05, (5, COLUMNS)).astype(numpy.float32)
        weights[0, :32] = 0  # a block of zeros has scale zero
        weights[1, :32] = 0.25  # a constant block
        if kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
            smooth = random_blocks(kind, 5, generator, extreme=False)
        elif kind == Type.F16:
            smooth = weights.astype("<f2").view(numpy.uint8)
        else:
            smooth = quantize(weights, kind)
        rough = random_blocks(kind, 6, generator, extreme=True)
        tensors = {}
        for name, raw in (("quantized", smooth), ("random", rough)):
            result = values(raw, kind)
            assert result.shape[1] == COLUMNS and numpy.isfinite(result).all(), (kind, name)
            tensors[f"{name}.bytes"] = numpy.ascontiguousarray(raw)
            tensors[f"{name}.values"] = numpy.ascontiguousarray(result, dtype=numpy.float32)
        path = ROOT / f"{kind.name.lower()}.safetensors"
        save_file(dict(sorted(tensors.items())), path)
        report[kind.name] = dict(id=int(kind), blockValues=GGML_QUANT_SIZES[kind][0],
                                 blockBytes=GGML_QUANT_SIZES[kind][1],
                                 maximum=float(abs(tensors["random.values"]).max()))
        print(kind.name, path.stat().st_size, report[kind.name])
    patterns = numpy.arange(65536, dtype="<u2")
    report["tables"] = {
        "F16": checksums(patterns.view("<f2").astype(numpy.float32)),
        "BF16": checksums((patterns.astype("<u4") << 16).view("<f4")),
    }
    (ROOT / "cases.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
