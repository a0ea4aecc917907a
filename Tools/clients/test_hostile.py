"""Bad input: a 4xx that names the field, soon, and a server that goes on."""

import json

import pytest

from raw import exchange, post

pytestmark = pytest.mark.ours
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
USER = [{"role": "user", "content": "Hi"}]
# Refusing takes no model; most of this is for a busy machine.
SOON = 10


def refused(server, path, body, names=None, statuses=(400,)):
    status, answer, seconds = exchange(server, post(path, body))
    assert status in statuses, (status, answer[:500])
    assert seconds < SOON
    error = json.loads(answer)["error"]
    assert error["message"]
    if names:
        assert names in f"{error['message']} {error.get('param')}", error
    return error


BROKEN = {
    "empty": b"", "not json": b"hello", "cut off": b'{"model": "x", "messages": [',
    "two values": b'{"a":1} {"b":2}', "a list": b"[]", "a number": b"1e999",
    "invalid utf-8": b'{"model":"\xff\xfe","messages":[]}',
    "half a surrogate": b'{"model":"\\ud800","messages":[]}',
    "control character": b'{"model":"a\x01b"}', "a zero byte": b"\x00" * 64,
    "deep": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep and cut": b"[" * 1_000_000, "many keys": json.dumps(
        {f"k{number}": number for number in range(100_000)}).encode(),
    "huge number": b'{"max_tokens": ' + b"9" * 100_000 + b"}",
    "comment": b'{/* hi */ "model": "x"}',
}


@pytest.mark.parametrize("path", [CHAT, TEXT, "/v1/embeddings", "/v1/responses", "/v1/messages",
                                  "/tokenize", "/detokenize", "/v1/load_lora_adapter"])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_bodies(server, path, kind):
    status, answer, seconds = exchange(server, post(path, BROKEN[kind]))
    assert status is not None and 400 <= status < 500, (status, answer[:300])
    assert seconds < SOON and json.loads(answer)["error"]["message"]


FIELDS = {
    "messages": [None, "text", {}, [], [1], [{}], [{"role": "user"}],
                 [{"role": "nobody", "content": "x"}], [{"role": "user", "content": 5}],
                 [{"role": "user", "content": [{"type": "nothing"}]}],
                 [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]],
    "max_tokens": [-1, 1.5, "many", 10**30, [], True],
    "temperature": [-0.1, "hot", 1e308, [], True, -1e999],
    "top_p": [-1, 2, "x"], "top_k": [-7, 1.5, "x", 10**30], "min_p": [-1, 2],
    "n": [0, -1, 10**9, 1.5, "x", True], "seed": ["x", 1.5, 10**40],
    "stop": [5, [5], ["x"] * 1_000_000, ["x" * 10_000_000], {}],
    "logit_bias": [5, {"x": 1}, {"999999999": 1}, {"5": "x"}, {"-1": 1}],
    "top_logprobs": [-1, 10**9, "x"], "logprobs": ["x", 5],
    "stream": ["yes", 1], "frequency_penalty": ["x", 1e9], "presence_penalty": ["x", -1e9],
    "repetition_penalty": [-1, 0, "x"], "response_format": [
        5, "json", {"type": "nothing"}, {"type": "json_schema"},
        {"type": "json_schema", "json_schema": 5}],
    "tools": [5, [5], [{}], [{"type": "function"}], [{"type": "function", "function": {}}],
              [{"type": "function", "function": {"name": "", "parameters": {}}}],
              [{"type": "function", "function": {"name": "f", "parameters": 5}}]],
    "tool_choice": ["sometimes", 5, {"type": "function", "function": {"name": "missing"}}],
    "stream_options": [5, "x"], "priority": ["x", 10**30], "model": [5, [], {}],
}
ABSURD = [(field, value) for field, values in FIELDS.items() for value in values]


@pytest.mark.parametrize(
    ("field", "value"), ABSURD, ids=[f"{f}-{str(v)[:24]}" for f, v in ABSURD])
