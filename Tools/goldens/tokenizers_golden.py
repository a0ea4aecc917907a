"""Trains tiny byte-level BPE tokenizers and records what HF `tokenizers` makes of hard texts.

    python Tools/goldens/tokenizers_golden.py      # rewrites Tests/Goldens/tokenizers
"""

import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

from tokenizers_texts import TORTURE, expectations, random_strings

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/tokenizers"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def chain(*parts, **level):
    level = pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **level})
    return pre_tokenizers.Sequence([*parts, level]) if parts else level


def train(pre, size, special=(), normalizer=None, alphabet=ALPHABET, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([TORTURE] * 3 + random_strings(1500, seed=1), trainer)
    return tokenizer


def main():
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    made = {}
    made["smollm"] = train(
        chain(pre_tokenizers.Digits(individual_digits=True)), 800, chat,
        alphabet=[a for a in ALPHABET if a < "\u0120"],
    )
    made["gpt2"] = train(chain(), 900, ["<|endoftext|>"])
    made["gpt2-prefix"] = train(
        chain(pre_tokenizers.Digits(individual_digits=False), add_prefix_space=True), 700
    )
    llama = made["llama3"] = train(
        chain(split(LLAMA3), use_regex=False), 900, ignore_merges=True
    )
    llama.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|im_end|>"])
    begin = llama.token_to_id("<|begin_of_text|>")
    llama.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begin)]
            ),
        ]
    )
    qwen = made["qwen2"] = train(
        chain(split(QWEN2), use_regex=False), 1000, normalizer=normalizers.NFC()
    )
    qwen.add_special_tokens(chat)
    qwen.add_tokens(
        [AddedToken(t, normalized=False) for t in ("<tool_call>", "</tool_call>")]
    )
    added = made["added"] = train(chain(), 600, normalizer=normalizers.NFC())
    added.add_special_tokens(
        [
            AddedToken("<|im_start|>", lstrip=True, rstrip=True),
            AddedToken("<|im_end|>", rstrip=True, normalized=False),
            AddedToken("<|endoftext|>", lstrip=True, normalized=True),
        ]
    )
    added.add_tokens(
        [
            AddedToken("the", single_word=True),
            AddedToken("[W]", single_word=True, lstrip=True, normalized=False),
            AddedToken("\u0438\u0306", normalized=True),
            AddedToken("\u304b\u3099", normalized=False),
            AddedToken("<|im_start", normalized=False),
            AddedToken("Hello world"),
            AddedToken("\n\n", normalized=False),
            AddedToken("42", rstrip=True),
        ]
    )
    made["default"] = train(
        chain(
            split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"),
            split(r"[0-9][0-9][0-9]"), use_regex=False,
        ),
        700,
    )
    latin = [a for a in ALPHABET if a < "\u00e0"]
    for name, fuses in (("unknown", False), ("unknown-fused", True)):
        made[name] = train(
            chain(), 400, ["<unk>"], alphabet=latin, unk_token="<unk>", fuse_unk=fuses
        )
    strings = random_strings()
    (OUT).mkdir(parents=True, exist_ok=True)
    (OUT / "texts.json").write_text(
        json.dumps({"texts": [TORTURE, ""], "strings": strings}, ensure_ascii=False)
    )
    for name, tokenizer in made.items():
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        tokenizer.encode_special_tokens = False
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        expected = expectations(tokenizer, strings, [TORTURE, ""])
        (folder / "expected.json").write_text(
            json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
        )


if __name__ == "__main__":
    main()
