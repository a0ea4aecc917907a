"""What the real SmolLM2-135M-Instruct (Q4_1) computes, as transformers sees it in float32.

Run:       python Tools/goldens/models_smollm2.py
Reads:     ${YUYAN_HOME:-~/.cache/yuyan}/SmolLM2-135M-Instruct.Q4_1.gguf (sha256 below)
Writes:    Tests/Goldens/models/smollm2/{golden.safetensors, golden.json}
Versions:  requirements.txt (torch 2.15.0, transformers 5.23.0, gguf 0.19.0, tokenizers 0.23.3)
Seeds:     none

Every tensor is dequantised to float32 (gguf.quants), the Q/K rows are put back into the half
order, and LlamaForCausalLM runs in float32 with eager attention: activations are never quantised.

golden.safetensors holds
  prompt.ids [37] I32; prompt.top.ids [37, 64] I32 and prompt.top.values [37, 64] F32: the 64
      largest logits after each prompt token, largest first; prompt.logsumexp [37] F32
  greedy.ids [8] I32, greedy.values [8] F32: the tokens chosen one by one and their logits;
      greedy.margins [8] F32: the lead over the runner-up
  text.ids [T] I32, text.logprobs [T - 1] F32: log p(ids[t + 1] | ids[0...t]), no BOS added
golden.json holds the text, its mean negative log-likelihood and the perplexity.
"""

import hashlib
import json
import os
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from models_gguf import gguf_name, unpermuted

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/models/smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PROMPT = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
          "<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
          "<|im_start|>assistant\n")
TEXT = """\
The lighthouse at the end of the bay was built in 1874, when forty ships a year were lost on the
rocks below it. Its lamp burned whale oil at first, then paraffin, and the keeper climbed 193 steps
twice a night to trim the wick. Today the light is electric and nobody lives there, but the stairs
are swept every spring, and children from the village school are allowed to count them.

"How far can you see it?" asked one of the girls. The teacher pointed to the horizon. "On a clear
night, about 30 kilometres. The Earth is round, so the tower has to be tall: the higher the lamp,
the farther away the sea hides it." She drew a circle in the sand, and a small stick standing on
it, and a straight line that just touched the curve. Then the tide came in and washed the drawing
away, and they all walked home along the beach.
"""


def field(reader, key):
    return reader.fields[key].contents()


def load(path):
    """The GGUF as a transformers model."""
    reader = GGUFReader(path)
    config = LlamaConfig(
        vocab_size=len(field(reader, "tokenizer.ggml.tokens")),
        hidden_size=field(reader, "llama.embedding_length"),
        intermediate_size=field(reader, "llama.feed_forward_length"),
        num_hidden_layers=field(reader, "llama.block_count"),
        num_attention_heads=field(reader, "llama.attention.head_count"),
        num_key_value_heads=field(reader, "llama.attention.head_count_kv"),
        max_position_embeddings=field(reader, "llama.context_length"),
        rms_norm_eps=field(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters=dict(rope_type="default",
                             rope_theta=field(reader, "llama.rope.freq_base")),
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval()
    stored = {t.name: t for t in reader.tensors}
    for name, parameter in model.named_parameters():
        tensor = stored.pop(gguf_name(name))
        rows = dequantize(tensor.data, tensor.tensor_type).reshape(parameter.shape)
        if "q_proj" in name:
            rows = unpermuted(rows, config.num_attention_heads)
        if "k_proj" in name:
            rows = unpermuted(rows, config.num_key_value_heads)
        parameter.data = torch.from_numpy(rows.copy())
    assert not stored, f"unused tensors: {sorted(stored)}"
    return model, tokenizer(reader)


def tokenizer(reader):
    """The file's own byte-level BPE; digits stand alone."""
    pieces = field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(m.split(" ")) for m in field(reader, "tokenizer.ggml.merges")]
    result = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges))
    result.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    result.decoder = decoders.ByteLevel()
    kinds = field(reader, "tokenizer.ggml.token_type")
    result.add_special_tokens([p for p, kind in zip(pieces, kinds) if kind == 3])
    return result


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    folder = Path(os.environ.get("YUYAN_HOME", Path.home() / ".cache/yuyan"))
    found = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    assert found == SHA256, f"{FILE}: sha256 is {found}, expected {SHA256}"
    model, words = load(folder / FILE)

    prompt = words.encode(PROMPT).ids
    logits = model(torch.tensor([prompt])).logits[0]
    top = logits.topk(64)
    out = dict(prompt_ids=torch.tensor(prompt), prompt_top_ids=top.indices,
               prompt_top_values=top.values, prompt_logsumexp=logits.logsumexp(-1))

    ids, values, margins = [], [], []
    step = model(torch.tensor([prompt]), use_cache=True)
    for _ in range(8):
        best = step.logits[0, -1].topk(2)
        ids.append(best.indices[0].item())
        values.append(best.values[0])
        margins.append(best.values[0] - best.values[1])
        step = model(torch.tensor([ids[-1:]]), use_cache=True, past_key_values=step.past_key_values)
    out |= dict(greedy_ids=torch.tensor(ids), greedy_values=torch.stack(values),
                greedy_margins=torch.stack(margins))

    text = words.encode(TEXT).ids
    assert words.decode(text) == TEXT
    scores = model(torch.tensor([text])).logits[0, :-1].log_softmax(-1)
    chosen = scores.gather(1, torch.tensor(text[1:])[:, None])[:, 0]
    out |= dict(text_ids=torch.tensor(text), text_logprobs=chosen)

    ROOT.mkdir(parents=True, exist_ok=True)
    tensors = {key.replace("_", "."): value.int() if value.dtype == torch.int64 else value
               for key, value in sorted(out.items())}
    save_file({key: value.contiguous() for key, value in tensors.items()},
              ROOT / "golden.safetensors")
    loss = -chosen.double().mean().item()
    report = dict(file=FILE, sha256=SHA256, prompt=PROMPT, greedy=words.decode(ids), text=TEXT,
                  textTokens=len(text), meanNegativeLogLikelihood=round(loss, 6),
                  perplexity=round(torch.tensor(loss).exp().item(), 4))
    (ROOT / "golden.json").write_text(json.dumps(report, indent=1) + "\n")
    print(prompt, ids, report, sep="\n")
    for i, v in zip(top.indices[-1, :5].tolist(), top.values[-1, :5].tolist()):
        print(repr(words.decode([i])), round(v, 4))
    print("margins", [round(m.item(), 3) for m in margins])


if __name__ == "__main__":
    main()
