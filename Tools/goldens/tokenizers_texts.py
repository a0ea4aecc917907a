"""Texts that tokenizers get wrong: a torture text and seeded random Unicode strings."""

import random

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "<|", "|>", "</s>"]

TORTURE = (
    "Hello, world! It's 2024-05-17; they'll've DON'T I'M we'RE 'Start 'sun '\u017ft can\u2019t\n"
    "  leading, trailing  \n\n\n\ttabs\t\tand \u00a0nbsp\u00a0\u2003em\u3000wide\u0085next\u180emvs\u200bzw\r\n\r\r\n \r \n x\n  \n"
    "1 12 123 1234 12345 3.14159 1,000,000 0x1F \u00bd\u00b2\u00b3 \u0661\u0662\u0663\u0664 \u4e09\u767e \u2167 \U0001d7d8\U0001d7d9 a1b2 7\u0966\u0967\n"
    "def f(x: int) -> str:\n    \"\"\"Doc.\"\"\"\n\treturn f'{x!r:>10}'  # !!! ??? ===\n\n\n"
    "if (a && b || !c) { x += 1; } // \\n <- not a newline\nSELECT * FROM t WHERE a<>b;\n"
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002\u96e8\u71d5\u98de\u904e\u6c5f\u5357 \u3053\u3093\u306b\u3061\u306f\u4e16\u754c \u30ab\u30bf\u30ab\u30ca\u3099 \u314e\u314f\u3134 \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8\n"
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0419\u0438\u0306 \u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5 \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd \u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627 \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 Ti\u1ebfng Vi\u1ec7t tie\u0302\u0301ng vie\u0323\u0302t\n"
    "caf\u00e9 cafe\u0301 \u212b A\u030a \ufb01 \ufb01ne \u01c4 \u1e9b\u0323 \u0344 \u2126 \uf900 \U0002f800 q\u0307\u0323 q\u0323\u0307 \u0958 \u0f71\u0f72\u0f74\n"
    "\U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e8\U0001f1f3 \u2764\ufe0f 1\ufe0f\u20e3 \U0001f9d1\u200d\U0001f4bb!!\n"
    "<|im_start|>user\nhi <|im_end|>\n<|endoftext|><tool_call>{\"a\": 1}</tool_call> <|im_start<|im_start|> <| |>\n"
    "\u0000\u0001\u007f\ufeff\ufffd\uffff\U0010ffff e\u0301\u0301\u0301 $\u20ac\u00a3 \u00ab\u00bb \u2026\u2014\u2013 \u200f\u202e "
    + "a" * 40 + " " * 30 + "=" * 33 + "\n" * 9 + " " * 7 + "antidisestablishmentarianism" * 8
    + "\u6f22\u5b57" * 90 + "xyz  "
)

PIECES = [
    " ", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2003", "\u0085", "\u2028", "\u180e", "\u200b", "\u200d",
    "'s", "'S", "'t", "'re", "'RE", "'Ve", "'m", "'ll", "'lL", "'d", "'\u017f", "'", "\u2019s", "'l", "'r",
    "the", " the", "Hello", " world", "ing", "def ", "return", "==", "!=", "...", "://", "#", "{", "}", "();",
    "0", "1", "42", "999", "2024", "\u0663", "\u0967", "\u00bd", "\u2167", "\u4e09", "\U0001d7d9", "\u00b2",
    "\u4f60\u597d", "\u4e16\u754c", "\u3002", "\uff0c", "\u304b\u3099", "\u30cf\u309a", "\ud55c", "\u1112", "\u1161", "\u11ab", "\uac00\u11a8",
    "\u041f\u0440\u0438", "\u0438\u0306", "\u03c3\u03c2", "\u05e9\u05b8", "\u0645\u064e\u0651", "\u0928\u094d", "\u0e19\u0e49\u0e33", "\u0e33",
    "e\u0301", "\u00e9", "\u0301", "\u0323", "\u0345", "\u0334", "\u0315", "q\u0307\u0323", "\u1e9b\u0323", "\u212b", "\u0958",
    "\U0001f600", "\U0001f44d\U0001f3fd", "\u200d\U0001f4bb", "\ufe0f", "\u20e3", "\U0001f1e8\U0001f1f3",
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<|", "|>", "<|im_", " <pad> ", "[W]", "w[W]",
]

BLOCKS = [
    (0x20, 0x7F), (0x20, 0x7F), (0, 0x20), (0xA0, 0x180), (0x180, 0x370), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700),
    (0x900, 0xE00), (0xE00, 0x1000), (0x1000, 0x1200), (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070),
    (0x2100, 0x2200), (0x3000, 0x3100), (0x3041, 0x3100), (0x4E00, 0x5000), (0xAC00, 0xAD00), (0xF900, 0xFB50),
    (0xFB50, 0xFE00), (0xFE00, 0x10000), (0x10000, 0x11000), (0x11000, 0x12000), (0x16000, 0x17000), (0x1D000, 0x1D200),
    (0x1D400, 0x1D800), (0x1E000, 0x1F000), (0x1F000, 0x1FB00), (0x20000, 0x20100), (0x2F800, 0x2FA20), (0, 0x110000),
]


def random_strings(count=2000, seed=20240517):
    rng, strings = random.Random(seed), []

    def scalar():
        low, high = rng.choice(BLOCKS)
        while True:
            c = rng.randrange(low, high)
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)

    for i in range(count):
        length = rng.choice((1, 2, 3, 5, 8, 12, 20))
        share = rng.choice((0.0, 0.4, 0.8, 1.0))
        parts = [rng.choice(PIECES) if rng.random() < share else scalar() for _ in range(length)]
        strings.append("".join(parts))
    return strings


def fnv(data: bytes) -> str:
    """FNV-1a, 64 bits, in hexadecimal."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def ids_hash(ids) -> str:
    """Hash of ids as little-endian 32-bit integers."""
    return fnv(b"".join(i.to_bytes(4, "little") for i in ids))


def expectations(tokenizer, strings, texts, seed=7):
    """What the reference makes of the texts (ids in full) and the strings (12 digits each).

    The digits are the end of a hash of the ids (8), and of one of the two decoded texts (4).
    """
    rng = random.Random(seed)
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    result = {}
    for mode, parses in (("plain", False), ("parsed", True)):
        tokenizer.encode_special_tokens = not parses
        encode = lambda s: tokenizer.encode(s, add_special_tokens=parses).ids
        result[mode] = {"texts": [encode(t) for t in texts], "strings": []}
        for string in strings:
            ids = encode(string)
            kept, skipped = (tokenizer.decode(ids, skip_special_tokens=k) for k in (False, True))
            decoded = fnv(f"{kept}\0{skipped}".encode())
            result[mode]["strings"].append(ids_hash(ids)[-8:] + decoded[-4:])
        result[mode]["strings"] = "".join(result[mode]["strings"])
    sequences = [[rng.randrange(size) for _ in range(rng.randrange(1, 12))] for _ in range(200)]
    result["sequences"] = [
        [ids, tokenizer.decode(ids, skip_special_tokens=False)] for ids in sequences
    ]
    return result
