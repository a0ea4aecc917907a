"""Writes the Unicode tables of YuyanText by asking the reference, HF `tokenizers`, itself.

The regex engine, the digit splitter, the word test and the normaliser of `tokenizers` follow
different Unicode versions, so each property is probed through the public API rather than taken
from one edition of the Unicode database.

    python Tools/goldens/tokenizers_unicode.py      # rewrites two files in Sources/YuyanText
"""

import pathlib
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2] / "Sources/YuyanText/Tokenizers"
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
NFC = normalizers.NFC()

LETTER, NUMBER, SPACE, DIGIT, WORD, UNSTABLE, PUNCTUATION = (1 << i for i in range(7))


def chunks():
    for i in range(0, len(SCALARS), 4096):
        yield SCALARS[i : i + 4096]


def regex_class(pattern):
    """Scalars that one-character `pattern` matches in the regex engine of the reference."""
    split, found = pre_tokenizers.Split(Regex(pattern), "removed"), set()
    for chunk in chunks():
        kept = set()
        for _, (a, b) in split.pre_tokenize_str("".join(map(chr, chunk))):
            kept.update(range(a, b))
        found.update(c for i, c in enumerate(chunk) if i not in kept)
    return found


def digits():
    split = pre_tokenizers.Digits(individual_digits=True)
    return {c for c in SCALARS if len(split.pre_tokenize_str("a" + 2 * chr(c))) == 3}


def words():
    """Scalars that stop a `single_word` added token from matching."""
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    tokenizer.add_tokens([AddedToken("XY", single_word=True, normalized=False)])
    found = set()
    for chunk in chunks():
        text = "".join(f"\x01XY{chr(c)}" for c in chunk)
        starts = {a for a, _ in tokenizer.encode(text).offsets}
        found.update(c for i, c in enumerate(chunk) if 4 * i + 1 not in starts)
    return found


def combining_classes():
    """Combining classes of the scalars that the reference reorders."""
    return {
        c: unicodedata.combining(chr(c))
        for c in SCALARS
        if unicodedata.combining(chr(c))
        and (
            c == 0x345
            or NFC.normalize_str("q\u0345" + chr(c)) != "q\u0345" + chr(c)
            or NFC.normalize_str("q" + chr(c) + "\u0334") != "q" + chr(c) + "\u0334"
        )
    }


def decompositions():
    """(composed, first, second or 0, recomposes) for all canonical pairs but Hangul."""
    rows = []
    for c in SCALARS:
        parts = unicodedata.decomposition(chr(c))
        if not parts or parts.startswith("<"):
            continue
        pair = [int(p, 16) for p in parts.split()]
        second = pair[1] if len(pair) == 2 else 0
        if NFC.normalize_str(chr(c)) != unicodedata.normalize("NFC", chr(c)):
            continue
        rejoins = bool(second) and NFC.normalize_str("".join(map(chr, pair))) == chr(c)
        rows.append((c, pair[0], second, rejoins))
    return rows


def literals(values, width):
    line, lines = "       ", []
    for v in values:
        item = f" 0x{v:0{width}x},"
        if len(line) + len(item) > 100:
            lines.append(line)
            line = "       "
        line += item
    return "\n".join(lines + [line])


def main():
    ccc, pairs = combining_classes(), decompositions()
    seconds = {second for _, _, second, joins in pairs if joins}
    unstable = set(ccc) | {c for c, _, _, joins in pairs if not joins} | seconds
    unstable |= set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    classes = [
        (LETTER, regex_class(r"\p{L}")),
        (NUMBER, regex_class(r"\p{N}")),
        (SPACE, regex_class(r"\s")),
        (DIGIT, digits()),
        (WORD, words()),
        (UNSTABLE, unstable),
        (PUNCTUATION, regex_class(r"\p{P}")),
    ]
    flags = bytearray(0x110000)
    for bit, members in classes:
        for c in members:
            flags[c] |= bit
    runs = [c << 8 | flags[c] for c in range(0x110000) if c == 0 or flags[c] != flags[c - 1]]
    (ROOT / "UnicodeClasses+Table.swift").write_text(
        f"""// Made by Tools/goldens/tokenizers_unicode.py; do not edit.

extension UnicodeClasses {{
    /// Runs of scalars with equal classes: first scalar times 256 plus the class bits.
    static let runs: [UInt32] = [
{literals(runs, 6)}
    ]
}}
"""
    )
    marks = sorted(ccc.items())
    mark_runs = []  # first scalar, length, class
    for c, k in marks:
        if mark_runs and mark_runs[-1][2] == k and mark_runs[-1][0] + mark_runs[-1][1] == c:
            mark_runs[-1][1] += 1
        else:
            mark_runs.append([c, 1, k])
    packed = [c << 32 | n << 8 | k for c, n, k in mark_runs]
    rows = [joins << 63 | c << 42 | a << 21 | b for c, a, b, joins in pairs]
    (ROOT / "CanonicalComposition+Table.swift").write_text(
        f"""// Made by Tools/goldens/tokenizers_unicode.py; do not edit.

extension CanonicalComposition {{
    /// Canonical decompositions without Hangul, ordered by the composed scalar: from the top, one
    /// bit "recomposes", then 21 bits each of composed scalar, first part, second part (or 0).
    static let decompositions: [UInt64] = [
{literals(rows, 16)}
    ]

    /// Runs of combining marks: first scalar in the upper half, then length (24), class (8 bits).
    static let markRuns: [UInt64] = [
{literals(packed, 13)}
    ]
}}
"""
    )
    print(len(runs), "class runs,", len(rows), "decompositions,", len(packed), "mark runs")


if __name__ == "__main__":
    main()
