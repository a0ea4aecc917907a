"""The tiny checkpoints of models.py as GGUF, written by llama.cpp's own converter classes.

Run:       python Tools/goldens/models_gguf.py --llama-cpp FOLDER     (after models.py)
           FOLDER holds convert_hf_to_gguf.py; here vendor/llama.cpp of the source archive of
           llama-cpp-python 0.3.36 (pip download --no-binary :all: --no-deps)
Writes:    Tests/Goldens/models/gguf/<case>.gguf, gguf/cases.json, and
           gguf/<case>.golden.safetensors where the GGUF means something else than the checkpoint
Versions:  requirements.txt
Seeds:     none; weights are those of models.py

Only set_vocab is replaced: a 96-token vocabulary has no pre-tokenizer hash the converter knows.
Logits are those of models/<case>/golden.safetensors unless cases.json names another file.
Before it accepts a file this script reads it back, undoes the Q/K permutation of the `llama`
architecture, and requires every tensor to equal the checkpoint's.
The files are ignored by the repository's *.gguf rule: add them with `git add --force`.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file

import models

OUT = models.ROOT / "gguf"
# case: (file type on disk, key of the pre-tokenizer)
CASES = {
    "llama-gqa": ("f32", "smollm"),
    "llama-tied": ("bf16", "smollm"),
    "llama-bias": ("bf16", "smollm"),
    "llama-head-dim": ("bf16", "smollm"),
    "rope-llama3": ("bf16", "smollm"),
    "rope-linear": ("bf16", "smollm"),
    "rope-yarn": ("bf16", "smollm"),
    "mistral-window": ("bf16", "smollm"),
    "qwen2": ("bf16", "qwen2"),
    "qwen3": ("bf16", "qwen2"),
}
MERGES = ["h e", "Ġ t", "Ġt he", "i n", "e r", "Ġ a"]


def vocabulary():
    """Three control tokens, newline, space, 85 printable characters, six merged pieces."""
    pieces = ["<unk>", "<|im_start|>", "<|im_end|>", "Ċ", "Ġ"]
    pieces += [chr(c) for c in range(ord("!"), ord("!") + 94) if chr(c) not in "^`{|}~\\@$"]
    pieces += [merge.replace(" ", "") for merge in MERGES]
    assert len(pieces) == models.VOCABULARY == len(set(pieces)), len(pieces)
    return pieces


def convert(name, outtype, pre, conversion, gguf):
    folder, path = models.ROOT / name, OUT / f"{name}.gguf"
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    kinds = {"f32": gguf.LlamaFileType.ALL_F32, "bf16": gguf.LlamaFileType.MOSTLY_BF16}
    with torch.inference_mode():
        converter = conversion.get_model_class(architecture)(
            folder, kinds[outtype], path, eager=True, model_name=name)

        def set_vocab():
            writer = converter.gguf_writer
            pieces = vocabulary()
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(pre)
            writer.add_token_list(pieces)
            writer.add_token_types([3 if i < 3 else 1 for i in range(len(pieces))])
            writer.add_token_merges(MERGES)
            writer.add_bos_token_id(1)
            writer.add_eos_token_id(2)
            writer.add_unk_token_id(0)
            writer.add_pad_token_id(2)
            writer.add_add_bos_token(False)

        converter.set_vocab = set_vocab
        converter.write()
    return path


def unpermuted(rows, heads):
    """Interleaved pairs (2i, 2i+1) back to halves (i, i + D/2), per head."""
    shape = rows.shape
    return rows.reshape(heads, shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(shape)


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
       "lm_head.weight": "output.weight"}


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{kind}"


def check(name, path, gguf):
    """Compares every tensor with the checkpoint; returns metadata and the extra tensors."""
    from gguf.quants import dequantize
    reader = gguf.GGUFReader(path)
    stored = {t.name: dequantize(t.data, t.tensor_type).reshape([int(n) for n in t.shape[::-1]])
              for t in reader.tensors}
    types = sorted({t.tensor_type.name for t in reader.tensors})
    config = json.loads((models.ROOT / name / "config.json").read_text())
    checkpoint = load_file(models.ROOT / name / "model.safetensors")
    is_llama = reader.fields["general.architecture"].contents() == "llama"
    for key, value in checkpoint.items():
        found = stored.pop(gguf_name(key))
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if is_llama and part in key:
                found = unpermuted(found, config[heads])
        assert numpy.array_equal(found, value.float().numpy()), f"{name}: {key} differs"
    fields = {key: field.contents() for key, field in reader.fields.items()
              if not key.startswith(("tokenizer.", "GGUF."))}
    return types, fields, {key: value.ravel().tolist() for key, value in stored.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama-cpp", type=Path, required=True)
    root = parser.parse_args().llama_cpp
    sys.path[:0] = [str(root), str(root / "gguf-py")]
    import conversion
    import gguf
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    cases = {}
    for name, (outtype, pre) in CASES.items():
        path = convert(name, outtype, pre, conversion, gguf)
        types, fields, extra = check(name, path, gguf)
        golden = f"{name}/golden.safetensors"
        if name == "mistral-window":
            # The converter writes no window for MistralForCausalLM: this file means full attention.
            folder = models.ROOT / name
            config = models.MistralConfig.from_pretrained(folder, sliding_window=None)
            before = load_file(folder / "golden.safetensors")
            result = {}
            for i in range(len(models.LENGTHS)):
                ids = before[f"ids.{i}"]
                result[f"ids.{i}"] = ids
                model = models.load(folder, config=config)
                result[f"logits.{i}"] = model(input_ids=ids[None].long()).logits[0].contiguous()
            golden = f"gguf/{name}.golden.safetensors"
            save_file(result, models.ROOT / golden)
        cases[name] = dict(golden=golden, types=types, metadata=fields, extraTensors=extra)
        print(name, path.stat().st_size, cases[name])
    (OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
