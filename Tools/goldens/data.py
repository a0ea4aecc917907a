"""Makes Tests/Goldens/data: what other programs make of data files.

Run with a Python that has transformers:
  python data.py                       gzip.json, csv.json, masks.json
  python data.py truncation FOLDER     truncation.json, with the function of LLaMA-Factory whose
                                       unpacked source archive (0.9.5) is at FOLDER
  python data.py real [CACHE]          real.json, from the files of scripts/fetch-data and the
                                       tokenizers of tokenizers_full.py in the cache

gzip.json  streams of Python's gzip and zlib: level, strategy, header fields, several members
csv.json   texts, and the rows or the refusal of Python's csv in strict mode
masks.json conversations in the shapes of data sets, turned into messages here, rendered and
           encoded by transformers with the templates of Tests/Goldens/templates, to which
           `{% generation %}` blocks were added around what the model says
real.json  the same for whole real data sets: counts, and a hash (FNV-1a, 64 bits) over each row's
           ids (eight bytes, lowest first) and mask (one byte) up to the last token that is learnt
"""

import ast
import base64
import csv
import gzip
import hashlib
import io
import json
import os
import random
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDENS = HERE.parent.parent / "Tests" / "Goldens"
OUT = GOLDENS / "data"


def write(name, entries):
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    (OUT / name).write_text(f"[\n{lines}\n]\n")
    print(name, len(entries))


# gzip ------------------------------------------------------------------------------------------


def gzip_cases():
    rng = random.Random(4)
    words = [bytes(rng.choices(b"abcdefghij", k=rng.randint(1, 9))) for _ in range(60)]
    text = b" ".join(rng.choices(words, k=1500))
    noise = rng.randbytes(700)
    skewed = bytes(min(255, int(rng.expovariate(0.05))) for _ in range(3000))
    long = b"yuyan " * 60000 + b"end"
    far = noise[:300] + b"x" * 32600 + noise[:300]
    cases = []

    def add(name, packed, plain):
        cases.append(
            {
                "name": name,
                "packed": base64.b64encode(packed).decode(),
                "count": len(plain),
                "sha256": hashlib.sha256(plain).hexdigest(),
            }
        )

    for level in (0, 1, 6, 9):
        add(f"text, level {level}", gzip.compress(text[:1200], level, mtime=0), text[:1200])
    add("dynamic codes", gzip.compress(text, 9, mtime=0), text)
    add("noise", gzip.compress(noise, 9, mtime=0), noise)
    add("skewed", gzip.compress(skewed, 9, mtime=0), skewed)
    add("empty", gzip.compress(b"", mtime=0), b"")
    add("one byte", gzip.compress(b"a", mtime=0), b"a")
    add("long run", gzip.compress(long, 9, mtime=0), long)
    add("farthest copy", gzip.compress(far, 9, mtime=0), far)
    for name, strategy in (
        ("fixed", zlib.Z_FIXED),
        ("huffman only", zlib.Z_HUFFMAN_ONLY),
        ("run lengths", zlib.Z_RLE),
    ):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, strategy)
        add(name, packer.compress(text[:2000]) + packer.flush(), text[:2000])
    add(
        "two members and zeros",
        gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0) + bytes(9),
        b"one two",
    )
    packed = gzip.compress(b"named", mtime=0)
    extra = b"\x05\x00extra"
    header = packed[:3] + bytes([4 + 8 + 16]) + packed[4:10] + extra + b"name.txt\0comment\0"
    add("all header fields", header + packed[10:], b"named")
    header = packed[:3] + bytes([2]) + packed[4:10]
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    add("header check sum", header + packed[10:], b"named")
    for case in cases:
        plain = gzip.decompress(base64.b64decode(case["packed"]))
        assert hashlib.sha256(plain).hexdigest() == case["sha256"], case["name"]
    write("gzip.json", cases)


# csv -------------------------------------------------------------------------------------------


