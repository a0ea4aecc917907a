"""Many ill-mannered clients at once, for minutes: `make soak`.

    python3 Tools/load/soak.py --minutes 10 --clients 64

Clients ask with random lengths and sampling, streamed or not; some leave in mid-answer, some read a
byte at a time, some send rubbish, some ask for JSON by a schema, for a call of a tool or for an
adapter. Every completed answer has a seed and is kept, with its log-probabilities; at the end they
are asked again, alone, all or as many as --again says, and must come out the same. Fails unless: the
server lives and ends with 0; no answer is a 5xx but 503; every block is given back; resident memory
is flat after warm-up; every answer of a schema is JSON; answers agree; and enough happened for all
that to mean something: answers kept, of each kind, and preemptions.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import servers
from prompts import sample_text
from wire import BrokenAnswer, ask, request_bytes

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = {
    "type": "object", "required": ["name", "tags"], "additionalProperties": False, "properties": {
        "name": {"type": "string", "maxLength": 30},
        "tags": {"type": "array", "maxItems": 3, "items": {"enum": ["red", "green", "blue"]}}}}
TOOLS = [{"type": "function", "function": {"name": "paint", "parameters": {
    "type": "object", "required": ["colour"], "additionalProperties": False, "properties": {
        "colour": {"enum": ["red", "green", "blue"]}, "coats": {"type": "integer", "maximum": 9}}}}}]
# Kinds of kept answers of which a soak without any would prove nothing.
KINDS = ["schema", "tools", "logprobs", "streamed", "adapter"]
RUBBISH = [
    b"", b"{", b"[1,2", b'{"model": 5}', b"\xff\xfe\x00", b'{"messages": "no"}', b"[" * 50_000,
    b'{"model": "nobody", "messages": []}', b'{"n": 1000000000}']


class Soak:
    def __init__(self, server, models, args):
        self.server, self.models, self.args = server, models, args
        self.words = sample_text().split()
        self.counts = collections.Counter()
        self.statuses = collections.Counter()
        self.finished = []  # (request, its choices): what must come out again
        self.violations = []
        self.memory = []  # (seconds, resident bytes)
        self.blocks = []  # (seconds, used, cached, waiting)
        self.tokens = 0
        self.kinds = collections.Counter()
        self.preemptions = 0

    def text(self, generator, most):
        length = max(1, int(most * generator.random() ** 2))
        start = generator.randrange(len(self.words) - length)
        return " ".join(self.words[start:start + length])

    def body(self, generator):
        """A random request that is in order; it has a seed, so it has one answer."""
        body = {
            "model": generator.choice(self.models), "seed": generator.randrange(1 << 31),
            "max_tokens": generator.choice([1, 4, 16, 40, 100]),
            "temperature": generator.choice([0, 0, 0.7, 1, 1.5]),
            "messages": [{"role": "user", "content": self.text(generator, 400)}]}
        for field, values in [
            ("top_p", [0.5, 0.9]), ("top_k", [1, 40]), ("min_p", [0.05]), ("n", [2, 3]),
            ("stop", ["\n", [".", " the"]]), ("frequency_penalty", [0.5]), ("logprobs", [True]),
            ("ignore_eos", [True]),
        ]:
            if generator.random() < 0.15:
                body[field] = generator.choice(values)
        if generator.random() < 0.1:
            body["response_format"] = {
                "type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
            body["max_tokens"] = 60
            for field in ("stop", "ignore_eos"):
                body.pop(field, None)
        elif generator.random() < 0.12:
            body["tools"] = TOOLS
            body["tool_choice"] = generator.choice(["required", "auto"])
            body["max_tokens"] = 60
            for field in ("stop", "ignore_eos"):
                body.pop(field, None)
        if generator.random() < 0.3:
            body["messages"].insert(
                0, {"role": "system", "content": "You are the helper of a small library. " * 20})
        return body

    async def client(self, number, deadline):
        generator = random.Random(self.args.seed * 1000 + number)
        while time.monotonic() < deadline and not self.died():
            manner = generator.choices(
                [self.whole, self.streamed, self.leaves, self.leaves_unread, self.slow,
                 self.rubbish, self.embeds], [30, 30, 12, 5, 5, 12, 6])[0]
            self.counts[manner.__name__] += 1
            try:
                await manner(generator)
            except (OSError, BrokenAnswer, asyncio.TimeoutError) as failure:
                if not self.died():
                    self.wrong(f"{manner.__name__}: {type(failure).__name__}: {failure}")
            await asyncio.sleep(generator.random() * 0.2)

    def died(self):
        return self.server.process.poll() is not None

    def wrong(self, text):
        if len(self.violations) < 1000:
            self.violations.append(text[:600])

    def note(self, status, detail):
        self.statuses[status] += 1
        if status >= 500 and status != 503:
            self.wrong(f"status {status}: {detail!r}")

    async def send(self, body, path="/v1/chat/completions"):
        answer = await ask(self.server.host, self.server.port, path, body)
        self.note(answer.status, answer.body[:300])
        if not answer.complete:
            self.wrong(f"an answer is cut off: {answer.body[-200:]!r}")
        return answer

    def keep(self, body, choices):
        kept = sorted(shape(choice) for choice in choices)
        for kind, is_there in [
            ("schema", "response_format" in body), ("logprobs", "logprobs" in body),
            ("tools", any(choice["calls"] for choice in choices)),
            ("adapter", body["model"] != self.models[0]),
        ]:
            self.kinds[kind] += is_there
        if body.get("tool_choice") == "required":
            for choice in choices:
                if not choice["calls"]:
                    self.wrong(f"no call: {choice['text']!r} for {json.dumps(body)}")
        for _, arguments in (call for choice in choices for call in choice["calls"]):
            try:
                json.loads(arguments)
            except ValueError:
                self.wrong(f"a call without JSON: {arguments!r} for {json.dumps(body)}")
        if "response_format" in body:
            for _, text, *_ in kept:
                try:
                    json.loads(text)
                except ValueError:
                    self.wrong(f"not JSON: {text!r} for {json.dumps(body)}")
        self.finished.append((body, kept))

    async def whole(self, generator):
        body = self.body(generator)
        answer = await self.send(body)
        if answer.status == 200:
            found = answer.json()
            self.tokens += found["usage"]["completion_tokens"]
            self.keep(body, whole_choices(found))
        elif answer.status not in (429, 503):
            self.wrong(f"status {answer.status} for {json.dumps(body)}: {answer.body[:300]!r}")

    async def streamed(self, generator):
        body = self.body(generator)
        answer = await self.send(
            {**body, "stream": True, "stream_options": {"include_usage": True}})
        if answer.status == 200:
            self.kinds["streamed"] += 1
            self.keep(body, self.joined(answer))
        elif answer.status not in (429, 503):
            self.wrong(f"status {answer.status} for {json.dumps(body)}: {answer.body[:300]!r}")

    def joined(self, answer):
        """The choices of a stream, put together."""
        choices, last = {}, None
        for _, event in answer.events():
            last = event
            if event == "[DONE]":
                continue
            if "error" in event:
                self.wrong(f"an error in a stream: {event}")
            if event.get("usage"):
                self.tokens += event["usage"]["completion_tokens"]
            for choice in event.get("choices", []):
                entry = choices.setdefault(
                    choice["index"], {"index": choice["index"], "text": "", "finish": None,
                                      "calls": [], "scores": []})
                entry["text"] += choice["delta"].get("content") or ""
                for call in choice["delta"].get("tool_calls") or []:
                    while len(entry["calls"]) <= call["index"]:
                        entry["calls"].append(["", ""])
                    function = call["function"]
                    entry["calls"][call["index"]][0] += function.get("name") or ""
                    entry["calls"][call["index"]][1] += function.get("arguments") or ""
                entry["scores"] += scores(choice)
                entry["finish"] = choice["finish_reason"] or entry["finish"]
        if last != "[DONE]" or any(choice["finish"] is None for choice in choices.values()):
            self.wrong("a stream has no end")
        return list(choices.values())

    async def opened(self, body, buffered=None):
        link = socket.socket()
        link.setblocking(False)
        if buffered:
            # Small, so that the server soon has nowhere to write to.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffered)
        await asyncio.get_running_loop().sock_connect(link, (self.server.host, self.server.port))
        reader, writer = await asyncio.open_connection(sock=link, limit=buffered or 1 << 16)
        writer.write(request_bytes(
            self.server.host, self.server.port, "/v1/chat/completions", body))
        await writer.drain()
        return reader, writer

    async def leaves(self, generator):
        """Goes away after a few pieces of a stream."""
        body = {**self.body(generator), "stream": True, "max_tokens": 400, "ignore_eos": True}
        body.pop("response_format", None)
        reader, writer = await self.opened(body)
        try:
            for _ in range(generator.randrange(1, 12)):
                if not await asyncio.wait_for(reader.read(512), 600):
                    break
        finally:
            writer.transport.abort()

    async def leaves_unread(self, generator):
        """Goes away before the answer comes."""
        _, writer = await self.opened({**self.body(generator), "max_tokens": 400})
        await asyncio.sleep(generator.random())
        writer.transport.abort()

    async def slow(self, generator):
        """Reads a byte every tenth of a second for a while, then leaves."""
        body = {**self.body(generator), "stream": True, "max_tokens": 200, "ignore_eos": True}
        body.pop("response_format", None)
        reader, writer = await self.opened(body, buffered=2048)
        try:
            for _ in range(generator.randrange(20, 120)):
                if not await asyncio.wait_for(reader.read(1), 600):
                    break
                await asyncio.sleep(0.1)
        finally:
            writer.transport.abort()

    async def rubbish(self, generator):
        answer = await self.send(generator.choice(RUBBISH))
        if not 400 <= answer.status < 500:
            self.wrong(f"status {answer.status} for rubbish: {answer.body[:300]!r}")

    async def embeds(self, generator):
        answer = await self.send(
            {"model": self.models[0], "input": [
                self.text(generator, 100) for _ in range(generator.randrange(1, 4))]},
            "/v1/embeddings")
        if answer.status not in (200, 429, 503):
            self.wrong(f"status {answer.status} for embeddings: {answer.body[:300]!r}")

    async def watch(self, deadline):
        begin = time.monotonic()
        while time.monotonic() < deadline and not self.died():
            now = time.monotonic() - begin
            try:
                self.memory.append((now, self.server.memory()[0]))
                engine = (await ask(self.server.host, self.server.port, "/engine")).json()
                self.preemptions = engine["preemptions"]
                # Runs of equal neighbours, [kind, count, ...]: free, cached, used.
                kinds = [sum(run[1] for run in engine["blocks"] if run[0] == kind)
                         for kind in range(3)]
                self.blocks.append((now, kinds[2], kinds[1], engine["waiting"]))
                if sum(kinds) != engine["total_blocks"] or kinds[2] != engine["used_blocks"]:
                    self.wrong(f"blocks do not add up: {kinds} of {engine['total_blocks']}")
            except (OSError, BrokenAnswer) as failure:
                if not self.died():
                    self.wrong(f"/engine: {failure}")
            await asyncio.sleep(1)

    async def run(self):
        deadline = time.monotonic() + self.args.minutes * 60
        await asyncio.gather(
            self.watch(deadline),
            *(self.client(number, deadline) for number in range(self.args.clients)))
        if self.died():
            return self.wrong(
                f"the server ended with {self.server.process.returncode}:\n"
                + self.server.log_tail())
        await self.all_blocks_return()
        await self.ask_again()

    async def all_blocks_return(self, seconds=60):
        deadline, used = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            engine = (await ask(self.server.host, self.server.port, "/engine")).json()
            used = engine["used_blocks"]
            if used == 0 and not engine["running"] and not engine["waiting"]:
                return
            await asyncio.sleep(0.1)
        self.wrong(f"{used} blocks are still in use {seconds} s after the last request")

    async def ask_again(self):
        generator = random.Random(self.args.seed)
        chosen = self.finished
        if 0 < self.args.again < len(chosen):
            chosen = generator.sample(chosen, self.args.again)
        for body, expected in chosen:
            answer = await self.send(body)
            if answer.status != 200:
                self.wrong(f"alone: status {answer.status}")
                continue
            found = sorted(shape(choice) for choice in whole_choices(answer.json()))
            self.counts["asked again"] += 1
            if found != expected:
                self.wrong(
                    f"another answer alone: {json.dumps(body)}\n  in company {expected}\n"
                    f"  alone      {found}")

    def check_enough(self):
        """A soak in which nothing happened has shown nothing."""
        least = self.args.floor * self.args.minutes
        if len(self.finished) < least:
            self.wrong(f"only {len(self.finished)} answers were kept; expected {least:.0f}")
        if self.preemptions < self.args.minutes:
            self.wrong(
                f"only {self.preemptions} preemptions; give a smaller --kv-cache or more --clients")
        missing = [kind for kind in KINDS if not self.kinds[kind]
                   and (kind != "adapter" or len(set(self.models)) > 1)]
        if missing:
            self.wrong(f"no answer was kept of the kinds {', '.join(missing)}; give more --minutes")
        if not self.counts["asked again"]:
            self.wrong("no answer was asked for again")

    def check_memory(self):
        """Compares the second third with the last: both are after the warm-up."""
        third = len(self.memory) // 3
        if third < 10:
            return self.wrong("too short to judge memory; give more --minutes")
        middle = statistics.median(size for _, size in self.memory[third:2 * third])
        last = statistics.median(size for _, size in self.memory[2 * third:])
        if last > middle * (1 + self.args.growth / 100) + (2 << 20):
            self.wrong(
                f"resident memory grew from {middle / 2**20:.0f} to {last / 2**20:.0f} MiB")


def scores(choice):
    """The tokens of a choice with their log-probabilities; empty if they were not asked for."""
    entries = (choice.get("logprobs") or {}).get("content") or []
    return [(entry["token"], entry["logprob"]) for entry in entries]


def whole_choices(answer):
    return [
        {"index": choice["index"], "text": choice["message"]["content"] or "",
         "finish": choice["finish_reason"], "scores": scores(choice),
         "calls": [[call["function"]["name"], call["function"]["arguments"]]
                   for call in choice["message"].get("tool_calls") or []]}
        for choice in answer["choices"]]


def shape(choice):
    """What must come out again; ids of calls are drawn anew."""
    return (choice["index"], choice["text"], choice["finish"], choice["calls"], choice["scores"])


def report(soak, seconds, code):
    sizes = [size for _, size in soak.memory]
    third = len(sizes) // 3
    lines = [
        f"{soak.args.clients} clients, {seconds / 60:.1f} minutes, "
        f"{sum(soak.counts.values())} requests, {soak.tokens} tokens of completed answers",
        "manners: " + ", ".join(f"{name} {count}" for name, count in soak.counts.most_common()),
        "statuses: " + ", ".join(
            f"{status} {count}" for status, count in sorted(soak.statuses.items())),
        f"answers kept: {len(soak.finished)} ("
        + ", ".join(f"{kind} {soak.kinds[kind]}" for kind in KINDS)
        + f"), asked again alone: {soak.counts['asked again']}; preemptions: {soak.preemptions}"]
    if third:
        thirds = [
            statistics.median(sizes[part * third:(part + 1) * third]) / 2**20 for part in range(3)]
        lines.append(
            "resident memory, median of thirds: " + ", ".join(f"{size:.1f}" for size in thirds)
            + f" MiB; at most {max(sizes) / 2**20:.1f} MiB")
    if soak.blocks:
        lines.append(
            f"blocks in use: at most {max(entry[1] for entry in soak.blocks)}; waiting: at most "
            f"{max(entry[3] for entry in soak.blocks)}")
    lines.append(f"the server ended with {code}")
    for kind, count in collections.Counter(
            text.split(":")[0] for text in soak.violations).most_common():
        lines.append(f"VIOLATION ({count} times) {kind}")
    lines += [f"  {text}" for text in soak.violations[:10]]
    lines.append("soak failed" if soak.violations else "soak passed")
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    cache = Path(os.environ.get("YUYAN_HOME") or Path.home() / ".cache" / "yuyan")
    add("--yuyan", type=Path, default=ROOT / ".build" / "release" / "yuyan")
    add("--model", type=Path, default=cache / "SmolLM2-135M-Instruct.Q4_1.gguf")
    add("--minutes", type=float, default=10)
    add("--clients", type=int, default=64)
    add("--threads", type=int, default=2)
    add("--kv-cache", default="96MiB", help="small enough that requests wait and are preempted")
    add("--seed", type=int, default=1)
    add("--again", type=int, default=1000,
        help="answers to ask for again, alone, drawn at random; 0 for all that were kept")
    add("--floor", type=float, default=20, help="answers to keep per minute, at least")
    add("--growth", type=float, default=3, help="percent that resident memory may grow")
    add("--options", default="", help="further options for `yuyan serve`, as one string")
    add("--log", help="where the server's log goes; by default a temporary file")
    add("--json", type=Path, help="also write memory and blocks, second by second")
    return parser.parse_args()


def main():
    args = arguments()
    maker = ROOT / "Tools" / "clients" / "make_adapter.py"
    with tempfile.TemporaryDirectory() as folder:
        options, names = ["--kv-cache", args.kv_cache, *args.options.split()], []
        if maker.exists():
            for name in ("north", "south"):
                subprocess.run(
                    [sys.executable, maker, f"{folder}/{name}", "--seed", str(len(names) + 1)],
                    check=True, stdout=subprocess.DEVNULL)
                options += ["--adapter", f"{name}={folder}/{name}"]
                names.append(name)
        server = servers.yuyan(args.yuyan, args.model, args.threads, options, args.log)
        with server:
            soak = Soak(server, [server.model, server.model, *names], args)
            start = time.monotonic()
            asyncio.run(soak.run())
            seconds = time.monotonic() - start
            soak.check_memory()
            soak.check_enough()
        code = server.process.returncode
        if code != 0:
            soak.wrong(f"the server ended with {code}")
    print(report(soak, seconds, code))
    print(f"the server's log: {server.log}", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps({
            "memory": soak.memory, "blocks": soak.blocks, "statuses": soak.statuses,
            "counts": soak.counts, "violations": soak.violations}, indent=1))
    return 1 if soak.violations else 0


if __name__ == "__main__":
    sys.exit(main())
