"""What is measured of one running server: each function returns a flat set of figures."""

import asyncio
import json
import resource
import socket
import statistics
import time

from wire import Answer, BrokenAnswer, ask, request_bytes


class WrongAnswer(Exception):
    """A server did not do what it was asked, so that its time means nothing."""


def percentile(values, share):
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 100) - 1))]


class Watch:
    """Wall time, and the processor time of this client and of the server."""

    def __init__(self, server):
        self._server = server

    def __enter__(self):
        self._wall, self._own = time.monotonic(), self._own_seconds()
        self._theirs = self._server.cpu_seconds()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._wall
        self.client_share = (self._own_seconds() - self._own) / self.seconds
        self.server_share = (self._server.cpu_seconds() - self._theirs) / self.seconds

    @staticmethod
    def _own_seconds():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime


def completion(server, prompt, tokens, **more):
    return {
        "model": server.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True,
        "ignore_eos": True, "stream_options": {"include_usage": True}, **more}


def together(server, bodies, path="/v1/completions", headers=None):
    """Sends all requests at once, each on its own connection; returns the answers in order."""
    async def all_of_them():
        return await asyncio.gather(
            *(ask(server.host, server.port, path, body, headers) for body in bodies))
    return asyncio.run(all_of_them())


def read_stream(answer, prompt_tokens, tokens):
    """Arrival times of the pieces of text, after checking that all tokens were made."""
    if answer.status != 200 or not answer.complete:
        raise WrongAnswer(f"status {answer.status}: {answer.body[:500]!r}")
    times, usage, done = [], None, False
    for at, event in answer.events():
        if event == "[DONE]":
            done = True
            continue
        if "error" in event:
            raise WrongAnswer(json.dumps(event)[:500])
        if any(choice.get("text") for choice in event.get("choices", [])):
            times.append(at)
        usage = event.get("usage") or usage
    if not done or usage is None:
        raise WrongAnswer("the stream ended without [DONE] or without its usage")
    found = (usage["prompt_tokens"], usage["completion_tokens"])
    if found != (prompt_tokens, tokens):
        raise WrongAnswer(
            f"{found[0]} prompt and {found[1]} answer tokens; asked for {prompt_tokens}, {tokens}")
    if not times:
        raise WrongAnswer("the stream had no text")
    return times


def warm_up(server, prompts):
    for answer in together(server, [completion(server, prompts.one(64), 16) for _ in range(4)]):
        read_stream(answer, 64, 16)


def streams(server, prompts, count, prompt_tokens=128, tokens=64):
    """Distinct prompts at once, streamed."""
    asked = prompts.several(count, prompt_tokens)
    with Watch(server) as watch:
        answers = together(server, [completion(server, prompt, tokens) for prompt in asked])
    return _stream_figures(answers, [prompt_tokens] * count, tokens, watch)


def shared_prefix(server, prompts, count=32, prefix_tokens=400, tail_tokens=16, tokens=32):
    """Prompts that are alike but for their ends, at once, streamed."""
    prefix = prompts.one(prefix_tokens)
    asked = [prefix + tail for tail in prompts.several(count, tail_tokens)]
    with Watch(server) as watch:
        answers = together(server, [completion(server, prompt, tokens) for prompt in asked])
    return _stream_figures(answers, [len(prompt) for prompt in asked], tokens, watch)


def _stream_figures(answers, lengths, tokens, watch):
    first, gaps, start = [], [], min(answer.sent for answer in answers)
    for answer, length in zip(answers, lengths):
        times = read_stream(answer, length, tokens)
        first.append(times[0] - answer.sent)
        gaps += [later - earlier for earlier, later in zip(times, times[1:])]
    seconds = max(answer.ended for answer in answers) - start
    return {
        "seconds": seconds, "tokens_s": len(answers) * tokens / seconds,
        "first_mean": statistics.fmean(first), "first_p95": percentile(first, 95),
        "gap_p50": percentile(gaps, 50), "gap_p95": percentile(gaps, 95),
        "client_cpu": watch.client_share, "server_cpu": watch.server_share}


