"""Against aimock, an independent mock of chat completions: what it streams, and the faults it makes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pipeline.agents.chat_agent import ChatAgent
from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.errors import CallError, RateLimited, ServerFailed, StreamBroken
from pipeline.llm.call import CallRequest
from pipeline.llm.client import make_client
from pipeline.llm.embeddings import EndpointEmbedder
from pipeline.models import RunStatus
from pipeline.tools import run_context
from pipeline.tools.samples import sample_research
from tests.fault_front import text_of
from tests.interop.conftest import Log, OpenCaller, Server
from tests.interop.recording import MODEL, TOPIC, record, tool_calls_of

LONG = " ".join(f"Sentence number {n} says that a heat pump moves heat." for n in range(40))
FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "write forty sentences, please"}, "response": {"content": LONG}},
    {
        "match": {"userMessage": "look it up", "hasToolResult": False},
        "response": {
            "toolCalls": [
                {"name": "web_search", "arguments": json.dumps({"query": "heat pumps"})},
                {"name": "web_search", "arguments": json.dumps({"query": "heat pump noise"})},
            ]
        },
    },
    {
        "match": {"userMessage": "look it up", "hasToolResult": True},
        "response": {"content": "Found two things."},
    },
    {
        "match": {"userMessage": "too often"},
        "response": {
            "error": {"message": "Rate limit exceeded", "type": "rate_limit_error"},
            "status": 429,
        },
    },
    {"match": {"inputText": "cat"}, "response": {"embedding": [3.0, 4.0]}},
]
LONG_CALL = CallRequest("gpt-test", [{"role": "user", "content": "write forty sentences, please"}])
CALLS = 20


async def chaos(server: Server, **rates: float) -> None:
    """From now on so many requests fail in each of these ways."""
    await server.post("/__aimock/chaos", rates)


async def test_a_streamed_answer_is_whole_with_its_usage(
    aimock: Server, open_caller: OpenCaller, log: Log
) -> None:
    async with open_caller(aimock.endpoint) as caller:
        reply = await caller.call(LONG_CALL, log)

    assert reply.text == log.shown == LONG
    assert reply.finish_reason == "stop"
    assert reply.usage.output_tokens


async def test_tools_asked_for_side_by_side_are_run_and_answered(aimock: Server) -> None:
    agent = ChatAgent("x", "Agent: x", "gpt-test", tools=("web_search",))
    context = run_context(sample_research(), owner="local", topic="t", language="English")

    async with make_client(aimock.endpoint) as client:
        reply = await agent.run_async(client, "look it up", context=context)

    assert reply.text == "Found two things."
    assert len(reply.output.sources) > 1


async def test_a_refusal_that_goes_on_is_a_rate_limit(
    aimock: Server, open_caller: OpenCaller, log: Log
) -> None:
    ask = CallRequest("gpt-test", [{"role": "user", "content": "too often"}])
    async with open_caller(aimock.endpoint) as caller:
        with pytest.raises(RateLimited):
            await caller.call(ask, log)

    assert log.shown == ""


@pytest.mark.parametrize(
    "rates",
    [
        {"dropRate": 0.3},
        {"malformedRate": 0.3},
        {"disconnectRate": 0.3},
        {"rateLimitRate": 0.3},
        {"dropRate": 0.15, "malformedRate": 0.15, "disconnectRate": 0.15},
    ],
    ids=lambda rates: "+".join(rates),
)
async def test_chance_faults_cost_attempts_and_never_a_wrong_or_doubled_text(
    aimock: Server, open_caller: OpenCaller, rates: dict[str, float]
) -> None:
    await chaos(aimock, **rates)
    logs = [Log() for _ in range(CALLS)]

    async with open_caller(aimock.endpoint) as caller:
        replies = await asyncio.gather(
            *(caller.call(LONG_CALL, one) for one in logs), return_exceptions=True
        )

    done = 0
    for reply, one in zip(replies, logs, strict=True):
        if isinstance(reply, BaseException):
            assert isinstance(reply, CallError), reply
            assert one.shown == ""
        else:
            done += 1
            assert reply.text == one.shown == LONG
    assert done >= CALLS / 2
    assert any(one.named("discarded") for one in logs)


@pytest.mark.parametrize(
    ("rates", "kinds"),
    [
        ({"dropRate": 1.0}, (ServerFailed,)),
        ({"disconnectRate": 1.0}, (CallError,)),
        ({"malformedRate": 1.0}, (StreamBroken, CallError)),
    ],
    ids=["drop", "disconnect", "malformed"],
)
async def test_a_fault_that_goes_on_ends_the_call_with_what_it_was(
    aimock: Server,
    open_caller: OpenCaller,
    log: Log,
    rates: dict[str, float],
    kinds: tuple[type[CallError], ...],
) -> None:
    await chaos(aimock, **rates)

    async with open_caller(aimock.endpoint) as caller:
        with pytest.raises(kinds) as caught:
            await caller.call(LONG_CALL, log)

    assert caught.value.message
    assert log.shown == ""


async def test_vectors_have_length_1_whatever_the_endpoint_gives(aimock: Server) -> None:
    async with make_client(aimock.endpoint) as client:

        async def same() -> Any:
            return client

        matrix = await EndpointEmbedder("text-embedding-3-small", same).embed(["cat"])

    assert matrix[0].tolist() == pytest.approx([0.6, 0.8])


async def test_ten_agents_write_an_article_on_it(aimock: Server) -> None:
    """Its texts are the demo's; the stream around them, ids, chunks and usage are its own."""
    recording = await record()
    fixtures = [
        {
            "match": {"systemMessage": f"Agent: {agent}\n", "turnIndex": turn},
            "response": _response(stream),
        }
        for agent, streams in recording.streams.items()
        for turn, stream in enumerate(streams)
    ]
    await aimock.post("/__aimock/fixtures", {"fixtures": fixtures})

    async with make_client(aimock.endpoint) as client:
        orchestrator = ChatOrchestrator(client, model=MODEL, research=sample_research())
        result = await orchestrator.run_pipeline(TOPIC)

    assert result.status is RunStatus.DONE, result.error
    assert {name: output.text.strip() for name, output in result.outputs.items()} == {
        name: recording.meant(name) for name in recording.streams
    }


def _response(stream: bytes) -> dict[str, Any]:
    calls = tool_calls_of(stream)
    if not calls:
        return {"content": text_of(stream)}
    return {"toolCalls": [{**call, "arguments": json.loads(call["arguments"])} for call in calls]}