def csv_cases():
    texts = [
        "a,b\n1,2\n",
        "a,b\r\n1,2\r\n3,4",
        "a,b\r1,2\r",
        'a,b\n"x, y","say ""hi"""\n',
        'a,b\n"two\nlines","crlf\r\nhere"\n',
        "a,b\n,\n",
        'a,b\n"",""\n',
        'a,b\nx"y,z\n',
        'a,b\n"x"y,z\n',
        'a,b\n"open,z\n',
        "a\n\n1\n\n2\n",
        "a,b\n 1 , 2 \n",
        "a,b\n日本,é🙂\n",
        'a,b\n"日\n本",x\n1,2\n',
        "a,b\n1,2,3\n",
        "a,b\n1\n",
        'a\n"""q"""\n',
        "a,b\n1,2\n,\n",
    ]
    rng = random.Random(7)
    for _ in range(40):
        rows = [["k", "v"]] + [
            ["".join(rng.choices('ab",\n\r é', k=rng.randint(0, 6))) for _ in range(2)]
            for _ in range(rng.randint(1, 4))
        ]
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator=rng.choice(["\n", "\r\n"]))
        writer.writerows(rows)
        texts.append(buffer.getvalue())
    for _ in range(60):
        texts.append("k,v\n" + "".join(rng.choices('a",\n\r ', k=rng.randint(1, 14))))
    entries = []
    for text in texts:
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
            entries.append({"text": text, "rows": rows})
        except csv.Error as error:
            entries.append({"text": text, "error": str(error)})
    write("csv.json", entries)


# masks -----------------------------------------------------------------------------------------

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def alpaca(row):
    messages = []
    if row.get("system"):
        messages.append({"role": "system", "content": row["system"]})
    for question, answer in row.get("history") or []:
        messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    query = row["instruction"] + ("\n" + row["input"] if row.get("input") else "")
    messages += [
        {"role": "user", "content": query},
        {"role": "assistant", "content": row["output"]},
    ]
    return messages, None


def sharegpt(row):
    names = {"human": "user", "gpt": "assistant", "observation": "tool", "system": "system"}
    messages = []
    if row.get("system"):
        messages.append({"role": "system", "content": row["system"]})
    for turn in row["conversations"]:
        if turn["from"] == "function_call":
            call = json.loads(turn["value"])
            messages.append(
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"type": "function", "function": call}],
                }
            )
        else:
            messages.append({"role": names[turn["from"]], "content": turn["value"]})
    tools = row.get("tools")
    if tools:
        tools = [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool["parameters"],
                },
            }
            for tool in json.loads(tools)
        ]
    return messages, tools or None


def messages(row):
    result = []
    for message in row["messages"]:
        message = dict(message)
        if isinstance(message.get("content"), list):
            message["content"] = "\n".join(part["text"] for part in message["content"])
        if message.get("content") is None:
            message["content"] = ""
        for call in message.get("tool_calls") or []:
            if isinstance(call["function"]["arguments"], str):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        result.append(message)
    tools = row.get("tools")
    return result, json.loads(tools) if isinstance(tools, str) else tools


SHAPES = {"alpaca": alpaca, "sharegpt": sharegpt, "messages": messages}

