"""Saved models: what transformers, the gguf package and Yuyan read out of one merge."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("torch")
gguf = pytest.importorskip("gguf")

import torch  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from conftest import MODEL, ROOT  # noqa: E402
from interop import BASE_GGUF, assert_close, base, ours, theirs, yuyan  # noqa: E402

pytestmark = pytest.mark.ours
TEXT = "The swift (雨燕) flies 1,000 km a day.\n\n\tDoes it sleep? It's said that it does."


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    subprocess.run(
        [sys.executable, ROOT / "Tools" / "clients" / "make_adapter.py", folder, "--seed", "0"],
        check=True)
    return folder


def merge(adapter, out, kind):
    return json.loads(yuyan(
        "adapter", "merge", adapter, out, "--model", MODEL, "--type", kind, "--json").stdout)


@pytest.fixture(scope="module")
def unrounded(adapter, tmp_path_factory):
    """The merge in float32."""
    out = tmp_path_factory.mktemp("merged") / "model"
    merge(adapter, out, "f32")
    return out


@pytest.fixture(scope="module", params=["f16", "bf16"])
def merged(request, adapter, tmp_path_factory):
    """A directory made of a quantised GGUF file and an adapter, and the command's report."""
    out = tmp_path_factory.mktemp("merged") / "model"
    return out, request.param, merge(adapter, out, request.param)


def test_the_merge_is_near_what_it_replaces(merged):
    _, kind, report = merged
    # 8 bits of mantissa lose more than 11.
    assert report["mean_kl"] < (1e-5 if kind == "f16" else 1e-3), report
    assert report["same_top"] > 0.95 and report["probe_tokens"] > 80


def test_transformers_computes_the_same(unrounded, adapter):
    ids, expected = ours(MODEL, adapter, TEXT)
    assert_close(theirs(base(unrounded), ids), expected)


def test_a_narrower_type_is_the_float32_merge_rounded_once(merged, unrounded):
    """How far rounding moves a probability depends on the adapter; which numbers it gives does not."""
    out, kind, _ = merged
    model, whole = base(out), base(unrounded).state_dict()
    narrow = torch.float16 if kind == "f16" else torch.bfloat16
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, whole[name].to(narrow).float()), name
    ids, found = ours(out, text=TEXT)
    assert_close(theirs(model, ids), found, 2e-3)


def test_the_tokenizer_is_rebuilt(merged):
    out, _, _ = merged
    tokenizer = AutoTokenizer.from_pretrained(out)
    texts = [TEXT, "def f(x):\n    return x + 1\n", "  spaces   and 12345 digits", "Ünïcödé 🙂"]
    for text in texts:
        assert tokenizer.encode(text, add_special_tokens=False) == ours(MODEL, text=text)[0]
    assert tokenizer.bos_token_id == 1 and tokenizer.eos_token_id == 2
    chat = [{"role": "user", "content": "Hi"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt.endswith("<|im_start|>assistant\n") and "<|im_start|>user\nHi<|im_end|>" in prompt
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    assert ids[0] == 1 and tokenizer.decode(ids) == prompt


def test_a_gguf_file_is_read_by_its_own_package(tmp_path, adapter):
    path = tmp_path / "merged.gguf"
    yuyan("adapter", "merge", adapter, path, "--model", MODEL, "--type", "f16")
    reader, source = gguf.GGUFReader(path), gguf.GGUFReader(MODEL)
    skipped = {"general.file_type", "general.quantization_version"}
    for name, field in source.fields.items():
        if name.startswith("GGUF.") or name in skipped:
            continue
        assert reader.fields[name].contents() == field.contents(), name
    assert reader.fields["general.file_type"].contents() == 1
    shapes = {tensor.name: list(tensor.shape) for tensor in source.tensors}
    assert {tensor.name: list(tensor.shape) for tensor in reader.tensors} == shapes
    for tensor in reader.tensors:
        expected = "F16" if len(tensor.shape) == 2 else "F32"
        assert tensor.tensor_type.name == expected, tensor.name


def test_a_directory_becomes_gguf_with_its_vocabulary(tmp_path):
    """Hugging Face to GGUF: merged twice, with the names, sizes and tokenizer that it needs."""
    adapter = tmp_path / "adapter"
    subprocess.run(
        [sys.executable, ROOT / "Tools" / "clients" / "make_adapter.py", adapter, "--layers", "2",
         "--width", "32", "--hidden", "40", "--key-value", "16"], check=True)
    folder, path = tmp_path / "folder", tmp_path / "again.gguf"
    yuyan("adapter", "merge", adapter, folder, "--model", BASE_GGUF, "--type", "f32")
    yuyan("adapter", "merge", adapter, path, "--model", folder, "--type", "f32")
    reader, source = gguf.GGUFReader(path), gguf.GGUFReader(BASE_GGUF)
    for name in ("general.architecture", "llama.block_count", "llama.attention.head_count_kv",
                 "tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.pre"):
        assert reader.fields[name].contents() == source.fields[name].contents(), name
    assert "tokenizer.huggingface.json" in reader.fields
    assert ours(path)[0] == ours(BASE_GGUF)[0]
