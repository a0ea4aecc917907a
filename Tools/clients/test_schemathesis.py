"""`schemathesis` on `/openapi.json`: whatever it thinks of, no answer is a 5xx."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.ours
EXAMPLES = os.environ.get("YUYAN_SCHEMATHESIS_EXAMPLES", "25")


def test_no_answer_is_a_server_error(start, tmp_path):
    # A server of its own: what is loaded, unloaded or queued here is nobody else's business.
    server = start("--request-timeout", "30")
    document = httpx.get(f"{server.base}/openapi.json").json()
    assert document["openapi"].startswith("3.")
    for path in (
            "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models",
            "/v1/responses", "/v1/messages", "/tokenize", "/detokenize", "/health"):
        assert path in document["paths"], path
    program = Path(sys.executable).parent / "st"
    done = subprocess.run(
        [program if program.exists() else shutil.which("st"), "run",
         f"{server.base}/openapi.json", "--checks", "not_a_server_error", "--phases",
         "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1",
         "--request-timeout", "60", "--continue-on-failure",
         "--suppress-health-check", "all", "--no-color"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-6000:]
    assert httpx.get(f"{server.base}/health").status_code == 200
