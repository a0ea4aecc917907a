"""Tiny LoRA adapters in PEFT's layout, with the logits that peft computes with them.

Run:       python Tools/goldens/adapters.py
Writes:    Tests/Goldens/adapters/<case>/{adapter_config.json, adapter_model.safetensors,
           golden.safetensors}, Tests/Goldens/adapters/cases.json and patterns.json
Versions:  requirements.txt (peft 0.21.2, accelerate 1.15.0)
Seeds:     one per case, in CASES
Needs:     the base checkpoints of models.py

golden.safetensors of a case holds, for the sequences ids.0 and ids.1 of its base's golden,
  logits.0, logits.1   F32, by peft, the adapter read back from the files written here
  merged.1             F32, the same after peft merged the adapter into the weights; not for
                       tied bases, where merging changes the embedding too

patterns.json holds what peft answers for patterns and module paths: which key of rank_pattern a
path takes (`keys`), and whether target_modules names it (`targets`).
"""

import json
import os
import shutil
import warnings
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
MODELS, ROOT = GOLDENS / "models", GOLDENS / "adapters"
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}

# name: (seed, base, dtype on disk, configuration, what the case is for)
CASES = {
    "llama-all": (301, "llama-gqa", "f32",
                  dict(r=4, lora_alpha=8, target_modules="all-linear"), "every linear layer"),
    "llama-qv": (302, "llama-gqa", "bf16",
                 dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], use_rslora=True,
                      rank_pattern={"layers.0.self_attn.q_proj": 5, "self_attn.v_proj": 3},
                      alpha_pattern={"1.self_attn.q_proj": 6, "q_proj": 11}),
                 "alpha / sqrt(r), ranks and alphas by module; of two keys the first counts"),
    "llama-dora": (303, "llama-gqa", "f16",
                   dict(r=4, lora_alpha=8, use_dora=True,
                        target_modules=["q_proj", "k_proj", "o_proj", "down_proj"]),
                   "magnitudes beside the matrices"),
    "llama-head": (304, "llama-gqa", "f32",
                   dict(r=2, lora_alpha=2, target_modules=["lm_head", "up_proj"]),
                   "the output head"),
    "llama-regex": (305, "llama-gqa", "f32",
                    dict(r=1, lora_alpha=3, fan_in_fan_out=True,
                         target_modules=r".*\.layers\.(0|1)\.(?:mlp\.(gate|down)|self_attn\.[kv])_proj",
                         rank_pattern={r"layers\.\d+\.mlp\.(gate|up)_proj": 6}),
                    "patterns for names; fan_in_fan_out, which peft turns off for linear layers"),
    "llama-layers": (306, "llama-gqa", "f32",
                     dict(r=4, lora_alpha=4, target_modules=["q_proj", "o_proj", "gate_proj"],
                          layers_to_transform=[1], exclude_modules=["gate_proj"]),
                     "one layer only, and a module left out again"),
    "llama-tied": (307, "llama-tied", "f32",
                   dict(r=3, lora_alpha=6, target_modules=["lm_head", "k_proj"]),
                   "a head that shares the embedding's weight; only the head is updated"),
    "qwen2-all": (308, "qwen2", "bf16",
                  dict(r=4, lora_alpha=8, target_modules="all-linear"), "beside biases"),
    "qwen2-dora": (309, "qwen2", "f32",
                   dict(r=4, lora_alpha=4, use_dora=True, use_rslora=True,
                        target_modules=["q_proj", "v_proj", "gate_proj"]),
                   "magnitudes scale the product, not the bias"),
    "llama-embed": (310, "llama-gqa", "f32",
                    dict(r=3, lora_alpha=6, target_modules=["embed_tokens", "lm_head", "v_proj"]),
                    "the embedding; its weight and the head's are saved beside the updates"),
    "llama-embed-dora": (311, "llama-gqa", "f32",
                         dict(r=2, lora_alpha=4, use_dora=True,
                              target_modules=["embed_tokens", "k_proj"]),
                         "magnitudes of the embedding's columns"),
    "llama-saved": (312, "llama-gqa", "f32",
                    dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                         modules_to_save=["embed_tokens", "lm_head"]),
                    "whole weights in the place of the model's"),
    "tied-saved": (313, "llama-tied", "f32",
                   dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                        modules_to_save=["embed_tokens"]),
                   "an embedding of its own; the head keeps the model's"),
    "tied-both": (314, "llama-tied", "f32",
                  dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                       modules_to_save=["embed_tokens"], ensure_weight_tying=True),
                  "one weight of its own for both"),
    "llama-norms": (315, "llama-gqa", "f32",
                    dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                         modules_to_save=["input_layernorm", "model.norm"]),
                    "norms of its own: to be merged only"),
}