CALL = '{"name": "get_weather", "arguments": {"city": "Bern"}}'
ROWS = [
    ("alpaca", {"instruction": "Name a bird.", "input": "", "output": "A swift."}),
    ("alpaca", {"instruction": "Translate to German.", "input": "the swift", "output": "der Segler"}),
    (
        "alpaca",
        {
            "instruction": "And now?",
            "input": "",
            "output": "Third.",
            "system": "Count on.",
            "history": [["Go.", "First."], ["Go on.", "Second."]],
        },
    ),
    ("alpaca", {"instruction": "说一种鸟。", "input": "", "output": "雨燕 🐦 是鸟。"}),
    ("alpaca", {"instruction": "Leading lines", "input": "", "output": "\n\nThe answer\n\n"}),
    ("alpaca", {"instruction": "Spaces ", "input": "", "output": "  two before, two after  "}),
    # Not in normal form C: letters and their accents apart.
    ("alpaca", {"instruction": "cafe\u0301", "input": "", "output": "\u0301a Cafe\u0301 nai\u0308ve"}),
    (
        "sharegpt",
        {
            "conversations": [
                {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": "Hello!"},
                {"from": "human", "value": "Bye"},
                {"from": "gpt", "value": "See you."},
            ],
            "system": "Be polite.",
        },
    ),
    (
        "sharegpt",
        {
            "conversations": [
                {"from": "human", "value": "Weather in Bern?"},
                {"from": "function_call", "value": CALL},
                {"from": "observation", "value": '{"sky": "clear"}'},
                {"from": "gpt", "value": "It is clear in Bern."},
            ],
            "tools": json.dumps([TOOL["function"]]),
        },
    ),
    (
        "messages",
        {
            "messages": [
                {"role": "system", "content": "Use tools."},
                {"role": "user", "content": [{"type": "text", "text": "Weather"}, {"type": "text", "text": "in Bern?"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'},
                        }
                    ],
                },
                {"role": "tool", "content": "clear", "tool_call_id": "1"},
                {"role": "assistant", "content": "Clear."},
                {"role": "user", "content": "Thanks!"},
                {"role": "assistant", "content": "You are welcome."},
            ],
            "tools": [TOOL],
        },
    ),
    (
        "messages",
        {
            "messages": [
                {"role": "user", "content": "One"},
                {"role": "assistant", "content": "Two\nlines\n"},
                {"role": "user", "content": "Unanswered"},
            ]
        },
    ),
]

BEGIN, END = "{% generation %}", "{% endgeneration %}"


def marked(name, source):
    """The template with generation blocks around what the model says."""
    if name.startswith("SmolLM2"):
        start = source.index("{{'<|im_start|>' + message['role']")
        end = source.index("}}", start) + 2
        own = source[start:end]
        answer = (
            "{{'<|im_start|>assistant\n'}}" + BEGIN
            + "{{message['content'] + '<|im_end|>'}}" + END + "{{'\n'}}"
        )
        branch = "{% if message['role'] == 'assistant' %}" + answer + "{% else %}" + own + "{% endif %}"
        return source[:start] + branch + source[end:]
    start = source.index('{%- for message in messages %}')
    head, body = source[:start], source[start:]
    if name.startswith("Qwen2.5"):
        plain = ' or (message.role == "assistant" and not message.tool_calls)'
        assert plain in body
        body = body.replace(plain, "")
        body = body.replace(
            "{{- '<|im_start|>' + message.role }}\n        {%- if message.content %}\n"
            "            {{- '\\n' + message.content }}\n        {%- endif %}",
            "{{- '<|im_start|>assistant\\n' }}" + BEGIN + "{{- message.content }}",
        )
        body = body.replace("{{- '\\n<tool_call>", "{{- ('' if loop.first and not message.content else '\\n') + '<tool_call>")
    else:
        prefix = "'<|im_start|>' + message.role + '\\n"
        place = body.index("{%- if loop.index0 > ns.last_query_index %}")
        rest = body[place:]
        rest = rest.replace(prefix + "<think>", "'<think>")
        rest = rest.replace(prefix + "' + content", "content")
        body = body[:place] + "{{- '<|im_start|>assistant\\n' }}" + BEGIN + rest
    stop = "{{- '<|im_end|>\\n' }}"
    place = body.index(stop, body.index(BEGIN))
    return head + body[:place] + "{{- '<|im_end|>' }}" + END + "{{- '\\n' }}" + body[place + len(stop):]


def mask_cases():
    from transformers import PreTrainedTokenizerFast

    entries = []
    for template, tokenizer_name in (
        ("SmolLM2-135M-Instruct", "smollm"),
        ("SmolLM2-135M-Instruct", "qwen2"),
        ("Qwen2.5-Coder-0.5B-Instruct", "qwen2"),
        ("Qwen3-0.6B", "qwen2"),
    ):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(GOLDENS / "tokenizers" / tokenizer_name / "tokenizer.json"),
            eos_token="<|im_end|>",
        )
        source = (GOLDENS / "templates" / f"{template}.jinja").read_text()
        training = marked(template, source)
        for shape, row in ROWS:
            given, tools = SHAPES[shape](json.loads(json.dumps(row)))
            if tools and template.startswith("SmolLM2"):
                continue
            text = tokenizer.apply_chat_template(given, tools, chat_template=source, tokenize=False)
            again = tokenizer.apply_chat_template(given, tools, chat_template=training, tokenize=False)
            assert text == again, (template, text, again)
            result = tokenizer.apply_chat_template(
                given, tools, chat_template=training, return_dict=True, return_assistant_tokens_mask=True
            )
            entries.append(
                {
                    "template": template,
                    "tokenizer": tokenizer_name,
                    "shape": shape,
                    "row": row,
                    "ids": result["input_ids"],
                    "mask": result["assistant_masks"],
                }
            )
    write("masks.json", entries)


