"""Yuyan's command beside PyTorch's libraries: the same ids, and what each thinks of them."""

import json
import subprocess

import pytest

from conftest import BINARY, ROOT

# Without these there is nothing to compare with; scripts/client-venv installs them.
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

torch.set_num_threads(2)
transformers.utils.logging.disable_progress_bar()
GOLDENS = ROOT / "Tests" / "Goldens"
BASE = GOLDENS / "models" / "llama-gqa"
BASE_GGUF = GOLDENS / "models" / "gguf" / "llama-gqa.gguf"
TEXT = "abc, de fgh. abcd ef"


def yuyan(*arguments, check=True, **options):
    done = subprocess.run(
        [BINARY, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=600, **options)
    assert not check or done.returncode == 0, done.stderr
    return done


def ours(model, adapter=None, text=TEXT, precision="f32"):
    """Ids of a text and the log-probability of each but the first, by `yuyan generate`."""
    extra = ["--adapter", adapter] if adapter else []
    found = json.loads(yuyan(
        "generate", "--model", model, "--raw", "--prompt", text, "--max-tokens", 1, "--logprobs",
        1, "--kv", "f32", "--precision", precision, "--json", *extra).stdout)
    return found["prompt_tokens"], [entry["logprob"] for entry in found["prompt_logprobs"][1:]]


def base(path=BASE):
    return transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager").eval()


def theirs(model, ids):
    """The same log-probabilities by a module of PyTorch."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    found = torch.log_softmax(logits, dim=-1)
    return [found[place, token].item() for place, token in enumerate(ids[1:])]


def assert_close(found, expected, tolerance=2e-4):
    assert len(found) == len(expected) > 5
    worst = max(abs(a - b) for a, b in zip(found, expected))
    assert worst < tolerance, worst
