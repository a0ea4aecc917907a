"""`anthropic`: messages."""

import json

import anthropic
import pytest

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "name": "get_weather", "description": "The weather in a city.", "input_schema": {
        "type": "object", "required": ["city", "unit"], "additionalProperties": False,
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}


def read_tokens(usage):
    """Anthropic counts what was cached apart from the rest of the input."""
    return (usage.input_tokens + (usage.cache_read_input_tokens or 0)
            + (usage.cache_creation_input_tokens or 0))


@pytest.fixture
def client(server):
    with anthropic.Anthropic(base_url=server.base, api_key="none", max_retries=0) as client:
        yield client


def create(client, server, **more):
    return client.messages.create(**{
        "model": server.model, "max_tokens": 16, "messages": CAPITAL, **more},
        extra_body={"temperature": 0, **more.pop("extra_body", {})})


def test_a_message_has_everything(client, server):
    message = create(client, server)
    assert message.type == "message" and message.role == "assistant" and message.id
    assert message.model == server.model
    assert message.content[0].type == "text" and "Paris" in message.content[0].text
    assert message.stop_reason == "end_turn"
    assert read_tokens(message.usage) == 37 and message.usage.output_tokens > 3


def test_the_end_of_tokens_and_a_stop_text_have_names(client, server):
    assert create(client, server, max_tokens=3).stop_reason == "max_tokens"
    stopped = create(client, server, stop_sequences=[" France"])
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == " France"
    assert stopped.content[0].text == "The capital of"


def test_a_system_text_and_parts_are_taken(client, server):
    message = create(
        client, server, system=[{"type": "text", "text": "You answer briefly."}], messages=[
            {"role": "user", "content": [
                {"type": "text", "text": "What is the capital"},
                {"type": "text", "text": " of France?"}]}])
    assert message.content[0].text


def test_a_stream_builds_the_same_message(client, server):
    whole = create(client, server)
    kinds, text = [], ""
    with client.messages.stream(
            model=server.model, max_tokens=16, messages=CAPITAL,
            extra_body={"temperature": 0}) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == whole.usage.output_tokens
    order = [
        "message_start", "content_block_start", "content_block_stop", "message_delta",
        "message_stop"]
    assert [kind for kind in kinds if kind in order] == order


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_tool_is_called(client, server, choice):
    message = create(
        client, server, max_tokens=120, tools=[WEATHER], tool_choice=choice,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}])
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use" and calls
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        assert call.name == "get_weather" and set(call.input) == {"city", "unit"}
        assert call.input["unit"] in ("celsius", "fahrenheit")


def test_a_streamed_call_joins_to_json(client, server):
    parts = {}
    with client.messages.stream(
            model=server.model, max_tokens=120, tools=[WEATHER], tool_choice={"type": "any"},
            messages=[{"role": "user", "content": "What is the weather in Paris?"}]) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                parts[event.index] = parts.get(event.index, "") + event.delta.partial_json
        final = stream.get_final_message()
    calls = {
        index: block.input for index, block in enumerate(final.content)
        if block.type == "tool_use"}
    assert {index: json.loads(text) for index, text in parts.items()} == calls
    assert calls and all(set(call) == {"city", "unit"} for call in calls.values())


def test_a_result_is_taken_back(client, server):
    message = create(client, server, tools=[WEATHER], messages=[
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather",
             "input": {"city": "Paris", "unit": "celsius"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 degrees"}]}])
    assert message.content


def test_tokens_are_counted_before_asking(client, server):
    counted = client.messages.count_tokens(model=server.model, messages=CAPITAL)
    assert counted.input_tokens == read_tokens(create(client, server).usage)


@pytest.mark.ours
def test_errors_have_anthropic_s_shape(client, server):
    with pytest.raises(anthropic.BadRequestError) as caught:
        create(client, server, max_tokens=-1)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.NotFoundError):
        create(client, server, model="no-such-model")
