"""`schemathesis` on `/openapi.json`: whatever it thinks of, no answer is a 5xx."""

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


def aimed(document, model):
    """The document without what refuses every request, so that more of them reach the model."""
    for path in document["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {})
            fields = content.get("application/json", {}).get("schema", {}).get("properties", {})
            fields.pop("chat_template", None)
            if "model" in fields:
                fields["model"] = {"enum": [model]}
            # May be missing only beside calls of tools, which a schema can hardly say.
            message = fields.get("messages", {}).get("items", {})
            if "role" in message.get("properties", {}):
                message["required"] = ["role", "content"]
                message["properties"]["content"] = {"type": "string"}
    return document


def test_no_answer_is_a_server_error(start, tmp_path):
    # A server of its own: what is loaded, unloaded or queued here is nobody else's business.
    # Most of its requests set no limit: a small context keeps their answers short.
    server = start("--request-timeout", "30", "--max-sequences", "4", "--context", "192")
    document = httpx.get(f"{server.base}/openapi.json").json()
    assert document["openapi"].startswith("3.")
    for path in (
            "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models",
            "/v1/responses", "/v1/messages", "/tokenize", "/detokenize", "/health"):
        assert path in document["paths"], path
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(aimed(document, server.model)))
    program = Path(sys.executable).parent / "st"
    done = subprocess.run(
        [program if program.exists() else shutil.which("st"), "run",
         file, "--url", server.base, "--checks", "not_a_server_error", "--phases",
         "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1",
         "--request-timeout", "60", "--continue-on-failure",
         "--suppress-health-check", "all", "--no-color"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500)
    print(done.stdout[-3000:])
    assert done.returncode == 0
    assert httpx.get(f"{server.base}/health").status_code == 200
