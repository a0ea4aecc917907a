"""Tiny random checkpoints in the Hugging Face layout, with the logits transformers computes.

Run:       python Tools/goldens/models.py
Writes:    Tests/Goldens/models/<case>/{config.json, config.legacy.json?, model*.safetensors,
           golden.safetensors} and Tests/Goldens/models/cases.json
Versions:  requirements.txt (torch 2.15.0, transformers 5.23.0, safetensors 0.8.0)
Seeds:     one per case, in CASES; ids and weights come from one torch.Generator per case

golden.safetensors of a case holds
  ids.0 [13], ids.1 [47]             I32, two sequences; each is run alone (batch 1, no padding)
  logits.0 [13, V], logits.1 [47, V] F32, one whole forward each, by a freshly loaded model
  inv_freq [D/2], attention_scaling [1]   the rotary table as the model is built
  cos, sin [47, D/2]                 what multiplies q and k in the whole forward of ids.1
                                     (includes attention_scaling)
and, where decoding token by token gives other logits than the whole forward (dynamic NTK),
  decode.start [1]                   I32, tokens of ids.1 in the first (prefill) call
  decode.logits [47 - start, V]      logits row after each later token, one call per token
  decode.inv_freq [47 - start, D/2]  the frequencies used in that call
For every other case this script fails if decoding and the whole forward differ by over 2e-4.

Weights are larger than the usual initialisation so that logits span several units and a wrong
head, bias, norm or frequency changes them visibly. All arithmetic is float32, eager attention.
Weights stored as BF16 or F16 are exact: logits are computed after reading them back as float32.
"""

import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/models"
VOCABULARY = 96
LENGTHS = (13, 47)
PREFILL = 20
BASE = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_id=2,
    tie_word_embeddings=False,
)


def rope(kind, theta=100.0, **parameters):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **parameters))


# Two heads of width 16 give eight frequencies; theta 100 spreads their wavelengths over 6...350
# tokens, so that an original context of 32 falls in the middle of every ramp.
ROPE = dict(num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True)
YARN = dict(factor=4.0, original_max_position_embeddings=32)

# name: (seed, config class, changes to BASE, dtype on disk, what the case is for)
CASES = {
    "llama-mha": (101, LlamaConfig, dict(num_key_value_heads=4, rms_norm_eps=1e-5), "bf16",
                  "as many key/value heads as heads; epsilon 1e-5"),
    "llama-gqa": (102, LlamaConfig, dict(), "f32", "grouped-query attention, 4 heads on 2"),
    "llama-mqa": (103, LlamaConfig, dict(num_key_value_heads=1), "bf16",
                  "one key/value head; sharded: several files and model.safetensors.index.json"),
    "llama-tied": (104, LlamaConfig, dict(tie_word_embeddings=True), "bf16",
                   "no lm_head.weight in the file: the embedding is the output projection"),
    "llama-bias": (105, LlamaConfig, dict(attention_bias=True, mlp_bias=True), "bf16",
                   "attention_bias adds biases to q, k, v and o; mlp_bias to gate, up and down"),
    "llama-head-dim": (106, LlamaConfig, dict(head_dim=16), "bf16",
                       "head_dim 16 although hidden_size / heads is 8"),
    "llama-f16": (108, LlamaConfig, dict(rms_norm_eps=1e-5), "f16", "weights on disk are F16"),
    "mistral-window": (109, MistralConfig, dict(sliding_window=8), "bf16",
                       "every layer sees the last 8 tokens, itself included"),
    "mistral-full": (110, MistralConfig, dict(sliding_window=None, head_dim=16), "bf16",
                     "sliding_window null: full attention; head_dim 16"),
    "qwen2": (111, Qwen2Config, dict(), "bf16", "biases on q, k and v, none on o"),
    "qwen2-window": (112, Qwen2Config,
                     dict(use_sliding_window=True, sliding_window=8, max_window_layers=1), "bf16",
                     "layers from max_window_layers on are windowed: layer 0 full, layer 1 window 8"),
    "qwen2-window-off": (113, Qwen2Config,
                         dict(use_sliding_window=False, sliding_window=8, max_window_layers=1,
                              tie_word_embeddings=True), "bf16",
                         "a window in config.json that use_sliding_window false turns off"),
    "qwen3": (114, Qwen3Config, dict(head_dim=16), "bf16",
              "RMS norm of each q and k head before rope; head_dim 16"),
    "qwen3-tied": (115, Qwen3Config, dict(head_dim=16, tie_word_embeddings=True), "bf16",
                   "qwen3 with tied embeddings"),
    "rope-default": (201, LlamaConfig, ROPE | rope("default"), "bf16", "plain rope, theta 100"),
    "rope-linear": (201, LlamaConfig, ROPE | rope("linear", factor=4.0), "bf16",
                    "positions divided by 4"),
    "rope-ntk": (201, LlamaConfig, ROPE | rope("default", theta=100.0 * 4.0 ** (16 / 14)), "bf16",
                 "static NTK-aware scaling by 4: plain rope, theta multiplied by 4^(D/(D-2))"),
    "rope-dynamic": (201, LlamaConfig,
                     ROPE | rope("dynamic", factor=4.0) | dict(max_position_embeddings=32), "bf16",
                     "dynamic NTK: theta depends on the length once it passes "
                     "max_position_embeddings; decoding differs from the whole forward"),
    "rope-yarn": (201, LlamaConfig, ROPE | rope("yarn", **YARN), "bf16",
                  "yarn with default betas; attention scaling 0.1 ln(4) + 1"),
    "rope-yarn-betas": (201, LlamaConfig,
                        ROPE | rope("yarn", beta_fast=4.0, beta_slow=0.5, **YARN), "bf16",
                        "yarn with other betas"),
    "rope-yarn-mscale": (201, LlamaConfig,
                         ROPE | rope("yarn", mscale=1.0, mscale_all_dim=0.5, **YARN), "bf16",
                         "attention scaling m(mscale) / m(mscale_all_dim), m(s) = 0.1 s ln(4) + 1"),
    "rope-yarn-mscale-only": (201, LlamaConfig, ROPE | rope("yarn", mscale=0.5, **YARN), "bf16",
                              "mscale without mscale_all_dim is ignored by transformers"),
    "rope-yarn-attention": (201, LlamaConfig,
                            ROPE | rope("yarn", attention_factor=0.75, **YARN), "bf16",
                            "attention_factor given: used as it is"),
    "rope-yarn-untruncated": (201, LlamaConfig,
                              ROPE | rope("yarn", beta_fast=2.0, truncate=False, **YARN), "bf16",
                              "truncate false: the ramp's ends are not rounded to whole dimensions"),
    "rope-llama3": (201, LlamaConfig,
                    ROPE | rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                original_max_position_embeddings=32), "bf16",
                    "llama 3.1 scaling: one frequency kept, two blended, five divided"),
}
SHARDED = {"llama-mqa"}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def fill(model, generator):
    """Draws every parameter: norms around 1, biases and matrices with standard deviation 0.3."""
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = name.endswith("norm.weight")
        parameter.data = 1 + 0.2 * noise if is_norm else 0.3 * noise


