"""Tiny random reward models in the Hugging Face layout, with the scores transformers computes.

Run:       python Tools/goldens/scores.py
Writes:    Tests/Goldens/scores/<case>/{config.json, model.safetensors, golden.safetensors}
Versions:  requirements.txt (torch, transformers, safetensors)
Seeds:     one per case, in CASES; ids and weights come from one torch.Generator per case

golden.safetensors of a case holds
  ids.0 [13], ids.1 [29], ids.2 [9]  I32; the last ends in three tokens of padding
  scores [3]                         F32, each text alone (batch 1), float32, eager attention

The weights are those of …ForSequenceClassification with one label, as `stage: rm` with
`finetuning_type: full` writes them; they are stored as BF16 and read back before the scores are computed.
"""

import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, LlamaConfig, Qwen2Config

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/scores"
VOCABULARY = 96
PADDING = 3
LENGTHS = (13, 29, 9)
BASE = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1,
            eos_token_id=2, pad_token_id=PADDING, num_labels=1)
# Without a head of its own a language model of the one shape has a tied one; a reward model has none.
CASES = {
    "llama": (301, LlamaConfig, dict(tie_word_embeddings=False)),
    "qwen2": (302, Qwen2Config, dict(tie_word_embeddings=True)),
}


def write(name, seed, kind, changes):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    random = torch.Generator().manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(
        kind(**BASE, **changes), attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=random)
            weight.copy_((1 + noise / 8) if "norm" in key else noise / 4)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32).eval()
    texts = [torch.randint(PADDING + 1, VOCABULARY, (length,), generator=random) for length in LENGTHS]
    texts[-1][-3:] = PADDING
    with torch.no_grad():
        scores = torch.stack([model(text[None]).logits[0, 0] for text in texts])
        shorter = model(texts[-1][None, :-3]).logits[0, 0]
    assert model.config.num_labels == 1 and abs(scores[-1] - shorter) < 1e-5
    assert "score.weight" in dict(model.named_parameters())
    golden = {f"ids.{index}": text.to(torch.int32) for index, text in enumerate(texts)}
    save_file({**golden, "scores": scores.contiguous()}, folder / "golden.safetensors")
    print(name, json.loads((folder / "config.json").read_text())["architectures"], scores.tolist())


for name, (seed, kind, changes) in CASES.items():
    write(name, seed, kind, changes)
