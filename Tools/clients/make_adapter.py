#!/usr/bin/env python3
"""Writes a small valid LoRA adapter in PEFT's layout, with random weights, for trying things out.

Run:       python3 Tools/clients/make_adapter.py OUT_DIR [--seed N] [--rank R] [--scale S]
Writes:    OUT_DIR/adapter_config.json, OUT_DIR/adapter_model.safetensors
Needs:     Python 3.9 or newer, nothing else

The weights follow from --seed, by default from OUT_DIR's name, so that two names are two adapters.
By default it fits SmolLM2-135M and updates q_proj and v_proj of every layer. The weights are noise:
answers change visibly and mean nothing. --scale is the size of an update compared with what it is
added to: at 0.2 text stays text, from about 1 on it falls apart.
"""

import argparse
import json
import random
import struct
import zlib
from pathlib import Path

# Sizes of SmolLM2-135M; a projection's widths are [out, in].
SMOLLM2 = dict(layers=30, width=576, hidden=1536, key_value=192)


def projections(layers, width, hidden, key_value):
    """Name and widths (out, in) of the projections of one layer."""
    return {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (key_value, width),
        "self_attn.v_proj": (key_value, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (hidden, width),
        "mlp.up_proj": (hidden, width),
        "mlp.down_proj": (width, hidden),
    }


def noise(generator, count, deviation):
    """Float32 numbers, little-endian."""
    return struct.pack(f"<{count}f", *(generator.gauss(0, deviation) for _ in range(count)))


def tensors(sizes, targets, rank, scale, generator):
    """Names, shapes and bytes: B A has elements of about 1 / sqrt(in), as weights have."""
    for layer in range(sizes["layers"]):
        for name, (out, width) in projections(**sizes).items():
            if name.split(".")[1] not in targets:
                continue
            path = f"base_model.model.model.layers.{layer}.{name}"
            down = noise(generator, rank * width, width ** -0.5)
            up = noise(generator, out * rank, scale * rank ** -0.5)
            yield f"{path}.lora_A.weight", [rank, width], down
            yield f"{path}.lora_B.weight", [out, rank], up


def safetensors(parts):
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, shape, content in parts:
        header[name] = dict(
            dtype="F32", shape=shape, data_offsets=[len(data), len(data) + len(content)])
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def main():
    parser = argparse.ArgumentParser(description="Write a random LoRA adapter in PEFT's layout.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder to create")
    parser.add_argument(
        "--seed", type=int, help="of the weights; by default a checksum of OUT_DIR's name")
    parser.add_argument("--rank", type=int, default=8, help="rank of the update; %(default)s")
    parser.add_argument(
        "--scale", type=float, default=0.2,
        help="size of the update compared with what it is added to; %(default)s")
    parser.add_argument(
        "--targets", default="q_proj,v_proj",
        help="projections with commas between, or 'all'; %(default)s")
    meanings = dict(
        layers="layers of the model", width="width of the model",
        hidden="width inside of the feed-forward part", key_value="width of keys and values")
    for name, size in SMOLLM2.items():
        parser.add_argument(
            "--" + name.replace("_", "-"), type=int, default=size,
            help=meanings[name] + "; %(default)s")
    options = parser.parse_args()
    sizes = {name: getattr(options, name) for name in SMOLLM2}
    known = [name.split(".")[1] for name in projections(**sizes)]
    targets = known if options.targets == "all" else options.targets.split(",")
    for name in targets:
        if name not in known:
            parser.error(f"'{name}' is none of {', '.join(known)}")
    if options.rank < 1:
        parser.error("--rank is below 1")
    options.out.mkdir(parents=True, exist_ok=True)
    config = dict(
        peft_type="LORA", task_type="CAUSAL_LM", base_model_name_or_path=None, r=options.rank,
        lora_alpha=options.rank, lora_dropout=0.0, bias="none", fan_in_fan_out=False,
        inference_mode=True, target_modules=targets)
    (options.out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    seed = options.seed
    if seed is None:
        seed = zlib.crc32(options.out.resolve().name.encode())
    generator = random.Random(seed)
    parts = tensors(sizes, targets, options.rank, options.scale, generator)
    (options.out / "adapter_model.safetensors").write_bytes(safetensors(parts))


if __name__ == "__main__":
    main()
