"""Reward models that `yuyan train` made, scored by transformers, by peft and by the server."""

import json

import httpx
import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: E402

import servers  # noqa: E402
from conftest import BINARY  # noqa: E402
from interop import BASE, BASE_GGUF, yuyan  # noqa: E402

pytestmark = pytest.mark.ours
PAIRS = [(f"abc {row}", f" de {row * 7 % 10}", f" fg {row % 3} h") for row in range(12)]


@pytest.fixture(scope="module", params=["full", "lora"])
def judge(request, tmp_path_factory):
    """A trained reward model, and what its last evaluation said."""
    folder = tmp_path_factory.mktemp(request.param)
    data = folder / "pairs.jsonl"
    data.write_text("".join(
        json.dumps({"prompt": a, "chosen": b, "rejected": c}) + "\n" for a, b, c in PAIRS))
    out = folder / "judge"
    yuyan("train", "--model_name_or_path", BASE_GGUF, "--stage", "rm", "--dataset", data,
          "--eval_dataset", data, "--output_dir", out, "--finetuning_type", request.param,
          "--learning_rate", "1e-2", "--max_steps", 6, "--eval_steps", 6, "--precision", "f32",
          "--per_device_train_batch_size", 4, "--report_samples", 0)
    lines = [json.loads(line) for line in open(out / "metrics.jsonl")]
    return request.param, folder, out, [line for line in lines if "eval_loss" in line][-1]


def tokens(folder, text):
    """Ids as they are trained on: an end token behind the answer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]


def scores(model, folder, texts):
    with torch.no_grad():
        return [
            model(input_ids=torch.tensor([tokens(folder, text)])).logits.item() for text in texts]


def test_pytorch_gives_the_scores_of_the_evaluation(judge, tmp_path):
    kind, _, out, evaluation = judge
    if kind == "full":
        folder = out
        model = AutoModelForSequenceClassification.from_pretrained(out, dtype=torch.float32)
    else:
        # The adapter has no tokenizer; a converted base has the one that it was trained with.
        folder = tmp_path / "base"
        yuyan("train", "--model_name_or_path", BASE_GGUF, "--dataset",
              judge[1] / "pairs.jsonl", "--stage", "rm", "--finetuning_type", "full",
              "--output_dir", folder, "--max_steps", 1, "--report_samples", 0)
        base = AutoModelForSequenceClassification.from_pretrained(
            BASE, dtype=torch.float32, num_labels=1)
        # The score is taken behind the last token that is no padding, which the base has to know.
        base.config.pad_token_id = AutoTokenizer.from_pretrained(folder).pad_token_id
        model = PeftModel.from_pretrained(base, out)
    chosen = scores(model.eval(), folder, [a + b for a, b, _ in PAIRS])
    rejected = scores(model, folder, [a + c for a, _, c in PAIRS])
    margin = sum(a - b for a, b in zip(chosen, rejected)) / len(PAIRS)
    mean = sum(a + b for a, b in zip(chosen, rejected)) / 2 / len(PAIRS)
    assert margin == pytest.approx(evaluation["eval_margin"], abs=1e-4)
    assert mean == pytest.approx(evaluation["eval_mean_reward"], abs=1e-4)
    right = sum(a > b for a, b in zip(chosen, rejected)) / len(PAIRS)
    assert right == pytest.approx(evaluation["eval_accuracy"])


def test_the_server_gives_the_scores_of_the_evaluation(judge):
    kind, _, out, evaluation = judge
    # A whole model is served under its folder's name.
    model, adapter = (str(out), []) if kind == "full" else (BASE_GGUF, ["--adapter", f"judge={out}"])
    server = servers.yuyan(BINARY, model, 2, adapter + ["--precision", "f32", "--kv", "f32"])
    try:
        server.wait_until_ready()
        answer = httpx.post(f"{server.base}/v1/score", json={
            "model": "judge", "messages": [a + b for a, b, _ in PAIRS] + [a + c for a, _, c in PAIRS],
        }).raise_for_status().json()
    finally:
        server.stop()
    found = answer["scores"]
    margin = (sum(found[:12]) - sum(found[12:])) / 12
    assert margin == pytest.approx(evaluation["eval_margin"], abs=1e-4)
