"""`lm-eval` with `local-completions`: its log-likelihoods, beside those of `yuyan generate`."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BINARY, MODEL

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("YUYAN_HOME") or Path.home() / ".cache" / "yuyan")
TOKENIZER = CACHE / "tokenizers" / "smollm"


@pytest.fixture(scope="module", params=["remote", "huggingface"])
def evaluated(request, server, tmp_path_factory):
    """The samples of both tasks, with the server's tokenizer and with the file's."""
    if request.param == "huggingface" and not (TOKENIZER / "tokenizer.json").exists():
        pytest.skip("no tokenizer.json; scripts/client-venv fetches it")
    out = tmp_path_factory.mktemp("lm-eval")
    arguments = {
        "model": server.model, "base_url": f"{server.base}/v1/completions",
        "num_concurrent": 4, "max_retries": 1, "tokenizer_backend": request.param,
        "tokenizer": TOKENIZER, "max_length": 2048}
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args",
         ",".join(f"{key}={value}" for key, value in arguments.items()),
         "--tasks", "yuyan_choice,yuyan_answer", "--include_path", "lm_eval_task",
         "--output_path", out, "--log_samples", "--batch_size", "2"],
        cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
             "HF_DATASETS_CACHE": str(out / "datasets")})
    assert done.returncode == 0, done.stdout[-4000:]
    samples = {}
    for path in out.rglob("samples_*.jsonl"):
        task = "yuyan_choice" if "yuyan_choice" in path.name else "yuyan_answer"
        samples[task] = [json.loads(line) for line in path.read_text().splitlines()]
    return samples


@pytest.mark.ours
def test_log_likelihoods_are_those_of_the_command(evaluated, score):
    compared = 0
    for sample in evaluated["yuyan_choice"]:
        for ending, response in zip(sample["doc"]["endings"], sample["filtered_resps"]):
            found = float(response[0])
            start, whole = sample["doc"]["start"], f"{sample['doc']['start']} {ending}"
            ids, values = score(whole)
            known, _ = score(start)
            assert ids[:len(known)] == known, "the start must not melt into the ending"
            assert found == pytest.approx(math.fsum(values[len(known):]), abs=1e-4)
            compared += 1
    assert compared == 13


def test_the_likelier_ending_is_mostly_right(evaluated):
    right = [sample["acc"] for sample in evaluated["yuyan_choice"]]
    assert len(right) == 6 and sum(right) >= 4


def test_answers_end_where_they_should(evaluated):
    for sample in evaluated["yuyan_answer"]:
        text = sample["resps"][0][0]
        assert text and "\n" not in text and "." not in text
    assert sum(sample["exact_match"] for sample in evaluated["yuyan_answer"]) >= 2


@pytest.mark.ours
def test_eval_scores_as_lm_eval_does(evaluated, tmp_path):
    """`yuyan eval` without a server: the same log-likelihoods, answers and figures."""
    samples = tmp_path / "samples.jsonl"
    done = subprocess.run(
        [BINARY, "eval", "--model", MODEL, "--data", HERE / "lm_eval_task" / "choice.jsonl",
         "--samples", samples, "--json"], stdout=subprocess.PIPE, check=True, timeout=600)
    figures = json.loads(done.stdout)["tasks"][0]["metrics"]
    ours = [json.loads(line) for line in samples.read_text().splitlines()]
    theirs = sorted(evaluated["yuyan_choice"], key=lambda sample: sample["doc_id"])
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        expected = [float(response[0]) for response in other["filtered_resps"]]
        assert mine["log_likelihoods"] == pytest.approx(expected, abs=1e-4)
        assert mine["acc"] == other["acc"]
    right = [sample["acc"] for sample in theirs]
    mean = sum(right) / len(right)
    error = math.sqrt(mean * (1 - mean) / (len(right) - 1))
    assert figures["acc"]["value"] == pytest.approx(mean)
    assert figures["acc"]["stderr"] == pytest.approx(error)
    low, high = figures["acc"]["ci95"]
    assert 0 <= low <= mean <= high <= 1

    done = subprocess.run(
        [BINARY, "eval", "--model", MODEL, "--data", HERE / "lm_eval_task" / "answer.jsonl",
         "--until", "\n", "--until", ".", "--max-gen-toks", "8", "--regex", r"(\w+)",
         "--samples", samples, "--json"], stdout=subprocess.PIPE, check=True, timeout=600)
    task = json.loads(done.stdout)["tasks"][0]
    ours = [json.loads(line) for line in samples.read_text().splitlines()]
    theirs = sorted(evaluated["yuyan_answer"], key=lambda sample: sample["doc_id"])
    assert task["kind"] == "generate" and len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        assert mine["answer"] == other["resps"][0][0]
        assert mine["exact_match"] == other["exact_match"]
