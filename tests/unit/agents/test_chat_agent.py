"""The conversation of one agent over a real socket: tools, and answers nobody expects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.agents.chat_agent import AgentReply, ChatAgent
from pipeline.errors import OutputInvalid
from pipeline.events import ToolCallFinished, ToolCallStarted
from pipeline.journal import Journal
from pipeline.llm.client import make_client
from pipeline.tools import run_context
from pipeline.tools.samples import sample_research
from tests.fault_server import DONE, Answer, FaultServer, completion, delta, finish, stream


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


def asks(*calls: dict[str, Any]) -> Answer:
    """A reply that asks for tools, one piece per call."""
    pieces = b"".join(delta(tool_calls=[call]) for call in calls)
    return stream(pieces + finish("tool_calls") + DONE)


async def talk(server: FaultServer, *answers: Answer) -> AgentReply:
    server.script = list(answers)
    agent = ChatAgent("x", "Agent: x", "m", tools=("web_search", "fetch_page"))
    context = run_context(sample_research(), owner="local", topic="Bees", language="English")
    async with asyncio.timeout(30), make_client(server.endpoint) as client:
        return await agent.run_async(client, "Bees?", context=context)


@pytest.mark.parametrize("depth", [300, 950, 50_000])
async def test_tool_arguments_nested_without_end_go_back_as_an_error(
    server: FaultServer, depth: int
) -> None:
    function = {"name": "web_search", "arguments": '{"query":' + "[" * depth + "]" * depth}

    reply = await talk(server, asks({"index": 0, "id": "c", "function": function}), completion("a"))

    assert reply.text == "a"
    assert "not JSON" in server.requests[1].json["messages"][-1]["content"]


SEARCH = {"name": "web_search", "arguments": '{"query": "bees"}'}


def turns(server: FaultServer) -> tuple[list[Any], list[Any]]:
    """What the last request says of tools: the calls, and their results."""
    messages = server.requests[-1].json["messages"]
    asked = [call for m in messages for call in m.get("tool_calls") or ()]
    return asked, [m for m in messages if m["role"] == "tool"]


@pytest.mark.parametrize("given", [{}, {"id": ""}, {"id": "same"}])
async def test_every_tool_call_is_answered_under_an_id_of_its_own(
    server: FaultServer, given: dict[str, str]
) -> None:
    both = [{"index": i, "function": SEARCH, **given} for i in (0, 1)]

    await talk(server, asks(*both), asks(*both), completion("a"))

    asked, answered = turns(server)
    assert [call["id"] for call in asked] == [result["tool_call_id"] for result in answered]
    assert all(call["id"] for call in asked)
    assert len({call["id"] for call in asked[:2]}) == len({call["id"] for call in asked[2:]}) == 2


async def test_ids_of_the_provider_are_kept(server: FaultServer) -> None:
    await talk(server, asks({"index": 0, "id": "c-7", "function": SEARCH}), completion("a"))

    asked, answered = turns(server)
    assert (asked[0]["id"], answered[0]["tool_call_id"]) == ("c-7", "c-7")
    assert "Gantry sample collection" in answered[0]["content"]


@pytest.mark.parametrize("blank", ["", "  ", None])
async def test_blank_arguments_are_an_empty_object(server: FaultServer, blank: str | None) -> None:
    function = {"name": "web_search", "arguments": blank}

    await talk(server, asks({"index": 0, "id": "c", "function": function}), completion("a"))

    asked, answered = turns(server)
    assert asked[0]["function"]["arguments"] == "{}"
    assert "do not fit" in answered[0]["content"]


async def test_endless_answers_fail_in_the_end_and_do_not_swell_the_conversation(
    server: FaultServer,
) -> None:
    with pytest.raises(OutputInvalid) as caught:
        await talk(server, *[completion("word " * 50_000)] * 3)

    assert "at most 200,000" in caught.value.message
    assert "shorter length" in caught.value.hint
    assert len(server.requests) == 3
    assert len(server.requests[2].body) < 20_000


async def told(server: FaultServer, agent: ChatAgent, *answers: Answer) -> list[Any]:
    """What is said of tool calls: when they begin and end."""
    server.script = list(answers)
    journal = Journal("r")
    context = run_context(sample_research(), owner="local", topic="Bees", language="English")
    async with asyncio.timeout(30), make_client(server.endpoint) as client:
        await agent.run_async(client, "Bees?", context=context, journal=journal)
    return [e for e in journal.events if isinstance(e, ToolCallStarted | ToolCallFinished)]


async def test_every_call_of_a_tool_is_told_when_it_begins_and_ends(server: FaultServer) -> None:
    unknown = {"name": "no_such_tool", "arguments": "{}"}
    both = [
        {"index": 0, "id": "a", "function": SEARCH},
        {"index": 1, "id": "b", "function": unknown},
    ]
    agent = ChatAgent("x", "Agent: x", "m", tools=("web_search",))

    events = await told(server, agent, asks(*both), asks(both[0]), completion("a"))

    starts = [e for e in events if isinstance(e, ToolCallStarted)]
    ends = {e.number: e for e in events if isinstance(e, ToolCallFinished)}
    assert [(e.number, e.tool, e.about) for e in starts] == [
        (1, "web_search", "bees"),
        (2, "no_such_tool", ""),
        (3, "web_search", "bees"),
    ]
    assert ends[1].passages > 0
    assert "no_such_tool" in ends[2].error
    assert set(ends) == {1, 2, 3}


async def test_what_code_looks_up_for_an_endpoint_without_tools_is_told_too(
    server: FaultServer,
) -> None:
    agent = ChatAgent(
        "x",
        "Agent: x",
        "m",
        tools=("web_search",),
        prefetch=(("web_search", {"query": "bees"}),),
    )
    problem = {"message": "tools is not supported", "param": "tools", "type": "invalid_request"}
    body = json.dumps({"error": problem}).encode()
    refusal = Answer([body], 400, {"content-type": "application/json"}, "length")

    events = await told(server, agent, refusal, completion("a"))

    assert [type(e).__name__ for e in events] == ["ToolCallStarted", "ToolCallFinished"]
    assert events[0].about == "bees"