def test_absurd_values_name_their_field(server, field, value):
    body = {"model": server.model, "messages": USER, "max_tokens": 2, field: value}
    if field == "top_logprobs":
        body["logprobs"] = True
    if field == "stream_options":
        body["stream"] = True
    if field == "tool_choice":
        body["tools"] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    # Python writes infinity in its own way; the wire's way is an exponent too large.
    data = json.dumps(body).replace("-Infinity", "-1e999").encode()
    refused(server, CHAT, data, field, statuses=(400, 413, 422))


@pytest.mark.parametrize("prompt", [
    5, {}, [[]], [-1], [10**9], [1.5], ["a", 1], [[1], "a"], [], None, [None]],
    ids=lambda prompt: str(prompt))
def test_absurd_prompts(server, prompt):
    refused(
        server, TEXT, {"model": server.model, "prompt": prompt, "max_tokens": 2}, "prompt")


@pytest.mark.parametrize("path,body", [
    (CHAT, {"messages": USER}), (TEXT, {"prompt": "x"}), ("/v1/embeddings", {"input": "x"}),
    ("/v1/responses", {"input": "x"})])
def test_an_unknown_model_is_404(server, path, body):
    refused(server, path, {"model": "no-such-model", **body}, "no-such-model", statuses=(404,))


def test_missing_fields_are_named(server):
    refused(server, CHAT, {"model": server.model}, "messages")
    refused(server, TEXT, {"model": server.model}, "prompt")
    refused(server, "/v1/embeddings", {"model": server.model}, "input")


@pytest.mark.parametrize("input", [5, [], "", [""], [[]], [[-1]], [10**9], {}, None, ["a", 5]],
                         ids=lambda input: str(input))
def test_absurd_embedding_inputs(server, input):
    refused(server, "/v1/embeddings", {"model": server.model, "input": input}, "input")


# Constraints: bounded compilation. Whatever is accepted must answer in a bounded time too.

