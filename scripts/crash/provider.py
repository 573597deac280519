"""The provider of a campaign: the demo, with a log of every request, in the campaign's own process.

Runs are told apart by their seed, which every call carries; agents by the first line of their
instructions. Times are the wall clock's, which the store's checkpoints carry too.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from types import TracebackType

from aiohttp import web

from pipeline.llm.demo import HOST
from pipeline.llm.demo.server import Handler, make_app
from pipeline.models import Endpoint

AGENT_LINE = "Agent: "


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as the provider got it: `at` in seconds since 1970."""

    seed: int
    agent: str
    at: float


class RecordingProvider:
    """`requests` holds what arrived, oldest first."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        token = secrets.token_urlsafe(24)
        app = make_app("fast", token)
        app.middlewares.insert(0, self._note)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True
        )
        self._token = token

    async def __aenter__(self) -> RecordingProvider:
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        port = self._runner.addresses[0][1]
        self.endpoint = Endpoint(f"http://{HOST}:{port}/v1", self._token, "campaign")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST":
            at = time.time()
            body = await request.json()
            told = str(body["messages"][0]["content"]).split("\n", 1)[0]
            self.requests.append(Request(body["seed"], told.removeprefix(AGENT_LINE), at))
        return await handler(request)
