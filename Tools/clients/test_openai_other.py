"""`openai`: completions, embeddings, models and responses."""

import base64
import math
import struct

import httpx
import openai
import pytest


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key="none", max_retries=0) as client:
        yield client


def complete(client, server, **more):
    return client.completions.create(**{
        "model": server.model, "prompt": "The capital of France is", "max_tokens": 4,
        "temperature": 0, **more})


def test_models_are_listed(client, server):
    models = client.models.list().data
    assert [model.id for model in models if model.id == server.model] == [server.model]
    assert all(model.object == "model" for model in models)


@pytest.mark.ours
def test_a_model_is_found_by_name(client, server):
    assert client.models.retrieve(server.model).id == server.model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


# Completions


def test_a_completion_goes_on(client, server):
    answer = complete(client, server)
    assert answer.object == "text_completion" and answer.choices[0].text.startswith(" Paris")
    assert answer.usage.prompt_tokens == 5


def test_ids_and_text_are_the_same_prompt(client, server):
    ids = httpx.post(
        f"{server.base}/tokenize", json={"content": "The capital of France is"}).json()["tokens"]
    assert ids == [504, 3575, 282, 4649, 314]
    by_text, by_ids = complete(client, server), complete(client, server, prompt=ids)
    assert by_ids.choices[0].text == by_text.choices[0].text


def test_prompts_of_one_request_are_numbered(client, server):
    prompts = ["The capital of France is", "Two and two is", "The sky is"]
    answer = complete(client, server, prompt=prompts)
    alone = [complete(client, server, prompt=prompt).choices[0].text for prompt in prompts]
    ordered = sorted(answer.choices, key=lambda choice: choice.index)
    assert [choice.text for choice in ordered] == alone


def test_a_completion_streams(client, server):
    streamed = "".join(
        chunk.choices[0].text for chunk in complete(client, server, stream=True)
        if chunk.choices)
    assert streamed == complete(client, server).choices[0].text


@pytest.mark.ours
@pytest.mark.parametrize("limit", [0, 1])
def test_echo_scores_the_prompt(client, server, score, limit):
    prompt = "The capital of France is Paris."
    answer = complete(client, server, prompt=prompt, max_tokens=limit, echo=True, logprobs=2)
    choice = answer.choices[0]
    found = choice.logprobs
    ids, expected = score(prompt)
    assert choice.text.startswith(prompt)
    assert len(found.tokens) == len(ids) + limit == len(found.token_logprobs)
    assert found.token_logprobs[0] is None and found.top_logprobs[0] is None
    assert found.token_logprobs[1:len(ids)] == pytest.approx(expected[1:], abs=1e-5)
    assert "".join(found.tokens) == choice.text
    for token, offset in zip(found.tokens, found.text_offset):
        assert choice.text[offset:offset + len(token)] == token
    for value, top in zip(found.token_logprobs[1:], found.top_logprobs[1:]):
        assert len(top) >= 2 and max(top.values()) >= value


# Embeddings


@pytest.mark.ours
def test_embeddings_are_the_same_in_base64_and_as_numbers(client, server):
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Stocks fell on Monday."]
    # The client asks for base64 by itself and turns it into numbers.
    answer = client.embeddings.create(model=server.model, input=texts)
    vectors = [entry.embedding for entry in answer.data]
    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert {len(vector) for vector in vectors} == {576}
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 10
    plain = client.embeddings.create(model=server.model, input=texts, encoding_format="float")
    raw = client.embeddings.create(model=server.model, input=texts, encoding_format="base64")
    for vector, number, text in zip(vectors, plain.data, raw.data):
        assert math.isclose(math.fsum(x * x for x in vector), 1, rel_tol=1e-4)
        assert vector == pytest.approx(number.embedding, abs=1e-6)
        decoded = base64.b64decode(text.embedding)
        assert list(struct.unpack(f"<{len(decoded) // 4}f", decoded)) == pytest.approx(vector)

    def likeness(a, b):
        return math.fsum(x * y for x, y in zip(vectors[a], vectors[b]))
    assert likeness(0, 1) > likeness(0, 2)


@pytest.mark.ours
def test_embeddings_of_one_text_of_ids_and_cut(client, server):
    ids = httpx.post(f"{server.base}/tokenize", json={"content": "A cat."}).json()["tokens"]
    by_text = client.embeddings.create(model=server.model, input="A cat.").data[0].embedding
    by_ids = client.embeddings.create(model=server.model, input=ids).data[0].embedding
    assert by_text == by_ids
    cut = client.embeddings.create(
        model=server.model, input="A cat.", dimensions=64).data[0].embedding
    assert len(cut) == 64 and math.isclose(math.fsum(x * x for x in cut), 1, rel_tol=1e-4)


# Responses


def respond(client, server, **more):
    return client.responses.create(**{
        "model": server.model, "input": "What is the capital of France?", "temperature": 0,
        "max_output_tokens": 24, **more})


def test_a_response_has_its_text(client, server):
    answer = respond(client, server)
    assert answer.object == "response" and answer.status == "completed"
    assert "Paris" in answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_a_response_streams_its_events(client, server):
    events = list(respond(client, server, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    for kind in (
            "response.output_item.added", "response.content_part.added",
            "response.output_text.delta", "response.output_text.done",
            "response.output_item.done"):
        assert kind in kinds
    text = "".join(
        event.delta for event in events if event.type == "response.output_text.delta")
    assert text == respond(client, server).output_text == events[-1].response.output_text
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))


@pytest.mark.ours
def test_a_response_cut_short_is_incomplete(client, server):
    answer = respond(client, server, max_output_tokens=3)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_a_response_calls_a_tool(client, server):
    import json
    answer = respond(
        client, server, max_output_tokens=100, tool_choice="required", tools=[{
            "type": "function", "name": "get_weather", "strict": True, "parameters": {
                "type": "object", "required": ["city"], "additionalProperties": False,
                "properties": {"city": {"enum": ["Paris", "Rome"]}}}}])
    calls = [item for item in answer.output if item.type == "function_call"]
    assert calls and len({call.call_id for call in calls}) == len(calls)
    for call in calls:
        assert call.name == "get_weather"
        assert json.loads(call.arguments)["city"] in ("Paris", "Rome")


@pytest.mark.ours
def test_a_response_in_a_schema(client, server):
    import json
    schema = {
        "type": "object", "required": ["city"], "additionalProperties": False,
        "properties": {"city": {"enum": ["Paris", "Rome"]}}}
    answer = respond(client, server, instructions="Answer in JSON.", text={
        "format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}})
    assert json.loads(answer.output_text)["city"] in ("Paris", "Rome")
