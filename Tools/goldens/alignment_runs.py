"""Ten steps of DPO and of GRPO on a tiny model, by the code of trl, peft and PyTorch.

Run:       python Tools/goldens/alignment_runs.py
Writes:    Tests/Goldens/alignment/runs.safetensors
Versions:  requirements.txt (torch 2.15.0, transformers 5.23.0, peft 0.21.2) and trl 1.16.0
Seeds:     SEED, for the tokens
Needs:     models/llama-gqa and adapters/llama-all, where both runs begin

Losses are what `_compute_loss` of DPOTrainer and GRPOTrainer returns for a batch that is the same in
every step, with trl's fused head on the model; its trainers' other parts are a stub. The reference is
the model without the adapter. Steps are AdamW's in float32, without decay, behind clipping to a length
of 1 as transformers' Trainer has it.

dpo.prompt.<i>, dpo.chosen.<i>, dpo.rejected.<i>   ids of three pairs
dpo.reference        [pair, 2], log-probabilities of both answers under the reference
grpo.prompt.<g>      ids of two prompts; grpo.answer.<g>.<i>, of three answers to each
grpo.old.<g>.<i>     log-probabilities of an answer's tokens before the first step, which stay the
                     denominator in all of them; grpo.reference.<g>.<i> likewise of the reference
grpo.advantages      [2, 3]
<run>.loss, <run>.norm               [10], before each step; the norm is that of before clipping
dpo.margin, grpo.kl, grpo.clipped    [10], figures that trl logs
<run>.end.<tensor>                   the adapter behind the last step, by the names of its file
"""

import os
import warnings
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from trl import DPOTrainer, GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
SEED = 29
# At 1e-3 the DPO run is so steep that the norms of PyTorch's float32 and float64 part by 6e-4.
STEPS, LEARNING_RATE = 10, 3e-4
EPSILON = 0.2
VOCABULARY = 96
GENERATOR = torch.Generator()


class Accelerator:
    device = "cpu"
    num_processes = 1
    sync_gradients = is_main_process = True

    def gather(self, x):
        return x
    gather_for_metrics = gather

    def reduce(self, x, reduction):
        return x

    def unwrap_model(self, model):
        return model

    def autocast(self):
        return nullcontext()


def stub(model, **settings):
    return SimpleNamespace(
        accelerator=Accelerator(), _metrics={"train": defaultdict(list)}, model=model,
        _total_train_tokens=0, _tp_size=1, aux_loss_enabled=False, **settings)


def start(outputs, dtype):
    base = AutoModelForCausalLM.from_pretrained(
        GOLDENS / "models/llama-gqa", dtype=dtype, attn_implementation="sdpa")
    add_fused_lm_head(base, outputs=outputs)
    return PeftModel.from_pretrained(
        base, GOLDENS / "adapters/llama-all", is_trainable=True).to(dtype).train()


