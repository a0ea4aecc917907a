"""`openai`: chat, as its own types see it."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key="none", max_retries=0) as client:
        yield client


def create(client, server, **more):
    return client.chat.completions.create(**{
        "model": server.model, "messages": CAPITAL, "temperature": 0, "max_tokens": 12, **more})


def test_an_answer_has_everything(client, server):
    answer = create(client, server)
    choice, = answer.choices
    assert answer.object == "chat.completion" and answer.id and answer.created > 1e9
    assert answer.model == server.model
    assert "Paris" in choice.message.content and choice.message.role == "assistant"
    assert choice.finish_reason == "stop" and choice.index == 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    # The model's own template with its default system line; counted by another implementation.
    assert answer.usage.prompt_tokens == 37


def test_a_limit_ends_with_length(client, server):
    answer = create(client, server, max_tokens=3)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3
    newer = client.chat.completions.create(
        model=server.model, messages=CAPITAL, temperature=0, max_completion_tokens=3)
    assert newer.choices[0].message.content == answer.choices[0].message.content


def test_a_stream_is_the_answer_in_pieces(client, server):
    whole = create(client, server)
    chunks = list(create(
        client, server, stream=True, stream_options={"include_usage": True}))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(
        chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    ends = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert ends[-1] == "stop" and set(ends[:-1]) == {None}
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_without_the_option_a_stream_has_no_usage(client, server):
    chunks = list(create(client, server, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_async_requests_run_together(server):
    async def ask_all():
        async with openai.AsyncOpenAI(
                base_url=f"{server.base}/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(
                client.chat.completions.create(
                    model=server.model, temperature=0, max_tokens=8,
                    messages=[{"role": "user", "content": f"Say the number {number}."}])
                for number in range(6)))
    answers = asyncio.run(ask_all())
    assert len({answer.id for answer in answers}) == 6
    assert all(answer.choices[0].message.content for answer in answers)


def test_an_async_stream_can_be_left(server):
    async def leave():
        async with openai.AsyncOpenAI(
                base_url=f"{server.base}/v1", api_key="none", max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=server.model, messages=CAPITAL, stream=True, max_tokens=2000,
                extra_body={"ignore_eos": True})
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
            await stream.close()
    asyncio.run(leave())


def test_n_samples_are_numbered_and_differ(client, server):
    answer = create(client, server, n=4, temperature=1.5, seed=5, max_tokens=16)
    assert sorted(choice.index for choice in answer.choices) == [0, 1, 2, 3]
    assert len({choice.message.content for choice in answer.choices}) > 1


def test_n_samples_stream_side_by_side(client, server):
    texts = {}
    for chunk in create(
            client, server, n=3, temperature=1.5, seed=5, max_tokens=16, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    whole = create(client, server, n=3, temperature=1.5, seed=5, max_tokens=16)
    assert texts == {choice.index: choice.message.content for choice in whole.choices}


def test_a_stop_text_ends_and_is_left_out(client, server):
    answer = create(client, server, stop=" France")
    assert answer.choices[0].message.content == "The capital of"
    assert answer.choices[0].finish_reason == "stop"
    streamed = "".join(
        chunk.choices[0].delta.content or ""
        for chunk in create(client, server, stop=[" Fran", "nothing"], stream=True))
    assert streamed == "The capital of"


def test_a_seed_repeats(client, server):
    texts = [
        create(client, server, temperature=1.2, seed=seed, max_tokens=24).choices[0].message.content
        for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_log_probabilities_add_up(client, server):
    answer = create(client, server, logprobs=True, top_logprobs=3)
    entries = answer.choices[0].logprobs.content
    assert len(entries) in (
        answer.usage.completion_tokens, answer.usage.completion_tokens - 1)
    for entry in entries:
        assert len(entry.top_logprobs) == 3 and entry.logprob <= 0
        assert bytes(entry.bytes).decode() == entry.token
        # Greedy: the token is the likeliest.
        assert entry.token == entry.top_logprobs[0].token
        assert entry.logprob == entry.top_logprobs[0].logprob
    assert "".join(entry.token for entry in entries).startswith(
        answer.choices[0].message.content)


def test_streamed_log_probabilities_are_the_same(client, server):
    whole = create(client, server, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    streamed = []
    for chunk in create(client, server, logprobs=True, top_logprobs=2, stream=True):
        if chunk.choices and chunk.choices[0].logprobs:
            streamed += chunk.choices[0].logprobs.content or []
    assert streamed == whole


# Structured output


class City(BaseModel):
    name: str
    country: str
    population: int


def test_parsing_into_a_type_always_works(client, server):
    answer = client.chat.completions.parse(
        model=server.model, messages=CAPITAL, temperature=0.8, seed=3, max_tokens=120,
        response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


@pytest.mark.ours
@pytest.mark.parametrize("limit", [1, 5, 12, 30])
def test_json_is_closed_when_tokens_run_out(client, server, limit):
    schema = {
        "type": "object", "required": ["items"],
        "properties": {"items": {"type": "array", "items": {"type": "string"}}}}
    answer = create(
        client, server, temperature=1, seed=limit, max_tokens=limit + 12, response_format={
            "type": "json_schema", "json_schema": {"name": "list", "schema": schema}})
    assert isinstance(json.loads(answer.choices[0].message.content)["items"], list)


@pytest.mark.parametrize("form", [
    {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["red", "blue"]}}},
    {"type": "json_schema", "schema": {"enum": ["red", "blue"]}},
    {"type": "json_object", "schema": {"enum": ["red", "blue"]}},
])
def test_three_dialects_of_response_format(client, server, form):
    answer = create(client, server, temperature=1, seed=1, response_format=form)
    assert json.loads(answer.choices[0].message.content) in ("red", "blue")


def test_json_object_is_an_object(client, server):
    answer = create(
        client, server, max_tokens=80, temperature=1, seed=1,
        response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


# Tools

WEATHER = {
    "type": "function", "function": {
        "name": "get_weather", "description": "The weather in a city.", "parameters": {
            "type": "object", "additionalProperties": False, "required": ["city", "unit"],
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9}}}}}
TIME = {
    "type": "function", "function": {
        "name": "get_time", "parameters": {
            "type": "object", "additionalProperties": False, "required": ["zone"],
            "properties": {"zone": {"type": "string", "maxLength": 12}}}}}
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]


def check_call(name, arguments):
    found = json.loads(arguments)
    if name == "get_weather":
        assert {"city", "unit"} <= set(found) <= {"city", "unit", "days"}
        assert found["unit"] in ("celsius", "fahrenheit") and isinstance(found["city"], str)
        assert 1 <= found.get("days", 1) <= 9
    else:
        assert name == "get_time" and set(found) == {"zone"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_required_tool_is_called_well(client, server, seed):
    answer = create(
        client, server, messages=QUESTION, tools=[WEATHER, TIME], tool_choice="required",
        temperature=1, seed=seed, max_tokens=120)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.tool_calls
    for call in choice.message.tool_calls:
        assert call.type == "function" and call.id
        check_call(call.function.name, call.function.arguments)


def test_a_named_tool_is_called(client, server):
    answer = create(
        client, server, messages=QUESTION, tools=[WEATHER, TIME], temperature=1, seed=4,
        max_tokens=120, tool_choice={"type": "function", "function": {"name": "get_time"}})
    # OpenAI: a named choice is exactly one call.
    call, = answer.choices[0].message.tool_calls
    assert call.function.name == "get_time"
    check_call(call.function.name, call.function.arguments)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_tools_that_need_not_be_called(client, server, choice):
    answer = create(
        client, server, messages=QUESTION, tools=[WEATHER], tool_choice=choice, max_tokens=60)
    message = answer.choices[0].message
    if choice == "none":
        assert not message.tool_calls and message.content
    for call in message.tool_calls or []:
        check_call(call.function.name, call.function.arguments)


@pytest.mark.parametrize("logprobs", [False, True])
def test_tool_fragments_join_to_a_call(client, server, logprobs):
    names, ids, arguments, finish = {}, {}, {}, None
    for chunk in create(
            client, server, messages=QUESTION, tools=[WEATHER, TIME], tool_choice="required",
            temperature=1, seed=9, max_tokens=120, stream=True, logprobs=logprobs or None):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for part in choice.delta.tool_calls or []:
                if part.id:
                    assert part.index not in ids, "an id is sent once"
                    ids[part.index] = part.id
                if part.function.name:
                    assert part.index not in names, "a name is sent once"
                    names[part.index] = part.function.name
                arguments[part.index] = (
                    arguments.get(part.index, "") + (part.function.arguments or ""))
    assert finish == "tool_calls" and names and set(names) == set(ids) == set(arguments)
    for index, name in names.items():
        check_call(name, arguments[index])


def test_a_tool_result_is_taken_back(client, server):
    messages = QUESTION + [
        {"role": "assistant", "content": None, "tool_calls": [{
            "id": "call_1", "type": "function", "function": {
                "name": "get_weather", "arguments": '{"city": "Paris", "unit": "celsius"}'}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees, sunny"}]
    assert create(client, server, messages=messages, tools=[WEATHER]).choices[0].message


@pytest.mark.ours
def test_broken_arguments_in_the_history_are_text(client, server):
    messages = QUESTION + [
        {"role": "assistant", "content": None, "tool_calls": [{
            "id": "call_1", "type": "function", "function": {
                "name": "get_weather", "arguments": '{"city": "Par'}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "cut off"}]
    assert create(client, server, messages=messages, tools=[WEATHER]).choices[0].message


# Errors


def test_errors_have_openai_s_shape(client, server):
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, server, temperature=-1)
    assert "temperature" in str(caught.value) and caught.value.body["message"]


@pytest.mark.ours
def test_an_unknown_model_is_not_found(client, server):
    with pytest.raises(openai.NotFoundError) as caught:
        create(client, server, model="no-such-model")
    assert "no-such-model" in str(caught.value)


@pytest.mark.ours
def test_an_over_long_prompt_is_refused_with_the_numbers(client, server):
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, server, messages=[{"role": "user", "content": "word " * 9000}])
    assert "8192" in str(caught.value) and "9" in str(caught.value)
    assert caught.value.code == "context_length_exceeded"


def test_unknown_fields_are_ignored(client, server):
    answer = create(client, server, extra_body={"no_such_field": {"deep": [1]}, "user": "u"})
    assert "Paris" in answer.choices[0].message.content
