"""Steps of PyTorch's, lion-pytorch's and bitsandbytes' optimisers, and what goes with them.

Run:       python Tools/goldens/optimizers.py
Writes:    Tests/Goldens/optim/{steps,steps8,maps,schedules,rounding}.safetensors, cases.json
Versions:  requirements.txt (torch 2.15.0, bitsandbytes 0.50.2, lion-pytorch 0.2.5,
           transformers 5.23.0)
Seeds:     noise() of ops.py: weights noise(1), the gradient of step t noise(100 + t), element i
           times 2^-(3 * (i mod 5)), so that magnitudes differ by four thousand

bitsandbytes' 8-bit optimisers run on its CPU backend, with one change: states are rounded to the
nearest code, as on its default backend, and not through its CPU kernel, which rounds to one of 65536
equal parts of [-1, 1] first and so loses codes below 1e-5.
"""

import json
import math
from pathlib import Path

import bitsandbytes
import bitsandbytes.backends.cpu.ops as cpu_ops
import bitsandbytes.functional as functional
import torch
from lion_pytorch import Lion
from ops import noise
from safetensors.torch import save_file
from transformers import get_scheduler
from transformers.trainer_pt_utils import get_parameter_names

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/optim"
STEPS = 10


def save(name, tensors):
    save_file({k: tensors[k].contiguous() for k in sorted(tensors)}, ROOT / f"{name}.safetensors")
    print(name, (ROOT / f"{name}.safetensors").stat().st_size, len(tensors))


def gradient(step, count):
    return noise(100 + step, count) * 2.0 ** (-3.0 * (torch.arange(count) % 5))


def run(optimizer, parameter, out, case, states, stops=(1, STEPS)):
    for step in range(1, STEPS + 1):
        parameter.grad = gradient(step, parameter.numel())
        optimizer.step()
        if step in stops:
            out[f"{case}.p.{step}"] = parameter.detach().clone()
    for name, key in states.items():
        out[f"{case}.{name}"] = optimizer.state[parameter][key].clone()


def float_steps():
    """p after 1 and 10 steps and the states after 10, for each case of cases.json."""
    count, out, cases = 300, {}, {}
    adam = {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"}
    momentum = {"momentum_buffer": "momentum_buffer"}
    sgd = torch.optim.SGD
    table = {
        "adamw": (torch.optim.AdamW, dict(lr=1e-2, weight_decay=0.1), adam),
        "adamw-betas": (
            torch.optim.AdamW, dict(lr=3e-3, betas=(0.7, 0.95), eps=1e-6, weight_decay=0.0), adam),
        "sgd": (sgd, dict(lr=0.1, weight_decay=0.05), {}),
        "sgd-momentum": (sgd, dict(lr=0.1, momentum=0.9), momentum),
        "sgd-dampening": (sgd, dict(lr=0.1, momentum=0.8, dampening=0.3), momentum),
        "sgd-nesterov": (
            sgd, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.02), momentum),
        "lion": (Lion, dict(lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1),
                 {"exp_avg": "exp_avg"}),
        "lion-betas": (Lion, dict(lr=3e-3, betas=(0.95, 0.98)), {"exp_avg": "exp_avg"}),
    }
    for case, (kind, settings, states) in table.items():
        parameter = torch.nn.Parameter(noise(1, count).clone())
        run(kind([parameter], **settings), parameter, out, case, states)
        cases[case] = {"settings": settings, "states": sorted(states)}
    save("steps", out)
    return cases


def nearest(x, code, absmax_out, codes_out, blocksize):
    """Rounds to the nearest code with the arithmetic of bitsandbytes' default backend."""
    bounds = (code[:-1] + code[1:]) / 2
    for block, first in enumerate(range(0, x.numel(), blocksize)):
        part = x.reshape(-1)[first:first + blocksize]
        absmax = part.abs().max()
        scaled = torch.clamp(part * (1.0 / absmax.clamp(min=1e-38)), -1, 1)
        codes_out.reshape(-1)[first:first + blocksize] = torch.bucketize(scaled, bounds).to(
            torch.uint8)
        absmax_out[block] = absmax


