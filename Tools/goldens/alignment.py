"""Losses of alignment and their gradients, by the code of trl itself on fixed batches.

Run:       pip install --no-deps --target OLD trl==0.11.4
           python Tools/goldens/alignment.py --old OLD
Writes:    Tests/Goldens/alignment/{preference,rewards,policy,ppo}.safetensors, all float64
Versions:  requirements.txt and trl 1.16.0 with datasets 5.2.0; trl 0.11.4 has the last PPOTrainer whose
           parts can be called by themselves, and is read, not imported
Seeds:     SEED

Methods of trl's trainers run with a stub for `self` and a model that answers with given
log-probabilities. What trl has no code for comes from the papers' formulas: REINFORCE++, the k1 and
k2 estimators, steps' rewards, calibration, advantages over masked tools' texts.
"""

import argparse
import ast
import __future__
import inspect
import textwrap
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from trl import DPOTrainer, GRPOTrainer, KTOTrainer, RewardTrainer, RLOOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.rewards import get_soft_overlong_punishment
from trl.trainer.utils import nanstd

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/alignment"
SEED = 5
GENERATOR = torch.Generator()


def noise(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


class Accelerator:
    device = "cpu"
    num_processes = 1
    process_index = 0
    sync_gradients = True

    def gather(self, x):
        return x
    gather_for_metrics = gather

    def reduce(self, x, reduction):
        return x


def stub(**settings):
    return SimpleNamespace(
        accelerator=Accelerator(), _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0, _tp_size=1, aux_loss_enabled=False, **settings)


def model_of(logps):
    """A model with these log-probabilities `[B, T]` of the tokens behind the first."""
    def call(**_):
        zero = torch.zeros_like(logps).detach()
        return SimpleNamespace(
            log_probs=logps, entropy=zero, mean_logits=zero, is_top1=zero.bool())
    call.training = True
    return call


def save(name, golden):
    golden = {k: v.detach() if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=torch.float64)
              for k, v in golden.items()}
    golden = {k: v.double().contiguous() for k, v in golden.items()}
    path = ROOT / f"{name}.safetensors"
    save_file({k: golden[k] for k in sorted(golden)}, path)
    print(name, len(golden), path.stat().st_size)


# Preferences

def spread(sums, counts):
    """Log-probabilities `[B, T]` whose first `counts` of a row sum to `sums`, and the mask."""
    mask = torch.arange(int(counts.max()))[None] < counts[:, None]
    return (sums / counts)[:, None] * mask, mask


def batch(counts, mask):
    ids = torch.ones(len(counts), mask.shape[1] + 1, dtype=torch.long)
    whole = torch.cat([torch.zeros(len(counts), 1, dtype=torch.long), mask.long()], 1)
    return dict(input_ids=ids, attention_mask=torch.ones_like(ids), completion_mask=whole)


