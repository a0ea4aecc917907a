"""Reference results for Sources/YuyanFormats/YAMLDocument.swift, from PyYAML.

Run from the root of the repository: python Tools/goldens/yaml_texts.py
Writes Tests/Goldens/formats/yaml.json: a list of [text, value], where the value is what PyYAML's base
loader reads (every scalar a string, an empty one too).
"""
import json
from pathlib import Path

import yaml

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/formats/yaml.json"

TEXTS = [
    "a: 1\nb: two words\nc: 1e-4\n",
    "### model\nmodel_name_or_path: org/name\n\n### method\nstage: sft  # supervised\ndo_train: true\n",
    "a:\nb: ~\nc: null\n",
    "a: 'it''s'\nb: \"tab\\tand \\u4f60\\U0001F600 \\x41\\\"\"\n'c d': 'x # y'\n",
    "a: b#c\nurl: https://x.example/a#b\ntime: 12:30\n",
    "dataset: [one, two,  three ]\nempty: []\nmap: {a: 1, b: [x, {c: d}], 'q r': \"s\"}\n",
    "a: [\n  1, # one\n  2\n]\nb: {\n  c: d,\n}\n",
    "list:\n- a\n- b c\nnext: x\n",
    "list:\n  - a\n  -\n  - - x\n    - y\n  - k: v\n    l: w\n  - \"q\": 1\n",
    "- 1\n- two\n- {a: b}\n",
    "a:\n  b:\n    c: d\n    e: f\n  g: h\ni: j\n",
    "text: |\n  line one\n    indented\n\n  last\nnext: 1\n",
    "text: |-\n  no end\nkeep: |+\n  kept\n\nz: 1\n",
    "fold: >\n  one\n  two\n\n  three\n    code\n  four\n\n\nz: 1\n",
    "fold: >-\n\n  leading\n  text\n",
    "---\na: 1\n...\n",
    "--- # comment\na: 1\n",
    "",
    "# only a comment\n",
    "key with spaces: value\n",
    "a: -1\nb: --x\n",
    "a: \"\"\nb: ''\n",
    "a: x\r\nb: y\r\n",
    "a:   spaced   \nb: x\n",
    "a: 'x'   # after\nb: [1]  # after\n",
    "a: '&b'\n",
    "no newline: at end",
    "a: b:c\nc: d :e\n",
    "chinese: 你好，世界\nkey_中: 值\n",
    "a:\n\n\n  b: 1\n\n# between\n\n  c: 2\n",
    "a:\n- b: 1\n  c:\n  - 2\n- d\n",
    "a: {b: , c: ~}\n",
    "windows: C:\\path\\to\n",
    "x: 1_000\ny: .5\nz: +1.5e+3\n",
    "p: ${HOME}/x\nq: ~/data\n",
    "{\"a\": 1, \"b\": [true, null, \"x\\/y\"]}\n",
    "a: |\n   three\n    four\n\n",
]

pairs = [[text, yaml.load(text, Loader=yaml.BaseLoader)] for text in TEXTS]
OUT.write_text(json.dumps(pairs, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
print(len(pairs), "texts")