def embeddings(server, prompts, texts=64, tokens=256, requests=4):
    """Texts as token ids, in a few requests at once."""
    asked = prompts.several(texts, tokens)
    each = texts // requests
    bodies = [
        {"model": server.model, "input": asked[part * each:(part + 1) * each],
         "encoding_format": "float"} for part in range(requests)]
    with Watch(server) as watch:
        answers = together(server, bodies, "/v1/embeddings")
    for answer in answers:
        if answer.status != 200:
            raise WrongAnswer(f"status {answer.status}: {answer.body[:500]!r}")
        data = answer.json()["data"]
        if len(data) != each or any(
                not 0.99 < sum(x * x for x in entry["embedding"]) < 1.01 for entry in data):
            raise WrongAnswer("embeddings are missing or not of length 1")
    return {
        "seconds": watch.seconds, "texts_s": texts / watch.seconds,
        "client_cpu": watch.client_share, "server_cpu": watch.server_share}


def single_stream(server, prompts, prompt_tokens=128, tokens=128):
    """One request alone: the seconds of a token as a client sees them.

    The client is a loop around one blocking socket, the least that a client can be; what processor
    time it takes, and what the server's threads take beside those that compute, is told as well.
    """
    body = completion(server, prompts.one(prompt_tokens), tokens)
    request = request_bytes(server.host, server.port, "/v1/completions", body)
    pieces = []
    with Watch(server) as watch, socket.create_connection((server.host, server.port)) as link:
        before = server.thread_seconds()
        sent = time.monotonic()
        link.sendall(request)
        while piece := link.recv(1 << 16):
            pieces.append((time.monotonic(), piece))
        after = server.thread_seconds()
    answer = Answer(sent, pieces)
    times = read_stream(answer, prompt_tokens, tokens)
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    spent = sorted((after[thread] - before.get(thread, 0) for thread in after), reverse=True)
    return {
        "first": times[0] - answer.sent, "gap_p50": statistics.median(gaps),
        "gap_mean": (times[-1] - times[0]) / (tokens - 1),
        "client_token": watch.client_share * watch.seconds / tokens,
        "threads_token": [seconds / tokens for seconds in spent]}


def full_pool(server, prompts, requests=24, prompt_tokens=600, tokens=200, interval=0.05):
    """Live tokens as a share of what the whole pool can hold, while it is full.

    Full means that the last step left something out because no block was free for it. While blocks
    that an answer left are refilled as fast as prompts can be computed, requests wait as well, but
    for the processor; these moments are counted apart (`waiting_`). Needs the server's `/engine`;
    its pool must hold only some of the requests.
    """
    full, waiting = [], []

    async def watch_engine(finished):
        while not finished.is_set():
            try:
                engine = (await ask(server.host, server.port, "/engine")).json()
            except (OSError, BrokenAnswer):
                return
            live = engine["live_tokens"] / engine["block_tokens"]
            if engine["waits_for_blocks"]:
                full.append((live / engine["total_blocks"], live / engine["used_blocks"]))
            if engine["waiting"] > 0:
                waiting.append(live / engine["total_blocks"])
            await asyncio.sleep(interval)

    async def run():
        finished = asyncio.Event()
        watcher = asyncio.create_task(watch_engine(finished))
        answers = await asyncio.gather(*(
            ask(
                server.host, server.port, "/v1/completions", completion(server, prompt, tokens))
            for prompt in prompts.several(requests, prompt_tokens)))
        finished.set()
        await watcher
        return answers

    for answer in asyncio.run(run()):
        read_stream(answer, prompt_tokens, tokens)
    if not full:
        raise WrongAnswer("nothing ever waited for a block: the pool was never full")
    of_pool = [sample[0] for sample in full]
    engine = server.get("/engine")
    return {
        "samples": len(full), "of_pool_median": statistics.median(of_pool),
        "of_pool_mean": statistics.fmean(of_pool), "of_pool_p5": percentile(of_pool, 5),
        "of_used_median": statistics.median(sample[1] for sample in full),
        "waiting_samples": len(waiting),
        "waiting_median": statistics.median(waiting) if waiting else None,
        "blocks": engine["total_blocks"],
        "block_tokens": engine["block_tokens"],
        "preemptions": engine["preemptions"]}