def byte_steps():
    """8-bit states: p after 1 and 10 steps, codes and absmax after 10; the last block is short."""
    cpu_ops._quant_blockwise_fp32_direct = nearest
    count, out, cases = 4096 + 100, {}, {}
    table = {
        "adamw": (bitsandbytes.optim.AdamW8bit, dict(lr=1e-2, weight_decay=0.1),
                  {"exp_avg": "state1", "exp_avg.absmax": "absmax1", "exp_avg_sq": "state2",
                   "exp_avg_sq.absmax": "absmax2"}),
        "lion": (bitsandbytes.optim.Lion8bit, dict(lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1),
                 {"exp_avg": "state1", "exp_avg.absmax": "absmax1"}),
    }
    for case, (kind, settings, states) in table.items():
        parameter = torch.nn.Parameter(noise(1, count).clone())
        run(kind([parameter], **settings), parameter, out, case, states)
        cases[case] = {"settings": settings, "states": sorted(states)}
    save("steps8", out)
    return cases


def maps():
    """The 256 numbers of both maps, and codes of blocks of several magnitudes."""
    out = {}
    for name, signed in (("signed", True), ("unsigned", False)):
        code = functional.create_dynamic_map(signed)
        x = noise(7, 1000) * 2.0 ** (-4.0 * (torch.arange(1000) % 6))
        x[256:512] = 0
        x[600] = 3.0
        x = x if signed else x.abs()
        codes, absmax = torch.empty(1000, dtype=torch.uint8), torch.empty(4)
        nearest(x, code, absmax, codes, 256)
        wide = torch.ops.bitsandbytes.dequantize_blockwise(codes, absmax, code, 256, torch.float32)
        out |= {name: code, f"{name}.codes": codes, f"{name}.absmax": absmax, f"{name}.wide": wide}
    save("maps", out)


SCHEDULES = [
    ("linear", 7, {}), ("linear", 0, {}), ("cosine", 7, {}), ("cosine", 3, {"num_cycles": 1.25}),
    ("cosine_with_restarts", 5, {"num_cycles": 3}), ("cosine_with_restarts", 0, {}),
    ("polynomial", 5, {}), ("polynomial", 5, {"lr_end": 1e-5, "power": 2.5}),
    ("constant", 0, {}), ("constant_with_warmup", 9, {}),
    ("inverse_sqrt", 6, {}), ("inverse_sqrt", 0, {}), ("inverse_sqrt", 4, {"timescale": 25}),
    ("cosine_with_min_lr", 6, {"min_lr": 1e-4}), ("cosine_with_min_lr", 0, {"min_lr_rate": 0.2}),
    ("cosine_warmup_with_min_lr", 6, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 6, {"min_lr": 2e-4, "warmup_lr_rate": 0.3}),
    ("warmup_stable_decay", 6, {"num_decay_steps": 15}),
    ("warmup_stable_decay", 6, {"num_decay_steps": 12, "num_stable_steps": 9, "min_lr_ratio": 0.1,
                                "decay_type": "1-sqrt", "warmup_type": "cosine"}),
    ("warmup_stable_decay", 6, {"num_decay_steps": 20, "decay_type": "linear",
                                "warmup_type": "1-sqrt", "min_lr_ratio": 0.05}),
    ("warmup_stable_decay", 3, {"num_decay_steps": 20, "num_cycles": 0.75}),
]


def schedules():
    """The rate of each of 44 steps, where a run has 40."""
    out, cases, rate, total = {}, [], 2e-3, 40
    for index, (name, warmup, options) in enumerate(SCHEDULES):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
        scheduler = get_scheduler(name, optimizer, warmup, total, dict(options))
        rates = []
        for _ in range(total + 4):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        out[str(index)] = torch.tensor(rates, dtype=torch.float64)
        cases.append({"name": name, "warmup": warmup, "options": options})
    save("schedules", out)
    return {"learning_rate": rate, "total": total, "cases": cases}