def make_preference():
    n = 7
    counts = torch.tensor([[3, 9, 1, 14, 6, 20, 5], [8, 2, 4, 14, 11, 3, 30]])
    policy = -counts * (0.4 + noise(2, n).abs())
    reference = policy + noise(2, n) * torch.tensor([4.0, 1, 0.1, 9, 3, 2, 6])
    golden = dict(counts=counts, policy=policy, reference=reference)

    def store(name, losses, loss, leaf, rewards):
        golden[f"{name}.losses"], golden[f"{name}.loss"] = losses, loss[None]
        golden[f"{name}.gradients"] = torch.autograd.grad(loss, leaf)[0]
        golden[f"{name}.rewards"] = torch.stack(rewards)

    def dpo(kind, beta, smoothing=0.0):
        leaf = policy.clone().requires_grad_()
        losses, rewards = [], []
        for i in range(n):
            logps, mask = spread(leaf[:, i], counts[:, i])
            this = stub(
                ld_alpha=None, precompute_ref_logps=True, f_divergence_type="reverse_kl",
                loss_types=[kind], loss_weights=[1.0], beta=beta, label_smoothing=smoothing,
                use_weighting=False, model=SimpleNamespace(training=True))
            inputs = batch(counts[:, i], mask) | dict(
                ref_chosen_logps=reference[:1, i], ref_rejected_logps=reference[1:, i])
            losses.append(DPOTrainer._compute_loss(this, model_of(logps), inputs, False))
            found = this._metrics["train"]
            rewards.append([found["rewards/chosen"][0], found["rewards/rejected"][0]])
        losses = torch.stack(losses)
        store(f"{kind}-{beta}", losses, losses.mean(), leaf,
              list(torch.tensor(rewards, dtype=torch.float64).T))

    for kind, beta, smoothing in [("sigmoid", 0.1, 0), ("hinge", 0.2, 0), ("ipo", 0.3, 0),
                                  ("robust", 0.15, 0.2)]:
        dpo(kind, beta, smoothing)

    def cpo(name, kind, beta, x, smoothing=0.0, gamma=0.0):
        this = stub(alpha=0.0, loss_type=kind, beta=beta, simpo_gamma=gamma,
                    label_smoothing=smoothing)
        return CPOTrainer.cpo_loss(this, x[0], x[1])

    # TRL 1.x dropped label smoothing of `sigmoid`; its CPO has the same expression.
    leaf = policy.clone().requires_grad_()
    losses, *rewards = cpo("", "sigmoid", 0.1, leaf - reference, smoothing=0.25)
    store("smoothed-0.1", losses, losses.mean(), leaf, rewards)

    for kind, beta, alpha, gamma, smoothing in [
            ("sigmoid", 0.1, 1.0, 0, 0.1), ("hinge", 0.05, 0.5, 0, 0), ("ipo", 0.4, 0.0, 0, 0),
            ("simpo", 2.0, 0.0, 0.5, 0), ("simpo", 2.5, 0.3, 1.4, 0.1)]:
        leaf = policy.clone().requires_grad_()
        x = leaf / counts if kind in ["ipo", "simpo"] else leaf
        losses, *rewards = cpo("", kind, beta, x, smoothing, gamma)
        loss = losses.mean() - alpha * leaf[0].sum() / counts[0].sum()
        store(f"cpo-{kind}-{beta}", losses, loss, leaf, rewards)

    leaf = policy.clone().requires_grad_()
    narrow, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double
    losses, *rewards, ratio, odds = ORPOTrainer.odds_ratio_loss(
        stub(beta=0.2), *(leaf / counts))
    torch.Tensor.float = narrow
    # CrossEntropyLoss over the tokens of all chosen answers.
    store("orpo-0.2", -losses, -leaf[0].sum() / counts[0].sum() - losses.mean(), leaf, rewards[:2])
    golden["orpo-0.2.odds"] = torch.stack([ratio, odds])

    # LLaMA-Factory's pref_ftx: the mean over answers of the mean over tokens.
    leaf = policy.clone().requires_grad_()
    losses, *rewards = cpo("", "sigmoid", 0.1, leaf - reference)
    store("ftx-0.1", losses, (losses - 0.7 * leaf[0] / counts[0]).mean(), leaf, rewards)

    labels = torch.tensor([1, 0, 0, 1, 1, 0, 1]).bool()
    mismatched = noise(2, n)
    golden |= dict(labels=labels, mismatched=mismatched)
    for kind, shift in [("kto", 0.9), ("kto", -2.0), ("apo_zero_unpaired", 0.0)]:
        leaf = policy[0].clone().requires_grad_()
        logps, mask = spread(leaf, counts[0])
        this = stub(
            beta=0.12, loss_type=kind, desirable_weight=1.3, undesirable_weight=0.7,
            precompute_ref_logps=True, calculate_KL=kind == "kto",
            model=SimpleNamespace(training=True),
            _compute_kl_logps=lambda model, batch: mismatched[0] + shift)
        inputs = batch(counts[0], mask) | dict(
            label=labels, ref_logps=reference[0], ref_KL_logps=mismatched[1])
        loss = KTOTrainer._compute_loss(this, model_of(logps), inputs, False)
        found = this._metrics["train"]
        name = f"{kind}{shift}"
        golden[f"{name}.loss"] = loss[None]
        golden[f"{name}.gradients"] = torch.autograd.grad(loss, leaf)[0]
        golden[f"{name}.figures"] = [
            found["kl"][0], found["rewards/chosen"][0], found["rewards/rejected"][0]]
    save("preference", golden)


# Reward models

