"""A stand-in for `yuyan serve`, for working on the web page without a model.

Run:       python Tools/web/mock_server.py [--port 8099] [--api-key K] [--loading SECONDS]
Needs:     nothing but Python's standard library

Serves Sources/YuyanServe/Web with the content-security policy of the real server, and answers
chat requests with canned text, slowly. Words in the last message choose the answer: "hostile",
"reason", "tool", "refuse", "busy", "break"; everything else gets Markdown with code and a table.
`/engine` shows a pool whose sequences come and go.
"""

import argparse
import json
import math
import random
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WEB = Path(__file__).resolve().parents[2] / "Sources/YuyanServe/Web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MODEL = "smollm2-135m-instruct"
STARTED = time.time()
ADAPTERS = {"hangzhou-dialect": "/models/adapters/hangzhou"}

PLAIN = """Common swifts spend **ten months** of the year in the air, so they also *sleep* there.

## How it works

1. One half of the brain rests while the other keeps watch.
2. The bird climbs to about 2 000 m at dusk and glides down slowly.
   - Wing beats become rarer.
   - It drifts with the wind, correcting its course now and then.
3. It wakes before it comes too low.

| Bird | Longest flight | Sleeps aloft |
|:-----|---------------:|:------------:|
| Common swift | 10 months | yes |
| Alpine swift | 200 days | yes |
| Frigatebird | 2 months | `rarely` |

```swift
/// Reverses the order of the words of a sentence.
func reversedWords(of sentence: String) -> String {
    let words = sentence.split(separator: " ")
    return words.reversed().joined(separator: " ")  // "c b a"
}
print(reversedWords(of: "fly high"), 42)
```

> A swift's feet are made for clinging, not for walking.

More at https://example.org/swifts. 雨燕一生中大部分时间都在飞行。"""
HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">

[click](javascript:window.hacked=3) [data](data:text/html,<script>1</script>) <svg onload=alert(1)>

