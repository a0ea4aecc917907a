"""What `yuyan train` writes, read by tensorboard, peft and transformers."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

from peft import PeftModel  # noqa: E402

from interop import BASE_GGUF, GOLDENS, assert_close, base, ours, theirs, yuyan  # noqa: E402

pytestmark = pytest.mark.ours
STEPS = 12


def train(folder, *more, steps=STEPS, name="out"):
    data = folder / "data.jsonl"
    with open(data, "w") as file:
        for row in range(16):
            file.write(json.dumps({"prompt": f"abc {row}", "completion": f" de {row % 7}"}) + "\n")
    out = folder / name
    yuyan("train", "--model_name_or_path", BASE_GGUF, "--dataset", data, "--output_dir", out,
          "--per_device_train_batch_size", 2, "--max_steps", steps, "--save_steps", 4,
          "--logging_steps", 1, "--val_size", 4, "--eval_steps", 4, "--learning_rate", "2e-2",
          "--precision", "f32", *more)
    return out


def log(out):
    return [json.loads(line) for line in open(out / "metrics.jsonl")]


def test_tensorboard_reads_the_events(tmp_path):
    out = train(tmp_path, "--lora_rank", 2)
    events = tensorboard.EventAccumulator(str(out / "runs"))
    events.Reload()
    for tag, key in [("train/loss", "loss"), ("train/learning_rate", "learning_rate"),
                     ("train/grad_norm", "grad_norm"), ("eval/loss", "eval_loss")]:
        expected = [(line["step"], line[key]) for line in log(out) if key in line]
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in found] == [step for step, _ in expected], tag
        assert [v for _, v in found] == pytest.approx([v for _, v in expected], rel=1e-6), tag


def test_a_resumed_run_is_one_run_to_tensorboard(tmp_path):
    train(tmp_path, "--lora_rank", 2, steps=6)
    out = train(tmp_path, "--lora_rank", 2, "--lr_scheduler_type", "linear", steps=12)
    events = tensorboard.EventAccumulator(str(out / "runs"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 13))


@pytest.mark.parametrize("kind", [
    [], ["--use_rslora", "true"], ["--use_dora", "true"],
    ["--lora_target", "q_proj,v_proj", "--rank_pattern", "{q_proj: 3}"],
    ["--lora_target", "q_proj,v_proj,up_proj", "--alpha_pattern", '{"q_pro.": 64, "(up|v)_proj": 1}',
     "--rank_pattern", '{"layers.1.*_proj": 5, v_proj: 1}'],
    ["--lora_target", "q_proj", "--additional_target", "embed_tokens,lm_head"],
])
def test_peft_computes_what_was_trained(tmp_path, kind):
    out = train(tmp_path, "--lora_rank", 2, *kind)
    losses = [line["loss"] for line in log(out) if "loss" in line]
    assert losses[-1] < losses[0]
    ids, expected = ours(BASE_GGUF, out)
    plain = ours(BASE_GGUF)[1]
    assert max(abs(a - b) for a, b in zip(expected, plain)) > 1e-3
    assert_close(theirs(PeftModel.from_pretrained(base(), out), ids), expected, 2e-4)


def test_peft_computes_what_was_trained_with_a_tied_head(tmp_path):
    model = GOLDENS / "models" / "gguf" / "llama-tied.gguf"
    out = train(tmp_path, "--lora_rank", 2, "--model_name_or_path", model, "--additional_target",
                "embed_tokens")
    last = [line["eval_loss"] for line in log(out) if "eval_loss" in line][-1]
    ids, expected = ours(model, out)
    tied = PeftModel.from_pretrained(base(GOLDENS / "models" / "llama-tied"), out)
    assert_close(theirs(tied, ids), expected, 2e-4)
    # A run that goes on from it begins where this one ended.
    further = train(tmp_path, "--lora_rank", 2, "--model_name_or_path", model,
                    "--additional_target", "embed_tokens", "--adapter_name_or_path", out,
                    "--eval_on_start", "true", name="further")
    assert log(further)[0]["eval_loss"] == pytest.approx(last, rel=1e-6)


@pytest.mark.parametrize("place", ["", "checkpoint-8"])
def test_transformers_computes_what_was_trained(tmp_path, place):
    out = train(tmp_path, "--finetuning_type", "full") / place
    ids, expected = ours(out)
    assert_close(theirs(base(out), ids), expected, 2e-4)