def make_rewards():
    n = 60
    scores = noise(2, n) * 1.7
    scores[0] += 0.6
    # One pair of equal scores; several will have equal lengths.
    scores[:, 7] = 0.5
    margins = noise(n).abs()
    golden = dict(scores=scores, margins=margins)
    for name, extra, coefficient in [
            ("plain", {}, None), ("margin", dict(margin=margins), None),
            ("centred", {}, 0.01), ("both", dict(margin=margins), 0.2)]:
        leaf = scores.clone().requires_grad_()

        def model(**_):
            return SimpleNamespace(logits=leaf.reshape(-1, 1))
        this = stub(args=SimpleNamespace(center_rewards_coefficient=coefficient),
                    model=SimpleNamespace(training=True))
        inputs = extra | dict(attention_mask=torch.ones(2 * n, 3))
        loss = RewardTrainer.compute_loss(this, model, inputs)
        golden[f"{name}.loss"] = loss[None]
        golden[f"{name}.gradients"] = torch.autograd.grad(loss, leaf)[0]
    steps = (noise(23) * 3).requires_grad_()
    labels = torch.cat([torch.arange(20) % 2, torch.tensor([0.25, 0.5, 0.9])]).double()
    loss = F.binary_cross_entropy_with_logits(steps, labels)
    golden |= dict(steps=steps, labels=labels, steps_loss=loss[None],
                   steps_gradients=torch.autograd.grad(loss, steps)[0])
    lengths = torch.randint(5, 12, (2, n), generator=GENERATOR)
    golden["lengths"] = lengths
    x, y = (scores[0] - scores[1]).numpy(), (lengths[0] - lengths[1]).numpy()
    confidence, right = 1 / (1 + np.exp(-abs(x))), x > 0
    edges = np.linspace(0.5, 1, 11)
    table, error = [], 0.0
    for i in range(10):
        inside = (confidence > edges[i]) & (confidence <= edges[i + 1])
        if i == 0:
            inside |= confidence == 0.5
        count = inside.sum()
        row = [count, confidence[inside].mean() if count else 0, right[inside].mean() if count else 0]
        table.append(row)
        error += count / n * abs(row[2] - row[1])
    golden |= dict(
        table=np.array(table), error=np.array([error]), correlation=np.corrcoef(x, y)[:1, 1],
        shares=np.array([right[y > 0].mean(), right[y < 0].mean(), (y > 0).sum(), (y < 0).sum()]))
    save("rewards", golden)


# Policies

def part_of(method, first, last):
    """The lines of a method from the one that starts so to the one that starts so, as code."""
    lines = inspect.getsource(method).splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip().startswith(first)]
    start = starts[0]
    end = next(i for i in range(start, len(lines)) if lines[i].strip().startswith(last))
    return compile(textwrap.dedent("\n".join(lines[start:end + 1])), "trl", "exec")


def make_advantages(golden):
    groups = noise(5, 4)
    groups[1] = 0.1
    groups[2] = torch.tensor([1.0, 0, 0, 1])
    groups[3, 2] = torch.nan
    golden["rewards"] = groups
    rewards = groups.reshape(-1)
    code = part_of(GRPOTrainer._generate_and_score_completions,
                   'if self.multi_objective_aggregation == "sum_then_normalize"',
                   "advantages = torch.nan_to_num")
    for scale in ["group", "none", "batch"]:
        space = dict(
            torch=torch, nanstd=nanstd, device="cpu", num_generations=4,
            rewards_per_func=rewards[:, None].clone(), unscorable_mask=rewards.isnan(),
            self=SimpleNamespace(
                multi_objective_aggregation="sum_then_normalize", scale_rewards=scale,
                reward_weights=torch.ones(1, dtype=torch.float64)))
        exec(code, space)
        golden[f"advantages.{scale}"] = space["advantages"].reshape(5, 4)
        if scale == "group":
            golden["zero_std"] = space["is_std_zero"].reshape(5, 4)[:, 0]
    code = part_of(RLOOTrainer._generate_and_score_completions,
                   "grouped_rewards = rewards.view", "advantages = torch.nan_to_num")
    space = dict(torch=torch, nanstd=nanstd, num_generations=4, rewards=rewards.clone(),
                 self=SimpleNamespace(normalize_advantages=False))
    exec(code, space)
    golden["advantages.rloo"] = space["advantages"].reshape(5, 4)
    plus = (rewards - rewards.nanmean()) / (nanstd(rewards) + 1e-4)
    golden["advantages.reinforce"] = plus.nan_to_num(0).reshape(5, 4)
    golden["reward_figures"] = torch.stack([rewards.nanmean(), nanstd(rewards)])
    punish = get_soft_overlong_punishment(max_completion_len=20, soft_punish_cache=6)
    golden["overlong"] = punish(completion_ids=[[0] * n for n in range(24)])