# truncation ------------------------------------------------------------------------------------


def real_cases(cache):
    from transformers import PreTrainedTokenizerFast

    entries = []
    for name, shape, template, tokenizer_name in (
        ("alpaca_en_demo", "alpaca", "SmolLM2-135M-Instruct", "smollm"),
        ("alpaca_zh_demo", "alpaca", "Qwen2.5-Coder-0.5B-Instruct", "qwen2"),
        ("identity", "alpaca", "SmolLM2-135M-Instruct", "smollm"),
        ("glaive_toolcall_en_demo", "sharegpt", "Qwen2.5-Coder-0.5B-Instruct", "qwen2"),
        ("glaive_toolcall_zh_demo", "sharegpt", "Qwen3-0.6B", "qwen2"),
    ):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(cache / "tokenizers" / tokenizer_name / "tokenizer.json"),
            eos_token="<|im_end|>",
        )
        source = (GOLDENS / "templates" / f"{template}.jinja").read_text()
        training = marked(template, source)
        rows = json.loads((cache / "data" / f"{name}.json").read_text())
        state, tokens, learnt = 0xCBF29CE484222325, 0, 0
        for row in rows:
            given, tools = SHAPES[shape](row)
            result = tokenizer.apply_chat_template(
                given, tools, chat_template=training, return_dict=True, return_assistant_tokens_mask=True
            )
            ids, mask = result["input_ids"], result["assistant_masks"]
            count = len(mask) - mask[::-1].index(1)
            tokens += count
            learnt += sum(mask[1:count])
            data = b"".join(
                token.to_bytes(8, "little") + bytes([bit])
                for token, bit in zip(ids[:count], mask[:count])
            )
            for byte in data:
                state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        entries.append(
            {
                "name": name,
                "template": template,
                "tokenizer": tokenizer_name,
                "rows": len(rows),
                "tokens": tokens,
                "learnt": learnt,
                "hash": f"{state:x}",
            }
        )
        print(entries[-1])
    write("real.json", entries)


def truncation_cases(folder):
    """Runs the one function, cut out of its module, whose imports are not needed."""
    path = Path(folder) / "src" / "llamafactory" / "data" / "processor" / "processor_utils.py"
    tree = ast.parse(path.read_text())
    function = next(n for n in tree.body if getattr(n, "name", "") == "infer_seqlen")
    scope = {}
    exec(compile(ast.Module([function], []), str(path), "exec"), scope)
    entries = []
    for limit in (1, 2, 3, 7, 8, 10, 16, 33):
        for source in (0, 1, 2, 3, 5, 8, 13, 21, 40):
            for target in (0, 1, 2, 3, 5, 8, 13, 21, 40):
                entries.append([source, target, limit, *scope["infer_seqlen"](source, target, limit)])
    (OUT / "truncation.json").write_text(json.dumps(entries).replace(" ", "") + "\n")
    print("truncation.json", len(entries))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    if sys.argv[1:2] == ["truncation"]:
        truncation_cases(sys.argv[2])
    elif sys.argv[1:2] == ["real"]:
        home = os.environ.get("YUYAN_HOME", "~/.cache/yuyan")
        real_cases(Path(sys.argv[2] if len(sys.argv) > 2 else home).expanduser())
    else:
        gzip_cases()
        csv_cases()
        mask_cases()
