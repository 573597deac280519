"""The demo provider behind the fault server: chosen agents get broken answers, all others good ones.

A whole pipeline can run through it. What arrives at a client is bytes on a loopback socket,
nothing of ours is replaced.

    async with FaultFront() as front:
        front.script["editor"] = [error(500, {}), lambda good: stream(good[:200], Reset())]
        client = make_client(front.endpoint)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import aiohttp

from pipeline.llm.demo.server import DemoServer
from tests.fault_server import Answer, FaultServer, Request

Fault = Answer | Callable[[bytes], Answer]  # an answer, or what is made of the good one
TOKEN = "sk-front-canary-1234567890"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of one agent."""

    agent: str
    at_s: float
    body: Any


class FaultFront(FaultServer):
    """`script[agent]` is used up in order, `always[agent]` answers for ever, else the demo does.

    `meant[agent]` are the texts of good answers, whether they arrived or not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.always: dict[str, Fault] = {}
        self.asked: list[Asked] = []
        self.meant: dict[str, set[str]] = defaultdict(set)
        self._demo = DemoServer(0, "instant", TOKEN)

    async def __aenter__(self) -> FaultFront:
        await self._demo.start()
        self._session = aiohttp.ClientSession()
        await super().__aenter__()
        self.endpoint = replace(self.endpoint, api_key=TOKEN)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, traceback)
        await self._session.close()
        await self._demo.aclose()

    def requests_of(self, agent: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.agent == agent]

    async def answer_to(self, request: Request) -> Answer:
        if not request.path.endswith("/chat/completions"):
            return await super().answer_to(request)
        agent = agent_of(request.json)
        self.asked.append(Asked(agent, request.at_s, request.json))
        fault = self.next_fault(agent)
        if isinstance(fault, Answer):
            return fault
        good = await self._good(request)
        self.meant[agent].add(text_of(good))
        return Answer([good], framing="length") if fault is None else fault(good)

    def next_fault(self, agent: str) -> Fault | None:
        """What is wrong with the next answer; None: nothing."""
        return self.faults[agent].pop(0) if self.faults[agent] else self.always.get(agent)

    async def _good(self, request: Request) -> bytes:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        url = f"{self._demo.endpoint.base_url}/chat/completions"
        async with self._session.post(url, data=request.body, headers=headers) as response:
            return await response.read()


def agent_of(body: Any) -> str:
    """The agent named in the first line of a request's instructions."""
    return str(body["messages"][0]["content"]).split("\n", 1)[0].removeprefix("Agent: ")


def events_of(stream: bytes) -> list[bytes]:
    """The events of a stream, each with its blank line."""
    return [event + b"\n\n" for event in stream.split(b"\n\n") if event]


def chunks_of(stream: bytes) -> list[Any]:
    """What its events hold, without [DONE]."""
    datas = (event.removeprefix(b"data: ").strip() for event in events_of(stream))
    return [json.loads(data) for data in datas if data != b"[DONE]"]


def text_of(stream: bytes) -> str:
    """The text a stream says, read the plain way."""
    choices = (choice for chunk in chunks_of(stream) for choice in chunk["choices"])
    return "".join(choice["delta"].get("content") or "" for choice in choices)