def make_policy():
    golden = {}
    make_advantages(golden)
    B, T = 6, 11
    lengths = torch.tensor([11, 4, 7, 1, 9, 6])
    completion = (torch.arange(T)[None] < lengths[:, None]).double()
    tools = torch.ones(B, T, dtype=torch.float64)
    tools[0, 3:6] = 0
    tools[4, 8] = 0
    policy = -noise(B, T).abs() - 0.01
    old = policy + 0.5 * noise(B, T)
    reference = policy + 0.5 * noise(B, T)
    advantages = noise(B)
    advantages[2] = 0
    mask = completion * tools
    golden |= dict(policy=policy, old=old, reference=reference, advantage=advantages, mask=mask,
                   completion=completion)
    per_token = advantages[:, None] + 0.3 * noise(B, T)
    golden["token_advantages"] = per_token

    def run(name, kind, level="token", low=0.2, high=0.28, delta=None, beta=0.0, on_policy=False,
            passes=1, given=advantages):
        leaf = policy.clone().requires_grad_()
        total = 0
        figures = []
        for part in torch.arange(B).chunk(passes):
            this = stub(
                top_entropy_quantile=1.0, off_policy_mask_threshold=None, beta=beta, use_vllm=False,
                importance_sampling_level=level, loss_type=kind, epsilon_low=low, epsilon_high=high,
                max_completion_length=16, _entropy_bonus_enabled=False,
                current_gradient_accumulation_steps=passes,
                args=SimpleNamespace(
                    delta=delta, use_bias_correction_kl=False, steps_per_generation=passes),
                model=SimpleNamespace(training=True),
                _get_per_token_logps_and_entropies=lambda *_, **__: (
                    leaf[part], torch.zeros_like(policy[part]), None))
            inputs = dict(
                prompt_ids=torch.zeros(len(part), 1), prompt_mask=torch.ones(len(part), 1),
                completion_ids=torch.zeros(len(part), T), completion_mask=completion[part],
                tool_mask=tools[part], advantages=given[part], num_items_in_batch=mask.sum(),
                ref_per_token_logps=reference[part])
            if not on_policy:
                inputs["old_per_token_logps"] = old[part]
            total = total + GRPOTrainer._compute_loss(this, None, inputs)
            figures.append({k: v[0] for k, v in this._metrics["train"].items()})
        golden[f"{name}.loss"] = total[None]
        golden[f"{name}.gradients"] = torch.autograd.grad(total, leaf)[0]
        if passes == 1:
            found = figures[0]
            clip = [found.get(f"clip_ratio/{x}", 0) for x in
                    ["low_mean", "low_min", "high_mean", "high_max", "region_mean"]]
            if kind == "cispo":
                clip[2] = clip[4] = found["cispo_clip_ratio"]
            golden[f"{name}.figures"] = clip + [found.get("kl", 0)]

    for kind in ["grpo", "bnpo", "dr_grpo", "dapo"]:
        run(kind, kind)
    run("on_policy", "grpo", on_policy=True)
    run("delta", "dapo", delta=1.4)
    run("kl", "grpo", beta=0.04)
    run("kl_dr", "dr_grpo", beta=0.3, on_policy=True)
    run("gspo", "grpo", level="sequence", low=0.05, high=0.1)
    run("gspo_delta_kl", "dapo", level="sequence", low=0.05, high=0.1, delta=1.15, beta=0.1)
    run("cispo", "cispo", high=1.2)
    run("cispo_kl", "cispo", level="sequence", high=1.05, beta=0.1)
    run("tokens", "dapo", given=per_token)
    run("bnpo_passes", "bnpo", passes=2)
    run("dapo_passes", "dapo", passes=3, beta=0.04)

    leaf = policy.clone().requires_grad_()
    this = stub(epsilon_low=0.2, epsilon_high=0.28, model=SimpleNamespace(training=True),
                _get_per_token_logps_and_entropies=lambda *_, **__: (
                    leaf, torch.zeros_like(policy), None))
    code = inspect.getsource(RLOOTrainer._compute_loss)
    assert "completion_mask).sum(1)" in code
    inputs = dict(
        prompt_ids=torch.zeros(B, 1), prompt_mask=torch.ones(B, 1),
        completion_ids=torch.zeros(B, T), completion_mask=mask, advantages=advantages,
        old_logps=(old * mask).sum(1))
    loss = RLOOTrainer._compute_loss(this, None, inputs)
    golden["rloo.loss"], golden["rloo.gradients"] = loss[None], torch.autograd.grad(loss, leaf)[0]
    found = this._metrics["train"]
    golden["rloo.figures"] = [found[f"clip_ratio/{x}"][0] for x in
                              ["low_mean", "low_min", "high_mean", "high_max", "region_mean"]] + [0]

    for name, formula in [
            ("k1", lambda p, q: p - q), ("k2", lambda p, q: (p - q) ** 2 / 2),
            ("k3", lambda p, q: torch.exp(q - p) - (q - p) - 1)]:
        leaf = policy.clone().requires_grad_()
        value = formula(leaf, reference)
        golden[f"{name}.values"] = value
        golden[f"{name}.derivatives"] = torch.autograd.grad(value.sum(), leaf)[0]
    save("policy", golden)


# PPO