![x](javascript:alert(1)) [ok](https://example.org/"onmouseover="window.hacked=4)

```html"><img src=x onerror=window.hacked=5>
</code></pre><script>window.hacked = 6</script>
```

| <b>a</b> | b |
|---|---|
| <iframe src=javascript:alert(1)> | `</td><script>` |

""" + ">" * 400 + "deep " + "*" * 300 + "[" * 300
REASONING = (
    "The user asks about swifts.\n\nI should mention that **both** halves of the brain take turns."
)


def pieces(text, generator):
    """Splits text into parts of about the size of tokens."""
    parts, at = [], 0
    while at < len(text):
        size = generator.randint(1, 5) if ord(text[at]) < 0x2000 else 1
        parts.append(text[at : at + size])
        at += size
    return parts


def entry(token, chance):
    return {"token": token, "logprob": math.log(chance), "bytes": list(token.encode())}


def logprobs(token, generator):
    """A believable distribution whose chosen token is not always the likeliest."""
    chance = min(0.999, max(0.02, generator.betavariate(2.2, 0.7)))
    rest, others = 1 - chance, []
    for other in generator.sample([" the", " a", "\n", " it", " 雨", "s", ",", " swift"], 4):
        share = rest * generator.uniform(0.3, 0.7)
        others.append(entry(other, max(share, 1e-6)))
        rest -= share
    top = sorted([entry(token, chance), *others], key=lambda each: -each["logprob"])
    return {"content": [{**entry(token, chance), "top_logprobs": top}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, headers=()):
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": status}
        self.reply(status, {"error": error}, headers=headers)

    def allowed(self):
        key = self.server.options.api_key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self.refuse(401, "Missing or wrong API key; send it as 'Authorization: Bearer …'.")
            return False
        if time.time() - STARTED < self.server.options.loading:
            self.refuse(503, "Loading model", [("Retry-After", "1")])
            return False
        return True

    def do_GET(self):
        path = self.path.split("?")[0]
        file = WEB / (path.lstrip("/") or "index.html")
        if file.parent == WEB and file.suffix in TYPES and file.is_file():
            self.reply(200, file.read_bytes(), TYPES[file.suffix])
        elif not self.allowed():
            pass
        elif path == "/v1/models":
            data = [
                {"id": MODEL, "object": "model", "owned_by": "yuyan", "root": MODEL, "parent": None}
            ]
            data += [
                {"id": name, "object": "model", "owned_by": "yuyan", "root": root, "parent": MODEL}
                for name, root in ADAPTERS.items()
            ]
            self.reply(200, {"object": "list", "data": data})
        elif path == "/engine":
            self.reply(200, engine())
        elif path == "/health":
            self.reply(200, b"", "text/plain")
        else:
            self.refuse(404, f"No such path: {path}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if not self.allowed():
            return
        if self.path == "/v1/load_lora_adapter":
            if "missing" in body["lora_path"]:
                self.refuse(400, f"lora_path: no adapter_config.json in '{body['lora_path']}'")
                return
            ADAPTERS[body["lora_name"]] = body["lora_path"]
            self.reply(200, b"Success: adapter added", "text/plain")
        elif self.path == "/v1/unload_lora_adapter":
            ADAPTERS.pop(body["lora_name"], None)
            self.reply(200, b"Success: adapter removed", "text/plain")
        elif self.path == "/v1/chat/completions":
            self.chat(body)
        else:
            self.refuse(404, f"No such path: {self.path}")

    def chat(self, body):
        said = str(body["messages"][-1]["content"]).lower()
        if "busy" in said:
            self.refuse(429, "The queue of 64 requests is full.", [("Retry-After", "5")])
            return
        if "refuse" in said:
            self.refuse(
                400, "messages: 9000 prompt tokens, but the context holds 8192; shorten them."
            )
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.stream(body, said)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def stream(self, body, said):
        generator = random.Random(body.get("seed", said))
        wait = self.server.options.delay
        self.event(body, {"role": "assistant", "content": ""})
        time.sleep(0.3)
        if "reason" in said:
            for piece in pieces(REASONING, generator):
                self.event(body, {"reasoning_content": piece})
                time.sleep(wait)
        count, finish = 0, "stop"
        if "tool" in said and body["messages"][-1]["role"] == "user":
            call = {
                "index": 0,
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": ""},
            }
            self.event(body, {"tool_calls": [call]})
            for piece in pieces('{"city": "杭州", "days": 3}', generator):
                self.event(body, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                time.sleep(wait)
            finish = "tool_calls"
        else:
            text = HOSTILE if "hostile" in said else PLAIN
            if body["model"] in ADAPTERS:
                text = f"({body['model']}) " + text
            for piece in pieces(text, generator)[: body.get("max_tokens", 100000)]:
                count += 1
                probabilities = logprobs(piece, generator) if body.get("logprobs") else None
                self.event(body, {"content": piece}, logprobs=probabilities)
                time.sleep(wait)
                if "break" in said and count == 40:
                    self.close_connection = True
                    return
        self.event(body, {}, finish_reason=finish)
        usage = {
            "prompt_tokens": 44,
            "completion_tokens": count,
            "total_tokens": 44 + count,
            "prompt_tokens_details": {"cached_tokens": 32},
        }
        self.chunk({"choices": [], "usage": usage})
        self.raw(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, body, delta, **choice):
        choice = {"index": 0, "delta": delta, "finish_reason": None, **choice}
        self.chunk(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "model": body["model"],
                "choices": [choice],
                "usage": None,
            }
        )

    def chunk(self, value):
        self.raw(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")

    def raw(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def engine():
    """Sequences that start every two seconds, grow, and leave their prefixes in the cache."""
    now, total, block_tokens = time.time() - STARTED + 40, 1456, 32
    running, blocks, live = [], [], 0
    newest = int(now / 2)
    cursor = random.Random(7)
    blocks.append([2, 6, max(1, newest - 13), 9])
    for number in range(max(1, newest - 13), newest + 1):
        age = now - number * 2
        prompt = 100 + (number * 173) % 900
        computed = min(prompt, int(age * 600))
        generated = 0 if computed < prompt else int((age - prompt / 600) * 20)
        held = -(-(computed + generated) // block_tokens) if computed else 0
        running.append(
            {
                "sequence": number,
                "prompt_tokens": prompt,
                "computed_tokens": computed,
                "generated_tokens": generated,
                "blocks": held,
                "adapter": "hangzhou-dialect" if number % 5 == 0 else None,
            }
        )
        live += computed + generated
        if held:
            blocks.append([2, held, number, 1])
        blocks.append([1, cursor.randint(2, 34), 0, 0])
    used = sum(run[1] for run in blocks if run[0] == 2)
    blocks.append([0, max(0, total - sum(run[1] for run in blocks)), 0, 0])
    return {
        "model": MODEL,
        "uptime_s": now,
        "block_tokens": block_tokens,
        "block_bytes": 737280,
        "total_blocks": total,
        "used_blocks": used,
        "live_tokens": live + 192,
        "utilization": min(1, (live + 192) / (used * block_tokens)),
        "blocks": blocks,
        "running": running,
        "waiting": int(3 + 3 * math.sin(now / 3)),
        "requests": newest,
        "prompt_tokens": newest * 520,
        "generated_tokens": int(now * 210),
        "tokens_per_s": 210 + 40 * math.sin(now / 4) + 12 * math.sin(now * 2.3),
        "prefill_tokens_per_s": max(0, 700 + 500 * math.sin(now / 2.5)),
        "prefix_queries": newest * 520,
        "prefix_hits": newest * 338,
        "preemptions": newest // 40,
        "evicted_blocks": newest * 3,
        "cancelled": newest // 11,
        "drafted_tokens": newest * 90,
        "accepted_tokens": newest * 61,
        "overhead_share": 0.011,
        "speculation": {
            "on": True,
            "explanation": "on: 67.8 % of guesses are right, a guess costs 1.9 ms",
            "acceptance": 0.678,
            "length": 3.4,
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--api-key")
    parser.add_argument("--loading", type=float, default=0, help="seconds of answering 503")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds between tokens")
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    server.daemon_threads = True
    server.options = parser.parse_args()
    server.serve_forever()


if __name__ == "__main__":
    main()
