"""Reference results for Sources/YuyanEngine/Sampling, from transformers and from plain loops.

Run from the root of the repository: python Tools/goldens/sampling.py
Writes Tests/Goldens/sampling/*.txt. Floats are the hexadecimal bits of float32 unless said
otherwise. A line starts with its kind:
  logits NAME bits...                       a row of logits, referred to by name
  warp ROW TEMPERATURE TOPK TYPICAL TOPP MINP | id:bits ...   surviving tokens, probabilities
  penalty ROW REPETITION PRESENCE FREQUENCY WINDOW PROMPT/GENERATED | bits...   penalised logits
  ngram ROW N HISTORY | id ...              forbidden tokens
  dry ROW MULT BASE ALLOWED LASTN BREAKERS HISTORY | bits...
  logprobs ROW K TOKEN | bits id:bits ...   float64 log-softmax rounded to float32
"""
import random
import struct
from pathlib import Path

import torch
from transformers.generation.logits_process import (
    MinLengthLogitsProcessor, MinPLogitsWarper, NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper,
    TopPLogitsWarper, TypicalLogitsWarper)

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/sampling"


def bits(x):
    return struct.pack(">f", x).hex()


def ids(tokens):
    return ",".join(map(str, tokens)) or "-"


def rows():
    g = torch.Generator().manual_seed(20)
    yield "normal", torch.randn(300, generator=g) * 3
    yield "peaked", torch.randn(257, generator=g) * 9
    yield "flat", torch.randn(400, generator=g) * 0.05
    yield "tiny", torch.tensor([0.5, -1.0, 2.0])
    masked = torch.randn(100, generator=g) * 2
    masked[::3] = -float("inf")
    yield "masked", masked
    yield "wide", torch.randn(1100, generator=g) * 2 - 40


def warpers():
    lines, table = [], dict(rows())
    settings = [(1, 0, 1, 1, 0), (0.5, 0, 1, 1, 0), (1.7, 0, 1, 1, 0)]
    settings += [(1, k, 1, 1, 0) for k in (2, 5, 40, 250)]
    settings += [(1, 0, 1, p, 0) for p in (0.05, 0.5, 0.9, 0.99)]
    settings += [(1, 0, 1, 1, p) for p in (0.02, 0.1, 0.7)]
    settings += [(1, 0, p, 1, 0) for p in (0.1, 0.5, 0.95)]
    settings += [(0.7, 50, 1, 0.9, 0.05), (1.3, 200, 0.9, 0.95, 0.01), (0.2, 20, 0.5, 0.5, 0.2),
                 (2.0, 0, 0.8, 0.8, 0.02)]
    for name, row in table.items():
        for t, k, typical, p, m in settings:
            x = row[None].clone()
            # The order documented by Sampler, with one processor of transformers for each step.
            if t != 1:
                x = TemperatureLogitsWarper(float(t))(None, x)
            if k:
                x = TopKLogitsWarper(k)(None, x)
            if typical < 1:
                x = TypicalLogitsWarper(typical)(None, x)
            if p < 1:
                x = TopPLogitsWarper(p)(None, x)
            if m:
                x = MinPLogitsWarper(m)(None, x)
            probabilities = torch.softmax(x[0].double(), -1)
            kept = [(i, q) for i, q in enumerate(probabilities.tolist()) if x[0, i] > -float("inf")]
            lines.append(f"warp {name} {t} {k} {typical} {p} {m} | "
                         + " ".join(f"{i}:{bits(q)}" for i, q in kept))
    return [f"logits {n} " + " ".join(map(bits, r.tolist())) for n, r in table.items()] + lines


