"""`langchain-openai`: chat, tools, structured output and embeddings."""

import asyncio

import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field


@pytest.fixture
def model(server):
    return ChatOpenAI(
        model=server.model, base_url=f"{server.base}/v1", api_key="none", temperature=0,
        max_tokens=120, max_retries=0)


def test_invoke(model):
    message = model.invoke("What is the capital of France?")
    assert "Paris" in message.content
    assert message.usage_metadata["total_tokens"] > 10


def test_stream_joins_to_the_answer(model):
    question = "What is the capital of France?"
    assert "".join(
        chunk.content for chunk in model.stream(question)) == model.invoke(question).content


def test_batches_run_together(model):
    async def ask():
        return await model.abatch([f"Say the number {number}." for number in range(4)])
    assert all(message.content for message in asyncio.run(ask()))


@tool
def get_weather(city: str, days: int) -> str:
    """The weather in a city for some days."""
    return "sunny"


def test_bound_tools_are_called(model):
    message = model.bind_tools([get_weather], tool_choice="get_weather").invoke(
        "How will the weather be in Rome on the next 3 days?")
    call, = message.tool_calls
    assert call["name"] == "get_weather" and set(call["args"]) == {"city", "days"}
    assert isinstance(call["args"]["days"], int) and not message.invalid_tool_calls


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=20)
    country: str = Field(max_length=20)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(model, method):
    city = model.with_structured_output(City, method=method).invoke("Tell me about Paris.")
    assert isinstance(city, City)


@pytest.mark.ours
@pytest.mark.parametrize("width", [576, 128])
def test_embeddings(server, width):
    # The check would cut texts into the tokens of an OpenAI model, which wants a download.
    embeddings = OpenAIEmbeddings(
        model=server.model, base_url=f"{server.base}/v1", api_key="none",
        check_embedding_ctx_length=False, dimensions=None if width == 576 else width)
    vectors = embeddings.embed_documents(["A cat.", "A dog."])
    assert len(vectors) == 2 and len(vectors[0]) == width
    assert embeddings.embed_query("A cat.") == pytest.approx(vectors[0], abs=1e-6)