def scaler():
    """Scale and growth tracker after each step, whether the step was taken."""
    traces = []
    random = torch.Generator().manual_seed(5)
    for settings, odds in (
            (dict(init_scale=65536.0, growth_interval=3), 0.2),
            (dict(init_scale=1024.0, growth_factor=1.5, backoff_factor=0.3, growth_interval=2), 0.4),
            (dict(init_scale=2.0 ** 126, growth_interval=1), 0.0),
            (dict(init_scale=3.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000), 0.9)):
        scale = torch.amp.GradScaler("cpu", **settings)
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([parameter], lr=1e-30)
        steps = []
        for _ in range(30):
            overflow = torch.rand((), generator=random).item() < odds
            bad = float("inf") if torch.rand((), generator=random).item() < 0.5 else float("nan")
            scale.scale(parameter.sum())
            parameter.grad = torch.tensor([1.0, bad if overflow else 1.0, 1.0])
            taken = []
            original, optimizer.step = optimizer.step, lambda *a, **k: taken.append(1)
            scale.step(optimizer)
            optimizer.step = original
            scale.update()
            steps.append({"overflow": overflow, "taken": bool(taken),
                          "scale": scale.get_scale(), "tracker": scale._get_growth_tracker()})
        traces.append({"settings": settings, "steps": steps})
    return traces


def rounding():
    """bfloat16 and float16 of numbers near ties, near the ends and of every kind."""
    bits = torch.tensor(
        [0, 1, 0x7FFF, 0x8000, 0x8001, 0x18000, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001,
         0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0x7F800000, 0x477FE000, 0x477FEFFF, 0x477FF000,
         0x387FFFFF, 0x33000000, 0x33000001, 0x32FFFFFF, 0x00800000], dtype=torch.int64)
    special = torch.cat([bits, bits + 0x80000000]).to(torch.uint32).view(torch.float32)
    x = torch.cat([special, noise(8, 400) * 2.0 ** (torch.arange(400) % 60 - 30)])
    save("rounding", {"x": x, "bf16": x.bfloat16().view(torch.int16), "f16": x.half().view(torch.int16)})


def clipping():
    """Total norm before clipping and the gradients after it."""
    cases = []
    for limit, factor in ((1.0, 1.0), (100.0, 1.0), (0.5, 1e-3), (1e-3, 1e-4)):
        parameters = []
        for seed, count in ((201, 33), (202, 1000), (203, 17)):
            parameter = torch.nn.Parameter(torch.zeros(count))
            parameter.grad = noise(seed, count) * factor
            parameters.append(parameter)
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        exact = math.sqrt(sum((noise(s, c) * factor).double().square().sum().item()
                              for s, c in ((201, 33), (202, 1000), (203, 17))))
        cases.append({"limit": limit, "factor": factor, "norm": norm.item(), "exact": exact,
                      "first": parameters[0].grad[0].item()})
    return cases


class Parts(torch.nn.Module):
    """Modules under the names that decay is decided by."""

    NAMES = ["embed_tokens", "lm_head", "layers.0.self_attn.q_proj", "layers.0.input_layernorm",
             "layers.0.post_attention_layernorm", "norm", "q_norm", "layers.0.self_attn.k_norm",
             "layers.0.ffn_RMSNorm", "normal", "layers.0.norm_1", "final.norm.scale", "xnorm",
             "layers.0.bias_free", "LayerNorm_a", "a_norm.b"]


def decay():
    """Which parameter names decay, by transformers' trainer."""
    patterns = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    root = torch.nn.Module()
    for path in Parts.NAMES:
        module = root
        for part in path.split("."):
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        module.weight = torch.nn.Parameter(torch.zeros(1))
        module.bias = torch.nn.Parameter(torch.zeros(1))
    kept = set(get_parameter_names(root, [torch.nn.LayerNorm], patterns))
    return {name: name in kept for name, _ in root.named_parameters()}


def main():
    torch.set_num_threads(1)
    ROOT.mkdir(parents=True, exist_ok=True)
    maps()
    rounding()
    cases = {"steps": float_steps(), "steps8": byte_steps(), "schedules": schedules(),
             "scaler": scaler(), "clipping": clipping(), "decays": decay()}
    (ROOT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
