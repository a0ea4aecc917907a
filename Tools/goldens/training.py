"""Losses and gradients of whole tiny models, of adapters in training, and of the losses by themselves.

Run:       python Tools/goldens/training.py
Writes:    Tests/Goldens/training/{models,adapters}.<case>.safetensors, losses.safetensors,
           qlora/{config.json, model.safetensors, golden.safetensors}
Versions:  requirements.txt (torch 2.15.0, transformers 5.23.0, peft 0.21.2, bitsandbytes 0.50.2)
Seeds:     SEED for weights of tokens and for losses
Needs:     the checkpoints of models.py, the adapters of adapters.py

Every case trains on ids.0 and ids.1 of its base's golden, each run alone. `weights.<i>` [T] is the
weight of the loss of predicting each token; the loss is the sum of weight times negative
log-probability over both, divided by the sum of the weights.

models.<case>      loss [1]; logprobs.<i> [T], of each token given those before it (0 for the first);
                   grad.<parameter>, of every parameter of the model, by autograd
adapters.<case>    losses [20], one before each step of plain gradient descent with rate LEARNING_RATE
                   from the adapter's file; grad.<tensor>, of the first step, by the file's names
qlora              a Llama whose widths are multiples of 64, ids.<i>, adapter.<tensor> by the names of
                   PEFT's files, and the same of its training over projections that bitsandbytes has
                   rounded to NF4 with double-quantised scales and widened again
losses             x [S, C], head [V, C], reference [S, V], targets, weights, dy [S]; of cross-entropy
                   ce.loss, ce.dx, ce.dhead, ce.entropy, ce.correct; of token log-probabilities
                   logprob, logprob.dx, logprob.dhead for dy; of the two divergences kl_model.* and
                   kl_reference.* likewise
"""

import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import bitsandbytes.functional as functional
import torch
import transformers
from models import BASE
from nf4 import quantized
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
ROOT = GOLDENS / "training"
SEED = 4711
MODELS = ["llama-gqa", "llama-tied", "llama-bias", "mistral-window", "qwen2", "qwen3-tied"]
ADAPTERS = ["llama-all", "llama-qv", "llama-dora", "llama-head", "llama-tied", "qwen2-all",
            "qwen2-dora"]
# At ten times this rate PyTorch's float32 and float64 part by 3 % within the 20 steps.
STEPS, LEARNING_RATE = 20, 0.001


def base(name):
    return AutoModelForCausalLM.from_pretrained(
        GOLDENS / "models" / name, dtype=torch.float32, attn_implementation="eager").eval()


def data(name):
    golden = load_file(GOLDENS / "models" / name / "golden.safetensors")
    generator = torch.Generator().manual_seed(SEED)
    return weighted([golden[f"ids.{i}"].long() for i in (0, 1)], generator)


def weighted(sequences, generator):
    samples = []
    for ids in sequences:
        choice = torch.randint(0, 4, (len(ids),), generator=generator)
        weights = torch.tensor([0.0, 1.0, 1.0, 0.5])[choice]
        weights[0] = 0
        samples.append((ids, weights))
    return samples


def logprobs(model, ids):
    rows = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    found = rows[:-1].gather(1, ids[1:, None])[:, 0]
    return torch.cat([torch.zeros(1), found])


def loss_of(model, samples):
    total = sum(w.sum() for _, w in samples)
    return sum((-logprobs(model, ids) * w).sum() for ids, w in samples) / total


def make_model(name):
    model, samples = base(name), data(name)
    loss = loss_of(model, samples)
    loss.backward()
    golden = {"loss": loss.detach()[None]}
    for i, (ids, w) in enumerate(samples):
        golden[f"weights.{i}"] = w
        golden[f"logprobs.{i}"] = logprobs(model, ids).detach()
    for key, parameter in model.named_parameters():
        golden["grad." + key] = parameter.grad
    save(f"models.{name}", golden)


def make_adapter(name):
    folder = GOLDENS / "adapters" / name
    base_name = base_name_of(folder)
    model = PeftModel.from_pretrained(base(base_name), folder, is_trainable=True).eval()
    golden = train(model, data(base_name))
    print(name, golden["losses"][0], golden["losses"][-1])
    save(f"adapters.{name}", golden)