def penalties():
    rng, lines = random.Random(5), []
    row = torch.randn(40, generator=torch.Generator().manual_seed(6)) * 4
    row[7] = 0.0
    lines.append("logits row " + " ".join(map(bits, row.tolist())))
    for case in range(24):
        prompt = [rng.randrange(40) for _ in range(rng.randrange(0, 12))]
        generated = [rng.randrange(40) for _ in range(rng.randrange(1, 30))]
        repetition = rng.choice([1.0, 1.1, 1.5, 0.7])
        presence = rng.choice([0.0, 0.5, -1.5])
        frequency = rng.choice([0.0, 0.25, 1.0, -0.5])
        window = rng.choice([0, 0, 1, 4, 16])
        both = prompt + generated
        seen = both[-window:] if window else both
        answer = generated[-window:] if window else generated
        x = RepetitionPenaltyLogitsProcessor(repetition)(torch.tensor([seen]), row[None].clone())[0]
        # OpenAI's documented formula, on the tokens of the answer.
        counts = torch.bincount(torch.tensor(answer), minlength=40).float()
        x = x - counts * frequency
        x = x - (counts > 0).float() * presence
        lines.append(f"penalty row {repetition} {presence} {frequency} {window} "
                     f"{ids(prompt)}/{ids(generated)} | " + " ".join(map(bits, x.tolist())))
    for case in range(40):
        n = rng.choice([1, 2, 2, 3, 4])
        history = [rng.randrange(rng.choice([3, 6])) for _ in range(rng.randrange(1, 40))]
        x = NoRepeatNGramLogitsProcessor(n)(torch.tensor([history]), row[None].clone())[0]
        forbidden = [i for i in range(40) if x[i] == -float("inf")]
        lines.append(f"ngram row {n} {ids(history)} | {' '.join(map(str, forbidden))}")
    for length in (1, 2, 3):
        x = MinLengthLogitsProcessor(3, [4, 9], device="cpu")(
            torch.zeros((1, length), dtype=torch.long), row[None].clone())[0]
        forbidden = [i for i in range(40) if x[i] == -float("inf")]
        lines.append(f"minlength row 3 4,9 {length} | {' '.join(map(str, forbidden))}")
    return lines


def dry(row, history, multiplier, base, allowed, last_n, breakers):
    """The published description, in the plainest way."""
    window = history[-last_n:] if last_n else list(history)
    n = len(window)
    limit = n
    for back in range(n):  # the latest place where a breaker starts and is complete
        start = n - 1 - back
        found = [len(b) for b in breakers if window[start:start + len(b)] == b]
        if found:
            limit = n - start - max(found)
            break
    penalty = {}
    for place in range(n - 1):  # the token at place + 1 followed a possible repeat
        length = 0
        while (length < limit and place - length >= 0
               and window[place - length] == window[n - 1 - length]):
            length += 1
        follower = window[place + 1]
        if length >= allowed and [follower] not in breakers:
            penalty[follower] = max(penalty.get(follower, 0), length)
    x = row.clone()
    for token, length in penalty.items():
        x[token] -= torch.tensor(multiplier * base ** (length - allowed), dtype=torch.float32)
    return x


def dry_cases():
    rng, lines = random.Random(8), []
    row = torch.randn(12, generator=torch.Generator().manual_seed(9)) * 4
    lines.append("logits row " + " ".join(map(bits, row.tolist())))
    for case in range(120):
        vocabulary = rng.choice([2, 3, 5, 12])
        history = [rng.randrange(vocabulary) for _ in range(rng.randrange(1, 60))]
        if rng.random() < 0.5:
            piece = history[:rng.randrange(1, 9)]
            history += piece + [rng.randrange(12)] + piece
        breakers = rng.choice([[], [], [[1]], [[0], [4]], [[1, 2]], [[2, 0, 1], [0]],
                               [[1, 2], [2], [1, 2, 0]]])
        allowed, last_n = rng.choice([1, 2, 3]), rng.choice([0, 0, 5, 20])
        multiplier, base = rng.choice([0.5, 0.75, 1.0]), rng.choice([1.0, 1.25, 1.75])
        x = dry(row, history, multiplier, base, allowed, last_n, breakers)
        text = ";".join(map(ids, breakers)) or "-"
        lines.append(f"dry row {multiplier} {base} {allowed} {last_n} {text} {ids(history)} | "
                     + " ".join(map(bits, x.tolist())))
    return lines


def logprobs():
    lines, table = [], dict(rows())
    for name, row in table.items():
        exact = torch.log_softmax(row.double(), -1)
        order = sorted(range(len(row)), key=lambda i: (-row[i].item(), i))
        for k in (0, 1, 5, 20, 300):
            token = (k * 7 + 1) % len(row)
            top = [i for i in order[:k]]
            lines.append(f"logprobs {name} {k} {token} | {bits(exact[token].item())} "
                         + " ".join(f"{i}:{bits(exact[i].item())}" for i in top))
    return [f"logits {n} " + " ".join(map(bits, r.tolist())) for n, r in table.items()] + lines


OUT.mkdir(parents=True, exist_ok=True)
for file, lines in [("warpers", warpers()), ("penalties", penalties()), ("dry", dry_cases()),
                    ("logprobs", logprobs())]:
    (OUT / f"{file}.txt").write_text("\n".join(lines) + "\n")
