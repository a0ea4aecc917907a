"""Adapters between Yuyan, peft and llama.cpp: whoever wrote them, all compute the same."""

import json
import os
import resource
import shutil
import signal
from pathlib import Path

import httpx
import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from safetensors import safe_open  # noqa: E402

import interop  # noqa: E402
from conftest import CACHE  # noqa: E402
from interop import BASE_GGUF, assert_close, base, ours, theirs, yuyan  # noqa: E402

import servers  # noqa: E402

pytestmark = pytest.mark.ours
KINDS = {
    "plain": dict(r=4, lora_alpha=8, target_modules="all-linear"),
    "rslora": dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "o_proj"]),
    "dora": dict(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj", "k_proj", "up_proj"]),
    "patterns": dict(
        r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj"],
        rank_pattern={"layers.0.self_attn.q_proj": 2}, alpha_pattern={"k_proj": 3}),
    "saved": dict(
        r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=["embed_tokens", "lm_head"]),
    "embedding": dict(r=2, lora_alpha=4, target_modules=["embed_tokens", "k_proj"]),
}


def random_adapter(folder, **settings):
    """Saves an adapter of peft whose updates are not small."""
    generator = torch.Generator().manual_seed(5)
    model = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **settings))
    for key, parameter in sorted(model.named_parameters()):
        if "lora_" in key or "modules_to_save" in key:
            noise = torch.randn(parameter.shape, generator=generator)
            keeps = "magnitude" in key or "modules_to_save" in key
            parameter.data = parameter.data * (1 + 0.3 * noise) if keeps else 0.3 * noise
    model.save_pretrained(folder)
    return folder


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def saved(kind, tmp_path):
    return random_adapter(tmp_path / "adapter", **KINDS[kind])


def test_an_adapter_of_peft_is_loaded(saved):
    plain_ids, plain = ours(BASE_GGUF)
    ids, found = ours(BASE_GGUF, saved)
    assert ids == plain_ids and max(abs(a - b) for a, b in zip(found, plain)) > 0.05
    assert_close(found, theirs(PeftModel.from_pretrained(base(), saved).eval(), ids))


def test_a_merged_adapter_is_loaded_by_transformers(saved, tmp_path):
    out = tmp_path / "merged"
    report = json.loads(yuyan(
        "adapter", "merge", saved, out, "--model", BASE_GGUF, "--type", "f32", "--precision", "f32",
        "--json").stdout)
    assert report["mean_kl"] < 1e-6 and report["max_logit_change"] < 1e-2
    ids, found = ours(BASE_GGUF, saved)
    assert_close(found, theirs(base(out), ids))
    # And Yuyan reads its own file alike, with the tokenizer that it rebuilt.
    again, own = ours(out)
    assert again == ids
    assert_close(own, found)


