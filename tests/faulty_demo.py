"""The real demo provider with faults in front of it: chosen agents get chosen answers.

What the pipeline sees is HTTP on a loopback socket; nothing of ours is replaced.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import TracebackType

from aiohttp import web
from openai import AsyncOpenAI

from pipeline.llm.client import make_client
from pipeline.llm.demo import HOST
from pipeline.llm.demo.server import Handler, make_app
from pipeline.models import Endpoint

TOKEN = "test-token"


@dataclass(slots=True)
class Answer:
    """One scripted answer: an HTTP error, or a completion with `text`."""

    status: int = 200
    text: str = ""
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class FaultyDemo:
    """An instant demo. `script[agent]` answers are used up first, `always[agent]` for ever.

    While `down` is set it answers everybody. `seen` holds (the loop's time, agent) of every request.
    `hold[agent]` keeps an agent's requests waiting until the event is set. `requests` counts
    what arrived, `in_flight` and `peak` how many at once.
    """

    def __init__(self) -> None:
        self.script: dict[str, list[Answer]] = defaultdict(list)
        self.always: dict[str, Answer] = {}
        self.down: Answer | None = None
        self.seen: list[tuple[float, str]] = []
        self.hold: dict[str, asyncio.Event] = {}
        self.requests: Counter[str] = Counter()
        self.order: list[str] = []
        self.arrived: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.dropped: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.in_flight = 0
        self.peak = 0

    async def __aenter__(self) -> FaultyDemo:
        app = make_app("instant", TOKEN)
        app.middlewares.insert(0, self._intercept)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        port = self._runner.addresses[0][1]
        self.endpoint = Endpoint(f"http://{HOST}:{port}/v1", TOKEN, "test")
        self.client: AsyncOpenAI = make_client(self.endpoint)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.client.close()
        await self._runner.cleanup()

    @web.middleware
    async def _intercept(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.endswith("/chat/completions"):
            return await handler(request)
        body = await request.json()
        agent = str(body["messages"][0]["content"]).split("\n", 1)[0].removeprefix("Agent: ")
        self.requests[agent] += 1
        self.order.append(agent)
        self.seen.append((asyncio.get_running_loop().time(), agent))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.arrived[agent].set()
        try:
            if agent in self.hold:
                await self.hold[agent].wait()
            answer = self.script[agent].pop(0) if self.script[agent] else self.always.get(agent)
            answer = self.down or answer
            return await handler(request) if answer is None else await _send(request, answer)
        except asyncio.CancelledError:
            self.dropped[agent].set()
            raise
        finally:
            self.in_flight -= 1


async def _send(request: web.Request, answer: Answer) -> web.StreamResponse:
    if answer.status != 200:
        error = {"message": "scripted", "type": "error", "param": None, "code": answer.code}
        return web.json_response({"error": error}, status=answer.status, headers=answer.headers)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for delta, finish in (({"content": answer.text}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await response.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response
