"""Scores of TRL's published reward functions, for Sources/YuyanTrain/Rewards.

Run from the root of the repository with the unpacked wheel of trl 1.16.0 (pip download --no-deps
trl==1.16.0; unzip) and nothing else installed; its functions are plain Python:
  python Tools/goldens/rewards.py PATH/trl
Writes Tests/Goldens/training/rewards.json, seeded. Correctness, which TRL asks math-verify for, is part
of the input: only the cosine is compared.
"""

import importlib.util
import json
import random
import sys
import types
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/training/rewards.json"


def module(folder: Path, name: str):
    spec = importlib.util.spec_from_file_location(f"trl.rewards.{name}", folder / "rewards" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def main() -> None:
    folder = Path(sys.argv[1])
    for name in ["trl", "trl.rewards"]:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
    helper = types.ModuleType("trl.import_utils")
    helper.is_math_verify_available = lambda: False
    sys.modules["trl.import_utils"] = helper
    accuracy, formats, other = (
        module(folder, f"{name}_rewards") for name in ["accuracy", "format", "other"])
    random.seed(20251122)
    cases = {"repetition": [], "overlong": [], "cosine": [], "format": []}

    for size in [1, 2, 3, 5]:
        for most in [-1.0, -0.3]:
            ids = [[random.randrange(kinds) for _ in range(random.randrange(40))]
                   for kinds in [1, 2, 3, 10, 1000] for _ in range(4)]
            scores = other.get_repetition_penalty_reward(size, most)(ids)
            cases["repetition"].append({"size": size, "most": most, "ids": ids, "scores": scores})

    for most, cache in [(100, 20), (64, 0), (50, 50), (7, 3)]:
        lengths = sorted({0, 1, most - cache - 1, most - cache, most - cache + 1, most - 1, most,
                          most + 1, 3 * most} - {-1})
        scores = other.get_soft_overlong_punishment(most, cache)([[1] * n for n in lengths])
        cases["overlong"].append({"most": most, "cache": cache, "lengths": lengths, "scores": scores})

    for ends in [(-1.0, -0.5, 0.5, 1.0), (-10.0, 0.0, 1.0, 2.0)]:
        for most in [1, 30, 100]:
            lengths = [0, 1, most // 3, most // 2, most - 1, most, most + 1, 5 * most] * 3
            correct = [index % 3 for index in range(len(lengths))]
            accuracy.accuracy_reward = lambda completions, solution: [
                None if c == 2 else float(c) for c in correct]
            scores = accuracy.get_cosine_scaled_reward(most, *ends)(
                [None] * len(lengths), [None] * len(lengths), [[1] * n for n in lengths])
            cases["cosine"].append({
                "most": most, "ends": ends, "lengths": lengths, "correct": correct,
                "scores": scores})

    texts = [
        "<think>a</think>b", "<think>\na\n</think>\nb", "<think></think>", "<think>a</think>",
        "<think>a", "a</think>b", "x<think>a</think>b", "<think><think>a</think>b", "",
        "<think>a</think>b<think>", "think", "<think>雨</think>答", "</think><think>",
        "<THINK>a</THINK>", "<think>a</ think>b", "<think>a<answer>b</answer></think>c",
    ]
    scores = formats.think_format_reward([[{"content": text}] for text in texts])
    cases["format"] = [{"text": text, "score": score} for text, score in zip(texts, scores)]
    OUT.write_text(json.dumps(cases, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