PATHS = [f"model.layers.{i}.{p}" for i in (0, 1, 10, 21) for p in
         ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj", "mlp.up_proj")] + ["lm_head"]
KEYS = [
    ["q_proj"], ["proj"], ["_proj"], ["layers.1.self_attn.q_proj"], ["1.self_attn.q_proj"],
    ["model.layers.0.mlp.down_proj"], ["^model.layers.0.mlp.down_proj"], ["mlp"], ["lm_head"],
    ["layers.1.mlp.down_proj", "down_proj"], ["down_proj", "layers.1.mlp.down_proj"],
    [r"layers\.\d+\.mlp\.up_proj"], [r"layers\.\d\.mlp\.up_proj"], ["layers.[02].*"],
    [r".*\.(q|o)_proj"], ["(?:self_attn|mlp)..*_proj"], ["layers.1.+"], ["l?m_head"],
    [r"[^.]+_proj"], [r"layers\.(1|2).\.self_attn\.\w+"], [r"layers\.1{1,2}\..*"],
    ["q_proj$"], [".*"], [""], [r"layers\.[0-9]{2}\..*?up_proj"], ["Q_PROJ"],
]
TARGETS = [
    ["q_proj"], ["_proj"], ["self_attn.q_proj"], ["1.self_attn.q_proj"], ["lm_head"],
    ["model.layers.0.mlp.down_proj"], ["layers.0"], [r".*q_proj"],
    r".*q_proj", r"q_proj", r"model\.layers\.(0|21)\..*", r".*\.\d\.mlp\.(up|down)_proj",
    r"(?:.*?(?:self_attn|attention).*?(?:q_proj|k_proj).*?)|(?:lm_head)", r".*[^0]\.mlp.*",
]


def patterns():
    keys = [dict(patterns=k, path=p, key=(lambda f: None if f == p and p not in k else f)(
        get_pattern_key(k, p))) for k in KEYS for p in PATHS]
    targets = [dict(target=t, path=p, found=bool(
        check_target_module_exists(LoraConfig(target_modules=t), p))) for t in TARGETS for p in PATHS]
    return dict(keys=keys, targets=targets)


def base(name):
    return AutoModelForCausalLM.from_pretrained(
        MODELS / name, dtype=torch.float32, attn_implementation="eager").eval()


def make(name, seed, base_name, dtype, settings, purpose):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(seed)
    model = get_peft_model(base(base_name), LoraConfig(task_type="CAUSAL_LM", **settings))
    for key, parameter in sorted(model.named_parameters()):
        if "lora_" in key or "modules_to_save" in key:
            noise = torch.randn(parameter.shape, generator=generator)
            changes = "magnitude" in key or "modules_to_save" in key
            scaled = parameter.data * (1 + 0.3 * noise) if changes else 0.3 * noise
            parameter.data = scaled.to(DTYPES[dtype]).float()
    model.save_pretrained(folder, save_embedding_layers="embed" in name)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({k: v.to(DTYPES[dtype]) for k, v in tensors.items()}, file, {"format": "pt"})
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text()) | dict(base_model_name_or_path=base_name)
    path.write_text(json.dumps(config, indent=2) + "\n")

    ids = load_file(MODELS / base_name / "golden.safetensors")
    plain = load_file(MODELS / base_name / "golden.safetensors")["logits.1"]
    model = PeftModel.from_pretrained(base(base_name), folder).eval()
    golden = {f"logits.{i}": model(input_ids=ids[f"ids.{i}"][None].long()).logits[0]
              for i in (0, 1)}
    gap = 0.0
    if base_name != "llama-tied":
        merged = model.merge_and_unload()
        golden["merged.1"] = merged(input_ids=ids["ids.1"][None].long()).logits[0]
        gap = (golden["merged.1"] - golden["logits.1"]).abs().max().item()
    change = (golden["logits.1"] - plain).abs().max().item()
    assert gap < 2e-4 and change > 0.5, f"{name}: {gap}, {change}"
    save_file({k: golden[k].contiguous() for k in sorted(golden)}, folder / "golden.safetensors")
    return dict(purpose=purpose, seed=seed, base=base_name, stored=dtype,
                tensors=len(tensors), mergedGap=float(f"{gap:.1e}"), change=round(change, 2))


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    ROOT.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, case in CASES.items():
        cases[name] = make(name, *case)
        print(f"{name:16}", cases[name])
    (ROOT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    (ROOT / "patterns.json").write_text(json.dumps(patterns()) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