def descend(model, loss_of):
    """Losses and gradient norms of ten steps."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 1.0).item())
        losses.append(loss.item())
        optimizer.step()
    return torch.tensor(losses), torch.tensor(norms)


def end(model):
    return {k.replace(".default", ""): p.detach() for k, p in model.named_parameters()
            if p.requires_grad}


def ids(count):
    return torch.randint(0, VOCABULARY, (count,), generator=GENERATOR)


def padded(rows, left=False):
    """Ids `[B, T]` and their mask."""
    width = max(map(len, rows))
    table, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    for row, values in enumerate(rows):
        place = slice(width - len(values), width) if left else slice(0, len(values))
        table[row, place], mask[row, place] = values, 1
    return table, mask.long()


def run_dpo(dtype=torch.float32):
    GENERATOR.manual_seed(SEED)
    prompts = [ids(n) for n in (6, 3, 11)]
    chosen = [ids(n) for n in (4, 9, 2)]
    rejected = [ids(n) for n in (7, 5, 12)]
    rejected[1][:2] = chosen[1][:2]
    rows = [torch.cat(row) for row in zip(prompts * 2, chosen + rejected)]
    table, mask = padded(rows)
    behind = torch.tensor([len(p) for p in prompts * 2])[:, None]
    completion = mask * (torch.arange(table.shape[1])[None] >= behind)
    batch = dict(input_ids=table, attention_mask=mask, completion_mask=completion)
    model = start(("log_probs", "entropy", "mean_logits", "is_top1"), dtype)
    this = stub(
        model, args=SimpleNamespace(gradient_checkpointing_kwargs=None), ref_model=None,
        ld_alpha=None, precompute_ref_logps=False, f_divergence_type="reverse_kl",
        loss_types=["sigmoid"], loss_weights=[1.0], beta=0.1, label_smoothing=0.0,
        use_weighting=False)
    with torch.no_grad(), model.disable_adapter():
        labels = table.masked_fill(completion == 0, -100)
        reference = model(
            input_ids=table, attention_mask=mask, labels=labels, fused_lm_head=True).log_probs
    losses, norms = descend(model, lambda: DPOTrainer._compute_loss(this, model, batch, False))
    found = this._metrics["train"]
    golden = {"loss": losses, "norm": norms, "margin": torch.tensor(found["rewards/margins"]),
              "reference": reference.sum(1).reshape(2, 3).T}
    for i in range(3):
        golden |= {f"prompt.{i}": prompts[i], f"chosen.{i}": chosen[i], f"rejected.{i}": rejected[i]}
    return golden | {f"end.{k}": v for k, v in end(model).items()}


def run_grpo(dtype=torch.float32):
    GENERATOR.manual_seed(SEED + 1)
    prompts = [ids(n) for n in (5, 9)]
    answers = [[ids(n) for n in lengths] for lengths in [(8, 3, 12), (1, 6, 10)]]
    rewards = torch.tensor([[1.0, 0.0, 0.25], [0.5, 1.0, -0.5]])
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    prompt, prompt_mask = padded([p for p in prompts for _ in range(3)], left=True)
    completion, mask = padded([a for group in answers for a in group])
    model = start(("log_probs", "entropy"), dtype)
    this = stub(
        model, top_entropy_quantile=1.0, off_policy_mask_threshold=None, beta=0.04, use_vllm=False,
        importance_sampling_level="token", loss_type="dapo", epsilon_low=EPSILON,
        epsilon_high=EPSILON, _entropy_bonus_enabled=False, current_gradient_accumulation_steps=1,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1))

    def scored(*arguments, **options):
        return GRPOTrainer._get_per_token_logps_and_entropies(this, *arguments, **options)
    inputs = (model, torch.cat([prompt, completion], 1), torch.cat([prompt_mask, mask], 1),
              completion.shape[1])
    with torch.no_grad():
        old = scored(*inputs)[0]
        with model.disable_adapter():
            reference = scored(*inputs)[0]
    distances = []

    def noted(*arguments, **options):
        found = scored(*arguments, **options)
        ratio = (found[0].detach() - old).exp()
        distances.append(((ratio - 1).abs() - EPSILON).abs()[mask == 1].min().item())
        return found
    this._get_per_token_logps_and_entropies = noted
    batch = dict(
        prompt_ids=prompt, prompt_mask=prompt_mask, completion_ids=completion, completion_mask=mask,
        advantages=advantages.reshape(-1).to(dtype), old_per_token_logps=old,
        ref_per_token_logps=reference, num_items_in_batch=mask.sum())
    losses, norms = descend(model, lambda: GRPOTrainer._compute_loss(this, model, batch))
    found = this._metrics["train"]
    golden = {"loss": losses, "norm": norms, "advantages": advantages,
              "kl": torch.tensor(found["kl"]),
              "clipped": torch.tensor(found["clip_ratio/region_mean"])}
    for g in range(2):
        golden[f"prompt.{g}"] = prompts[g]
        for i, answer in enumerate(answers[g]):
            row = 3 * g + i
            golden |= {f"answer.{g}.{i}": answer, f"old.{g}.{i}": old[row, :len(answer)],
                       f"reference.{g}.{i}": reference[row, :len(answer)]}
    # A ratio that rounding could carry across its bound would make the next gradients another.
    print("least distance of a ratio from its bound", min(distances))
    return golden | {f"end.{k}": v for k, v in end(model).items()}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    golden = {}
    for name, run in [("dpo", run_dpo), ("grpo", run_grpo)]:
        narrow, wide = run(), run(torch.float64)
        print(name, narrow["loss"].tolist(), narrow["norm"].tolist())
        for key, value in narrow.items():
            golden[f"{name}.{key}"] = value
            if value.is_floating_point():
                apart = (value.double() - wide[key].double()).abs()
                share = (apart / wide[key].double().abs()).max().item()
                print(f"{name}.{key}: float64 is {apart.max():.1e} away, or a share of {share:.1e}")
    golden = {k: (v.float() if v.is_floating_point() else v.int()).contiguous()
              for k, v in sorted(golden.items())}
    path = GOLDENS / "alignment/runs.safetensors"
    save_file(golden, path)
    print(len(golden), path.stat().st_size)


if __name__ == "__main__":
    main()
