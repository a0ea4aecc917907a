"""What an operator relies on: keys, limits, draining, adapters, what is logged."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from raw import exchange, post

pytestmark = pytest.mark.ours
HERE = Path(__file__).resolve().parent


def body(server, **more):
    return {
        "model": server.model, "temperature": 0, "max_tokens": 8,
        "messages": [{"role": "user", "content": "What is the capital of France?"}], **more}


def test_a_key_is_asked_for(start):
    server = start("--api-key", "secret-1")
    model = {"Authorization": "Bearer secret-1"}
    name = httpx.get(f"{server.base}/v1/models", headers=model).json()["data"][0]["id"]
    asked = {"model": name, "prompt": "Hi", "max_tokens": 1}
    url = f"{server.base}/v1/completions"
    for headers in [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret-1"},
                    {"Authorization": "Bearer secret-1x"}, {"Authorization": "Bearer"}]:
        answer = httpx.post(url, json=asked, headers=headers)
        assert answer.status_code == 401 and answer.json()["error"]["message"]
    for headers in [model, {"x-api-key": "secret-1"}]:
        assert httpx.post(url, json=asked, headers=headers, timeout=60).status_code == 200
    assert httpx.get(f"{server.base}/health").status_code == 200
    assert httpx.get(f"{server.base}/engine").status_code == 401


def test_draining_ends_what_runs_and_takes_nothing_new(start):
    server = start()
    asked = body(server, max_tokens=200, ignore_eos=True, stream=True)
    found = {}

    def read():
        with httpx.stream(
                "POST", f"{server.base}/v1/chat/completions", json=asked, timeout=120) as answer:
            found["lines"] = [line for line in answer.iter_lines() if line]
    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 60
    while not httpx.get(f"{server.base}/engine").json()["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    try:
        status, _, _ = exchange(server, post("/v1/chat/completions", body(server)), timeout=10)
        assert status in (503, None)
    except OSError:
        pass  # it listens no more
    reader.join(120)
    assert server.process.wait(60) == 0
    assert found["lines"][-1] == "data: [DONE]"
    last = json.loads(found["lines"][-2][6:])
    assert last["choices"][0]["finish_reason"] == "length"


def test_a_client_that_leaves_frees_its_blocks(server):
    asked = body(server, max_tokens=4000, ignore_eos=True, stream=True)
    with httpx.stream(
            "POST", f"{server.base}/v1/chat/completions", json=asked, timeout=60) as answer:
        # Kept, because a forgotten iterator closes the connection.
        lines = answer.iter_lines()
        for line in lines:
            # The first piece names the role and may come before the prompt is computed.
            if '"content"' in line and '"content": ""' not in line:
                break
        assert httpx.get(f"{server.base}/engine").json()["used_blocks"] > 0
    deadline = time.monotonic() + 20
    while httpx.get(f"{server.base}/engine").json()["used_blocks"]:
        assert time.monotonic() < deadline, "blocks are still held"
        time.sleep(0.05)


def test_an_unread_answer_that_is_left_frees_its_blocks(server):
    asked = body(server, max_tokens=4000, ignore_eos=True)
    link = socket.create_connection((server.host, server.port))
    link.sendall(post("/v1/chat/completions", asked))
    deadline = time.monotonic() + 20
    while not httpx.get(f"{server.base}/engine").json()["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    link.close()
    while httpx.get(f"{server.base}/engine").json()["used_blocks"]:
        assert time.monotonic() < deadline, "blocks are still held"
        time.sleep(0.05)


def test_a_full_queue_says_when_to_come_back(start):
    server = start("--max-queue", "2", "--kv-cache", "8MiB")
    answers, threads = [], []

    def ask():
        answers.append(httpx.post(
            f"{server.base}/v1/chat/completions", timeout=240,
            json=body(server, max_tokens=60, ignore_eos=True)))
    for _ in range(24):
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    for thread in threads:
        thread.join()
    found = [answer.status_code for answer in answers]
    assert set(found) == {200, 429}, found
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["type"] == "rate_limit_error"


def test_a_prompt_beyond_the_cache_is_refused_with_the_numbers(start):
    server = start("--kv-cache", "8MiB")
    answer = httpx.post(
        f"{server.base}/v1/completions", timeout=60,
        json={"model": server.model, "prompt": [5] * 4000, "max_tokens": 1})
    assert answer.status_code == 400 and "4000" in answer.json()["error"]["message"]


def test_over_long_prompts_are_never_cut(http, server):
    for asked, path in [
        ({"prompt": [5] * 8193, "max_tokens": 1}, "/v1/completions"),
        ({"input": [5] * 8193}, "/v1/embeddings"),
    ]:
        answer = http.post(path, json={"model": server.model, **asked})
        message = answer.json()["error"]["message"]
        assert answer.status_code == 400 and "8193" in message and "8192" in message


def test_a_slow_reader_gets_everything(server):
    """One byte at a time for a while; the answer is whole and the same."""
    asked = body(server, max_tokens=40, ignore_eos=True, stream=True)
    link = socket.create_connection((server.host, server.port))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    link.sendall(post("/v1/chat/completions", asked))
    slow = bytearray()
    for _ in range(60):
        slow += link.recv(1)
        time.sleep(0.02)
    while not slow.endswith(b"0\r\n\r\n"):
        piece = link.recv(100)
        if not piece:
            break
        slow += piece
    link.close()
    assert b"data: [DONE]" in slow
    text = "".join(
        choice["delta"].get("content") or "" for line in re.findall(rb"data: (\{.*\})", slow)
        for choice in json.loads(line)["choices"])
    asked.pop("stream")
    whole = httpx.post(f"{server.base}/v1/chat/completions", json=asked, timeout=60).json()
    assert text == whole["choices"][0]["message"]["content"]


def test_together_is_the_same_as_alone(server):
    """Each answer of a batch has the bits it has alone, log-probabilities included."""
    asked = [
        body(server, messages=[{"role": "user", "content": f"Tell me about the number {n}."}],
             max_tokens=24, seed=n, temperature=0.0 if n % 2 else 0.9, logprobs=True)
        for n in range(12)]
    url, together = f"{server.base}/v1/chat/completions", {}

    def ask(index):
        together[index] = httpx.post(url, json=asked[index], timeout=240).json()["choices"]
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, one in enumerate(asked):
        assert httpx.post(url, json=one, timeout=60).json()["choices"] == together[index]


def test_adapters_come_and_go(start, tmp_path):
    maker = HERE / "make_adapter.py"
    if not maker.exists():
        pytest.skip("Tools/clients/make_adapter.py is not there")
    for name in ("north", "south"):
        subprocess.run(
            [sys.executable, maker, tmp_path / name, "--seed", str(len(name) + ord(name[0])),
             "--scale", "0.5", "--targets", "all"], check=True)
    server = start("--adapter", f"north={tmp_path / 'north'}")

    def text(model):
        answer = httpx.post(
            f"{server.base}/v1/chat/completions", timeout=120,
            json=body(server, model=model, max_tokens=16))
        assert answer.status_code == 200, answer.text
        return answer.json()["choices"][0]["message"]["content"]

    models = httpx.get(f"{server.base}/v1/models").json()["data"]
    assert [m["parent"] for m in models if m["id"] == "north"] == [server.model]
    loaded = httpx.post(f"{server.base}/v1/load_lora_adapter", json={
        "lora_name": "south", "lora_path": str(tmp_path / "south")})
    assert loaded.status_code == 200, loaded.text
    plain, north, south = text(server.model), text("north"), text("south")
    assert len({plain, north, south}) == 3
    assert (text("north"), text(server.model)) == (north, plain)
    gone = httpx.post(f"{server.base}/v1/unload_lora_adapter", json={"lora_name": "south"})
    assert gone.status_code == 200
    answer = httpx.post(
        f"{server.base}/v1/chat/completions", json=body(server, model="south"))
    assert answer.status_code == 404
    missing = httpx.post(f"{server.base}/v1/load_lora_adapter", json={
        "lora_name": "x", "lora_path": str(tmp_path / "nowhere")})
    assert missing.status_code in (400, 404) and "nowhere" in missing.text

def test_adapters_answer_as_the_command_does(start, tmp_path):
    """Several at once and the bare model; text and log-probabilities are those of `generate`."""
    import conftest
    names = {"plain": None}
    for seed, name in enumerate(("north", "south", "west")):
        names[name] = tmp_path / name
        subprocess.run(
            [sys.executable, HERE / "make_adapter.py", names[name], "--seed", str(seed),
             "--scale", "0.4", "--targets", "all"], check=True)
    options = [
        part for name in ("north", "south", "west")
        for part in ("--adapter", f"{name}={names[name]}")]
    server = start(*options)
    prompts = ["The capital of France is", "Once upon a time there was a fox who"]
    jobs = [(name, prompt) for name in names for prompt in prompts] * 2
    found = {}

    def ask(index, name, prompt):
        answer = httpx.post(f"{server.base}/v1/completions", timeout=240, json={
            "model": server.model if name == "plain" else name, "prompt": prompt,
            "max_tokens": 16, "temperature": 0, "logprobs": 1}).json()["choices"][0]
        found[index] = (answer["text"], answer["logprobs"]["token_logprobs"])
    threads = [
        threading.Thread(target=ask, args=(index, *job)) for index, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = set()
    for name, prompt in set(jobs):
        adapter = ["--adapter", names[name]] if names[name] else []
        done = subprocess.run(
            [conftest.BINARY, "generate", "--model", conftest.MODEL, *adapter, "--raw",
             "--prompt", prompt, "--max-tokens", "16", "--temperature", "0", "--logprobs", "1",
             "--json"], stdout=subprocess.PIPE, check=True)
        alone = json.loads(done.stdout)
        expected = (alone["text"], [entry["logprob"] for entry in alone["logprobs"]])
        texts.add(alone["text"])
        for index, job in enumerate(jobs):
            if job == (name, prompt):
                assert found[index] == expected, job
    assert len(texts) == len(names) * len(prompts)


def test_the_log_names_requests_and_keeps_prompts_out(start):
    server = start()
    secret = "xylophone zebra quartz"
    answer = httpx.post(
        f"{server.base}/v1/chat/completions", timeout=60, headers={"X-Request-Id": "abc-123"},
        json=body(server, messages=[{"role": "user", "content": secret}]))
    assert answer.status_code == 200 and answer.headers["x-request-id"] == "abc-123"
    assert server.stop() == 0
    log = Path(server.log).read_text()
    assert "abc-123" in log and "zebra" not in log