def old_trl(folder):
    """Functions of trl 0.11.4 and the methods of its PPOTrainer, by name."""
    space = dict(torch=torch, np=np, F=F, warnings=__import__("warnings"), Optional=None,
                 flatten_dict=lambda x: x)
    wanted = {
        "core.py": ["masked_mean", "masked_var", "masked_whiten", "clip_by_value",
                    "entropy_from_logits"],
        "trainer/utils.py": ["AdaptiveKLController"],
        "trainer/ppo_trainer.py": ["compute_rewards", "_kl_penalty", "compute_advantages", "loss"]}
    for file, names in wanted.items():
        tree = ast.parse((Path(folder) / "trl" / file).read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
                node.decorator_list = []
                module = ast.Module([node], [])
                flags = __future__.annotations.compiler_flag
                exec(compile(module, file, "exec", flags=flags), space)
    return SimpleNamespace(**space)


def make_ppo(folder):
    trl = old_trl(folder)
    B, T = 5, 9
    lengths = torch.tensor([9, 3, 6, 1, 8])
    mask = (torch.arange(T)[None] < lengths[:, None]).long()
    holes = mask.clone()
    holes[0, 2:5] = 0
    holes[4, 0] = 0
    old = -noise(B, T).abs()
    reference, policy = old + 0.4 * noise(B, T), old + 0.3 * noise(B, T)
    scores, values, moved = noise(B), noise(B, T), 0.3 * noise(B, T)
    ended = torch.tensor([1, 0, 1, 1, 0])
    golden = dict(mask=mask, holes=holes, old=old, reference=reference, policy=policy, scores=scores,
                  values=values, ended=ended)

    final = scores - 0.9 * (1 - ended)
    this = SimpleNamespace(
        kl_ctl=SimpleNamespace(value=0.07),
        config=SimpleNamespace(kl_penalty="kl", whiten_rewards=False, gamma=0.98, lam=0.9,
                               cliprange=0.2, cliprange_value=0.2, vf_coef=1.0,
                               ratio_threshold=10.0))
    this._kl_penalty = lambda *x: trl._kl_penalty(this, *x)
    rewards, _, kl = trl.compute_rewards(this, final, old, reference, mask)
    golden["rewards"] = rewards * mask
    golden["kl"] = (kl * mask).sum(1).mean()[None]
    whitened = trl.masked_whiten(rewards, mask, shift_mean=False) * mask
    golden["whitened"] = whitened
    for name, given in [("plain", rewards), ("white", whitened)]:
        _, advantages, returns = trl.compute_advantages(this, values, given, mask)
        golden[f"{name}.advantages"], golden[f"{name}.returns"] = advantages * mask, returns * mask

    # The recursion over the tokens that count, one row at a time.
    rows = torch.zeros(B, T, dtype=torch.float64)
    for b in range(B):
        places = holes[b].nonzero()[:, 0].tolist()
        for i, t in enumerate(places):
            for j, s in enumerate(places[i:]):
                following = values[b, places[i + j + 1]] if i + j + 1 < len(places) else 0.0
                error = rewards[b, s] + 0.98 * following - values[b, s]
                rows[b, t] += (0.98 * 0.9) ** j * error
    golden["holes.advantages"] = rows

    advantages, returns = golden["plain.advantages"], golden["plain.returns"]
    policy, fresh = policy.clone().requires_grad_(), (values + moved).requires_grad_()
    loss, value_loss, stats = trl.loss(
        this, old, values * mask, torch.zeros(B, T, 3).double(), fresh, policy, mask, advantages,
        returns)
    golden |= {
        "fresh": fresh, "policy.loss": loss[None], "values.loss": value_loss[None],
        "policy.gradients": torch.autograd.grad(loss, policy)[0],
        "values.gradients": torch.autograd.grad(value_loss, fresh)[0],
        "clipped": [stats["policy"]["clipfrac"], stats["val"]["clipfrac"]]}

    controller = trl.AdaptiveKLController(0.2, 6.0, 1000)
    course = []
    divergences = [3.0, 6.0, 6.5, 20.0, 5.9, 0.0, 7.0]
    for divergence in divergences:
        controller.update(divergence, 64)
        course.append(controller.value)
    golden |= dict(divergences=divergences, course=course)
    save("ppo", golden)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", required=True, help="a folder with trl 0.11.4")
    folder = parser.parse_args().old
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    ROOT.mkdir(parents=True, exist_ok=True)
    for seed, make in enumerate([make_preference, make_rewards, make_policy,
                                 lambda: make_ppo(folder)]):
        GENERATOR.manual_seed(SEED + seed)
        make()


if __name__ == "__main__":
    main()