def legacy(config):
    """The same configuration as transformers 4 wrote it: rope_theta, rope_scaling, torch_dtype."""
    old = dict(config)
    parameters = dict(old.pop("rope_parameters"))
    old["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    # Both spellings of the kind occur in published checkpoints.
    key = "type" if kind in ("linear", "dynamic") else "rope_type"
    old["rope_scaling"] = None if kind == "default" else {key: kind} | parameters
    old["torch_dtype"] = old.pop("dtype")
    old["transformers_version"] = "4.45.0"
    old.pop("layer_types", None)
    return old


def load(folder, config=None):
    """Reads a checkpoint afresh: dynamic rope keeps state from call to call."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", config=config)
    return model.eval()


@torch.no_grad()
def whole(folder, ids):
    return load(folder)(input_ids=ids[None].long()).logits[0]


@torch.no_grad()
def decode(folder, ids):
    """Prefills the first tokens, then one call per token with transformers' own cache."""
    model, rows, frequencies = load(folder), [], []
    out = model(input_ids=ids[None, :PREFILL].long(), use_cache=True)
    for t in range(PREFILL, len(ids)):
        out = model(input_ids=ids[None, t:t + 1].long(), use_cache=True,
                    past_key_values=out.past_key_values)
        rows.append(out.logits[0, 0])
        frequencies.append(model.model.rotary_emb.inv_freq.clone())
    return torch.stack(rows), torch.stack(frequencies)


def make(name, seed, family, changes, dtype, purpose):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(3, VOCABULARY, (n,), generator=generator) for n in LENGTHS]
    model = AutoModelForCausalLM.from_config(family(**(BASE | changes)))
    fill(model, generator)
    model.to(DTYPES[dtype]).save_pretrained(
        folder, max_shard_size="14KB" if name in SHARDED else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name.startswith("rope-") and name != "rope-default":
        # The rope cases differ in config.json only; links, as in the hub's own cache, save space.
        weights, shared = folder / "model.safetensors", "../rope-default/model.safetensors"
        assert weights.read_bytes() == (folder / shared).read_bytes()
        weights.unlink()
        weights.symlink_to(shared)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.legacy.json").write_text(json.dumps(legacy(config), indent=2) + "\n")

    fresh = load(folder).model.rotary_emb
    golden = {"inv_freq": fresh.inv_freq.clone(),
              "attention_scaling": torch.tensor([fresh.attention_scaling], dtype=torch.float32)}
    for i, sequence in enumerate(ids):
        golden[f"ids.{i}"] = sequence.int()
        golden[f"logits.{i}"] = whole(folder, sequence)
    half = fresh.inv_freq.numel()
    cos, sin = fresh(torch.zeros(1), torch.arange(LENGTHS[1])[None])
    golden["cos"], golden["sin"] = cos[0, :, :half].clone(), sin[0, :, :half].clone()

    rows, frequencies = decode(folder, ids[1])
    gap = (rows - golden["logits.1"][PREFILL:]).abs().max().item()
    if gap > 2e-4:
        assert name == "rope-dynamic", f"{name}: decoding is off by {gap}"
        golden["decode.start"] = torch.tensor([PREFILL], dtype=torch.int32)
        golden["decode.logits"], golden["decode.inv_freq"] = rows, frequencies
    old = family.from_dict(json.loads((folder / "config.legacy.json").read_text()))
    again = load(folder, config=old)(input_ids=ids[1][None]).logits[0]
    assert torch.equal(again, golden["logits.1"]), f"{name}: legacy configuration differs"

    save_file({k: golden[k].contiguous() for k in sorted(golden)}, folder / "golden.safetensors")
    logits = golden["logits.1"]
    return dict(purpose=purpose, seed=seed, stored=dtype, decodeDiffers="decode.logits" in golden,
                decodeGap=float(f"{gap:.1e}"),
                logitDeviation=round(logits.std().item(), 3),
                logitMaximum=round(logits.abs().max().item(), 3))


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    ROOT.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, case in CASES.items():
        cases[name] = make(name, *case)
        print(f"{name:24}", cases[name])
    (ROOT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
