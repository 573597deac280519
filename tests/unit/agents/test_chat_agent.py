"""The conversation of one agent over a real socket: tools, and answers nobody expects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.agents.chat_agent import AgentReply, ChatAgent
from pipeline.llm.client import make_client
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
    agent = ChatAgent("x", "Agent: x", "m", tools=("search_samples", "read_sample"))
    async with asyncio.timeout(30), make_client(server.endpoint) as client:
        return await agent.run_async(client, "Bees?")


@pytest.mark.parametrize("depth", [300, 950, 50_000])
async def test_tool_arguments_nested_without_end_go_back_as_an_error(
    server: FaultServer, depth: int
) -> None:
    function = {"name": "search_samples", "arguments": '{"query":' + "[" * depth + "]" * depth}

    reply = await talk(server, asks({"index": 0, "id": "c", "function": function}), completion("a"))

    assert reply.text == "a"
    assert "not JSON" in server.requests[1].json["messages"][-1]["content"]
