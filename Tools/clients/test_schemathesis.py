"""`schemathesis` on `/openapi.json`: no answer is a 5xx, and what the document allows mostly works."""

import collections
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.ours
EXAMPLES = os.environ.get("YUYAN_SCHEMATHESIS_EXAMPLES", "25")
# What is refused although the document allows it, because no schema can say it: texts that must be a
# grammar or a schema, names of adapters, folders of the server, fields that must fit another one.
LEAST_SHARE = 0.6


def lines(server):
    """The log's lines; `splitlines` would also split at characters within them."""
    return Path(server.log).read_text(errors="replace").split("\n")


@pytest.fixture
def fuzzed(start, tmp_path):
    """Runs schemathesis against a server of its own; returns statuses by method and path."""
    # What is loaded, unloaded or queued here is nobody else's business. Most requests set no limit:
    # a small context keeps their answers short.
    server = start(
        "--request-timeout", "30", "--max-sequences", "4", "--context", "192", "--log-format",
        "json")

    def run(*options):
        document = httpx.get(f"{server.base}/openapi.json").json()
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(document))
        seen = len(lines(server))
        program = Path(sys.executable).parent / "st"
        done = subprocess.run(
            [program if program.exists() else shutil.which("st"), "run", file, "--url",
             server.base, "--checks", "not_a_server_error", "--max-examples", EXAMPLES, "--seed",
             "1", "--request-timeout", "60", "--continue-on-failure", "--suppress-health-check",
             "all", "--no-color", *options],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500)
        print(done.stdout[-3000:])
        assert done.returncode == 0
        assert httpx.get(f"{server.base}/health").status_code == 200
        statuses = collections.defaultdict(collections.Counter)
        for line in lines(server)[seen:]:
            entry = json.loads(line) if line.startswith("{") else {}
            if "status" in entry:
                statuses[f"{entry['method']} {entry['route']}"][entry["status"]] += 1
        return document, statuses

    return run


def test_no_answer_is_a_server_error(fuzzed):
    document, statuses = fuzzed("--phases", "examples,coverage,fuzzing")
    assert document["openapi"].startswith("3.")
    for path in (
            "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models",
            "/v1/responses", "/v1/messages", "/tokenize", "/detokenize", "/health", "/engine",
            "/version", "/metrics"):
        assert path in document["paths"], path
    assert not [status for found in statuses.values() for status in found if status >= 500]


def test_what_the_document_allows_is_mostly_answered(fuzzed):
    _, statuses = fuzzed("--phases", "fuzzing", "--mode", "positive")
    total = collections.Counter()
    for route, found in sorted(statuses.items()):
        if not route.startswith("POST") or "lora_adapter" in route:
            continue
        print(route, dict(found))
        total += found
    share = total[200] / total.total()
    print(f"{total[200]} of {total.total()} requests with a body were answered with 200: {share:.0%}")
    assert share >= LEAST_SHARE