SCHEMAS = {
    "not a schema": 5, "unknown type": {"type": "nothing"}, "endless": {"$ref": "#"},
    "missing ref": {"$ref": "#/nowhere"}, "far ref": {"$ref": "http://127.0.0.1:1/x.json"},
    "mutual": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
               "$ref": "#/$defs/a"},
    "impossible": {"type": "integer", "minimum": 5, "maximum": 3},
    "empty enum": {"enum": []}, "negative": {"type": "string", "minLength": -5},
    "huge length": {"type": "string", "minLength": 10**9},
    "huge array": {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
    "huge enum": {"enum": [f"value {number}" for number in range(200_000)]},
    "nested array": json.loads(
        '{"type":"array","minItems":9,"maxItems":9,"items":' * 40 + "{}" + "}" * 40),
    "wide any": {"anyOf": [{"type": "string", "pattern": "(a|b){1,500}"}] * 500},
    "pattern": {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
    "bad pattern": {"type": "string", "pattern": "(["},
    "many keys": {"type": "object", "properties": {
        f"key{number}": {"type": "string"} for number in range(20_000)},
        "required": [f"key{number}" for number in range(20_000)]},
}
EXPRESSIONS = {
    "repeats": "(a{1000}){1000}", "nested": "(.{0,200}){0,200}",
    "nested more": "(.{0,300}){0,300}", "nested pairs": "(.{0,90}.{0,90}){0,500}", "deeper": "((((a{100}){100}){100}){100}){100}",
    "blow-up": "(a|aa)*" * 200 + "b", "memory": "(a|b)*a(a|b){25}", "huge count": "a{1000000000}",
    "unclosed": "(((", "bad class": "[z-a]", "bad count": "a{5,2}", "nothing to repeat": "*a",
    "back reference": r"(a)\1", "deep": "(" * 100_000 + "a" + ")" * 100_000,
    "long": "a?" * 100_000, "classes": r"[\u4e00-\u9fff]{500}" * 20,
}
GRAMMARS = {
    "empty": "", "no root": 'other ::= "a"', "left recursion": 'root ::= root "a" | "a"',
    "endless": "root ::= root", "undefined": "root ::= nowhere", "unclosed": 'root ::= "a',
    "huge": 'root ::= "a"{1000000000}', "ambiguous": 'root ::= x x x x x\nx ::= "a"* x? | ""',
    "deep": "root ::= " + "(" * 50_000 + '"a"' + ")" * 50_000,
    "many rules": "root ::= r0\n" + "\n".join(
        f'r{number} ::= "a" r{number + 1}' for number in range(50_000)),
}


def bounded(server, more, known_bad):
    body = {"model": server.model, "messages": USER, "max_tokens": 4, "temperature": 0, **more}
    status, answer, seconds = exchange(server, post(CHAT, body), timeout=60)
    assert seconds < 30
    if known_bad:
        assert status == 400 and json.loads(answer)["error"]["message"], (status, answer[:300])
    else:
        assert status in (200, 400, 413), (status, answer[:300])


@pytest.mark.parametrize("kind", SCHEMAS)
def test_hostile_schemas(server, kind):
    bounded(server, {"response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS[kind]}}},
        kind in ("not a schema", "unknown type", "missing ref", "far ref", "bad pattern",
                 "empty enum", "impossible", "huge length"))


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_hostile_expressions(server, kind):
    bounded(server, {"structured_outputs": {"regex": EXPRESSIONS[kind]}},
            kind in ("huge count", "unclosed", "bad class", "bad count",
                     "nothing to repeat", "back reference", "deep"))


@pytest.mark.parametrize("kind", GRAMMARS)
def test_hostile_grammars(server, kind):
    # An empty text may mean no grammar.
    bounded(server, {"grammar": GRAMMARS[kind]}, kind in (
        "no root", "undefined", "unclosed", "huge", "deep"))


def test_hostile_choices(server):
    bounded(server, {"structured_outputs": {"choice": []}}, True)
    bounded(server, {"structured_outputs": {"choice": ["x" * 1000] * 10_000}}, False)


def test_a_hostile_tool_schema(server):
    bounded(server, {"tool_choice": "required", "tools": [{
        "type": "function", "function": {"name": "f", "parameters": SCHEMAS["pattern"]}}]}, False)


# HTTP itself


def test_a_body_beyond_the_limit_is_413(server):
    status, _, seconds = exchange(
        server, post(CHAT, b"x", length=1 << 34), timeout=SOON)
    assert status == 413 and seconds < SOON
    status, _, _ = exchange(server, post(CHAT, b'{"a":"' + b"x" * (64 << 20) + b'"}'), timeout=60)
    assert status in (413, None)


@pytest.mark.parametrize("data", [
    b"\r\n" * 50_000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"BREW /coffee HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(
        b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2_000_000 + b"\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"FFFFFFFFFFFFFFFF\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
], ids=["newlines", "tls", "version", "method", "long path", "many headers", "long header",
        "negative length", "two lengths", "bad chunk", "huge chunk", "dots", "escaped dots",
        "zero"])
def test_broken_http_is_refused(server, data):
    try:
        status, answer, _ = exchange(server, data, timeout=SOON)
    except TimeoutError:
        # Waiting for the rest of a request is fair; the idle timeout ends it.
        return
    assert status is None or 400 <= status <= 505 and status not in (500, 502), answer[:300]
    assert b"root:" not in answer


def test_wrong_methods_and_paths(http):
    assert http.get("/v1/chat/completions").status_code == 405
    assert http.post("/v1/models").status_code == 405
    assert http.get("/no/such/path").status_code == 404
    assert http.delete("/health").status_code == 405


def test_slow_headers_end_and_disturb_nobody(start):
    import socket
    import time
    server = start("--idle-timeout", "2")
    links = [socket.create_connection((server.host, server.port)) for _ in range(50)]
    ended, began = 0, time.monotonic()
    try:
        while time.monotonic() - began < 12:
            for link in links:
                try:
                    link.sendall(b"X")
                except OSError:
                    pass
            status, _, seconds = exchange(
                server, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert status == 200 and seconds < 5
            time.sleep(1)
        for link in links:
            link.settimeout(5)
            try:
                ended += not link.recv(1000) or True
            except ConnectionResetError:
                ended += 1
            except TimeoutError:
                pass
    finally:
        for link in links:
            link.close()
    # Characters trickle in, yet the head of a request never comes to an end.
    assert ended == len(links)
