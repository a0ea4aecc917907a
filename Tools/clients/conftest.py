"""The server that the clients talk to.

    YUYAN           the binary (default: .build/release/yuyan)
    YUYAN_MODEL     a SmolLM2-135M (default: smollm2-135m in the cache)
    YUYAN_BASE_URL  use the server that runs there; tests marked `ours` are skipped then
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tools" / "load"))

import servers  # noqa: E402

CACHE = Path(os.environ.get("YUYAN_HOME") or Path.home() / ".cache" / "yuyan")
BINARY = Path(os.environ.get("YUYAN") or ROOT / ".build" / "release" / "yuyan")
MODEL = Path(os.environ.get("YUYAN_MODEL") or CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf")
ELSEWHERE = os.environ.get("YUYAN_BASE_URL")


def pytest_collection_modifyitems(items):
    if not ELSEWHERE:
        return
    for item in items:
        if item.get_closest_marker("ours"):
            item.add_marker(pytest.mark.skip(reason="only Yuyan does this"))


class Elsewhere:
    """A server that somebody else started."""

    def __init__(self, base):
        self.base = base.rstrip("/")
        url = httpx.URL(self.base)
        self.host, self.port = url.host, url.port
        self.model = httpx.get(f"{self.base}/v1/models").json()["data"][0]["id"]


@pytest.fixture(scope="session")
def start():
    """Starts servers with options of their own; all are stopped at the end of the session."""
    if ELSEWHERE:
        pytest.skip("needs a server of its own")
    started = []

    def start_server(*options, threads=2):
        server = servers.yuyan(BINARY, MODEL, threads, options)
        started.append(server)
        server.wait_until_ready()
        return server

    yield start_server
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(request):
    """The server most tests share; it must be alive after each of them."""
    if ELSEWHERE:
        return Elsewhere(ELSEWHERE)
    return request.getfixturevalue("start")()


@pytest.fixture(autouse=True)
def still_alive(request):
    """No test may leave the shared server dead or unwell."""
    yield
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        assert httpx.get(f"{server.base}/health", timeout=30).status_code == 200


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.base, timeout=300) as client:
        yield client


@pytest.fixture
def chat(server):
    """The least chat request: a short greedy answer."""
    return {
        "model": server.model, "max_tokens": 12, "temperature": 0,
        "messages": [{"role": "user", "content": "What is the capital of France?"}]}


@pytest.fixture(scope="session")
def score():
    """Log-probabilities of a text's tokens by `yuyan generate`, which knows of no server."""
    import json

    def by_command(text):
        out = subprocess.run(
            [BINARY, "generate", "--model", MODEL, "--raw", "--prompt", text, "--max-tokens", "1",
             "--logprobs", "1", "--json"], stdout=subprocess.PIPE, check=True)
        found = json.loads(out.stdout)
        return found["prompt_tokens"], [
            None if entry is None else entry["logprob"] for entry in found["prompt_logprobs"]]
    return by_command