@pytest.mark.parametrize("kind", ["plain", "rslora", "patterns", "embedding"])
def test_an_adapter_goes_to_gguf_and_back_to_peft(kind, tmp_path):
    saved = random_adapter(tmp_path / "adapter", **KINDS[kind])
    gguf, back = tmp_path / "adapter.gguf", tmp_path / "back"
    yuyan("adapter", "convert", saved, gguf, "--model", BASE_GGUF)
    yuyan("adapter", "convert", gguf, back, "--model", BASE_GGUF)
    expected = theirs(PeftModel.from_pretrained(base(), saved).eval(), ours(BASE_GGUF)[0])
    for path in (gguf, back):
        assert_close(ours(BASE_GGUF, path)[1], expected)
    model = PeftModel.from_pretrained(base(), back).eval()
    assert_close(theirs(model, ours(BASE_GGUF)[0]), expected)
    with safe_open(back / "adapter_model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert all("lora_" in key for key in file.keys())


@pytest.mark.parametrize("kind", ["dora", "saved"])
def test_what_gguf_cannot_hold_is_refused(kind, tmp_path):
    saved = random_adapter(tmp_path / "adapter", **KINDS[kind])
    done = yuyan(
        "adapter", "convert", saved, tmp_path / "x.gguf", "--model", BASE_GGUF, check=False)
    assert done.returncode == 1 and "merge" in done.stderr
    assert not (tmp_path / "x.gguf").exists()


def test_inspect_counts_what_is_there(saved):
    found = json.loads(yuyan("adapter", "inspect", saved, "--json").stdout)
    with safe_open(saved / "adapter_model.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    assert found["parameters"] == sum(tensor.numel() for tensor in tensors.values())
    config = json.loads((saved / "adapter_config.json").read_text())
    for module in found["modules"]:
        if module["rank"] is None:
            continue
        assert module["dora"] == config["use_dora"]
        name = f"base_model.model.{module['path']}"
        names = ("lora_A.weight", "lora_B.weight")
        if f"{name}.lora_A.weight" not in tensors:
            names = ("lora_embedding_A", "lora_embedding_B")
        down, up = (tensors[f"{name}.{half}"] for half in names)
        norm = (module["scale"] * up.double() @ down.double()).norm().item()
        assert module["rank"] == down.shape[0]
        assert module["norm"] == pytest.approx(norm, rel=1e-6)
    assert "Modules" in yuyan("adapter", "inspect", saved).stdout


def test_a_result_that_drifts_is_refused(tmp_path):
    saved = random_adapter(tmp_path / "adapter", **KINDS["plain"])
    arguments = ["adapter", "merge", saved, tmp_path / "out", "--model", BASE_GGUF, "--type", "bf16"]
    done = yuyan(*arguments, "--max-kl", "1e-12", check=False)
    assert done.returncode == 1 and "--max-kl" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]
    yuyan(*arguments, "--max-kl", "inf")
    assert base(tmp_path / "out").dtype == torch.float32


@pytest.mark.parametrize("output", ["out", "out.gguf"])
def test_a_full_disk_leaves_nothing_behind(output, tmp_path):
    saved = random_adapter(tmp_path / "adapter", **KINDS["plain"])

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = yuyan(
        "adapter", "merge", saved, tmp_path / output, "--model", BASE_GGUF, check=False,
        preexec_fn=small_files)
    assert done.returncode == 1 and "cannot be written" in done.stderr, done
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]


def llama_server():
    """llama.cpp's server: LLAMA_SERVER, the path, or what scripts/bench-serve built."""
    built = CACHE / "peers" / "build" / "bin" / "llama-server"
    for path in (os.environ.get("LLAMA_SERVER"), shutil.which("llama-server"), built):
        if path and Path(path).exists():
            return path
    pytest.skip("no llama-server; set LLAMA_SERVER")


def llama_probabilities(model, ids, *options):
    """Log-probabilities of the likeliest next tokens, by llama.cpp."""
    port = servers.free_port()
    command = [
        llama_server(), "-m", model, "--port", port, "-t", 2, "-ngl", 0, "--no-warmup", "-c", 256,
        *options]
    with servers.Server("llama-server", command, port) as server:
        answer = httpx.post(f"{server.base}/completion", timeout=120, json={
            "prompt": ids, "n_predict": 1, "n_probs": 20, "temperature": 0,
            "cache_prompt": False}).json()
    return {
        entry["id"]: entry["logprob"]
        for entry in answer["completion_probabilities"][0]["top_logprobs"]}


def our_probabilities(model, adapter=None, text=interop.TEXT):
    extra = ["--adapter", adapter] if adapter else []
    found = json.loads(yuyan(
        "generate", "--model", model, "--raw", "--prompt", text, "--max-tokens", 1, "--logprobs",
        20, "--precision", "f32", "--json", "--ignore-eos", *extra).stdout)
    return found["prompt_tokens"], dict(found["logprobs"][0]["top"])


@pytest.mark.parametrize("kind", ["plain", "rslora", "patterns"])
def test_llama_cpp_computes_the_same_with_our_gguf(kind, tmp_path):
    saved = random_adapter(tmp_path / "adapter", **KINDS[kind])
    gguf, merged = tmp_path / "adapter.gguf", tmp_path / "merged.gguf"
    yuyan("adapter", "convert", saved, gguf, "--model", BASE_GGUF)
    yuyan("adapter", "merge", saved, merged, "--model", BASE_GGUF, "--type", "f32")
    ids, expected = our_probabilities(BASE_GGUF, saved)
    _, plain = our_probabilities(BASE_GGUF)
    assert plain != expected
    for found in (
            llama_probabilities(BASE_GGUF, ids, "--lora", gguf), llama_probabilities(merged, ids)):
        common = expected.keys() & found.keys()
        assert len(common) >= 18
        assert max(abs(expected[token] - found[token]) for token in common) < 0.02