def trained_parameters(model):
    trained = {k.replace(".default", ""): p for k, p in model.named_parameters() if p.requires_grad}
    # PEFT files call DoRA's magnitudes by the module's name alone.
    return {k.removesuffix(".weight") if "magnitude" in k else k: p for k, p in trained.items()}


def train(model, samples):
    golden = {f"weights.{i}": w for i, (_, w) in enumerate(samples)}
    trained, losses = trained_parameters(model), []
    for step in range(STEPS):
        model.zero_grad()
        loss = loss_of(model, samples)
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for key, parameter in trained.items():
                if step == 0:
                    golden["grad." + key] = parameter.grad.clone()
                parameter -= LEARNING_RATE * parameter.grad
    return golden | {"losses": torch.tensor(losses)}


def make_qlora():
    folder = ROOT / "qlora"
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(SEED)
    config = LlamaConfig(**BASE | dict(hidden_size=64, intermediate_size=128, head_dim=16))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for key, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        value = 1 + 0.2 * noise if parameter.dim() == 1 else 0.15 * noise
        parameter.data = value.to(torch.bfloat16).float()
    config.dtype = torch.bfloat16
    config.architectures = ["LlamaForCausalLM"]
    (folder / "config.json").write_text(config.to_json_string())
    save_file({k: v.detach().to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()},
              folder / "model.safetensors", {"format": "pt"})
    for key, parameter in model.named_parameters():
        if key.startswith("model.layers.") and parameter.dim() == 2:
            parameter.data = functional.dequantize_4bit(*quantized(parameter.data, "nf4", True))
    sequences = [torch.randint(0, config.vocab_size, (n,), generator=generator) for n in (13, 47)]
    model = get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")).eval()
    for key, parameter in sorted(trained_parameters(model).items()):
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    start = {f"adapter.{k}": p.detach().clone() for k, p in trained_parameters(model).items()}
    golden = train(model, weighted(sequences, generator)) | start
    golden |= {f"ids.{i}": ids.int() for i, ids in enumerate(sequences)}
    print("qlora", golden["losses"][0], golden["losses"][-1])
    save("qlora/golden", golden)


def base_name_of(folder):
    return json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]


def make_losses():
    generator = torch.Generator().manual_seed(SEED)

    def noise(*shape):
        return torch.randn(shape, generator=generator)
    S, C, V = 21, 12, 300
    x, head, reference = noise(S, C), noise(V, C), 2 * noise(S, V)
    targets = torch.randint(0, V, (S,), generator=generator)
    weights = torch.rand(S, generator=generator)
    dy = noise(S)
    golden = dict(x=x, head=head, reference=reference, targets=targets.int(), weights=weights, dy=dy)
    x, head = x.double().requires_grad_(), head.double().requires_grad_()

    def rows():
        return (x @ head.T).log_softmax(-1)

    def store(name, value, seed):
        dx, dhead = torch.autograd.grad(value, (x, head), seed)
        golden[name], golden[name + ".dx"], golden[name + ".dhead"] = value, dx, dhead
    p = rows()
    loss = (-p.gather(1, targets[:, None])[:, 0] * weights).sum() / weights.double().sum()
    store("ce", loss[None], torch.ones(1, dtype=torch.double))
    golden["ce.entropy"] = -(p.exp() * p).sum(-1)
    golden["ce.correct"] = (p.argmax(-1) == targets).int()
    store("logprob", rows().gather(1, targets[:, None])[:, 0], dy.double())
    q = reference.double().log_softmax(-1)
    p = rows()
    store("kl_model", (p.exp() * (p - q)).sum(-1), dy.double())
    p = rows()
    store("kl_reference", (q.exp() * (q - p)).sum(-1), dy.double())
    save("losses", golden)


def save(name, golden):
    golden = {k: (v.float() if v.is_floating_point() else v).detach().contiguous()
              for k, v in sorted(golden.items())}
    save_file(golden, ROOT / f"{name}.safetensors")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    ROOT.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        make_model(name)
    for name in ADAPTERS:
        make_adapter(name)
    make_losses()
    make_qlora()


if __name__ == "__main__":
    main()
