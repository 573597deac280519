"""`/readyz`, cheap: whoever asks gets an answer at most a second old, and one question is under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipeline.engine.health import Part, Readiness, report, unanswered

KEPT_S = 1.0
ANSWER_S = 4.0  # longer than the parts may take together
SLOW = "The pipeline did not answer in time: it is starting, or the machine is overloaded."


class ReadinessRoute:
    """`answer` is the endpoint of a route. Belongs to the server's loop; `readiness` is asked in a thread."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._asking: asyncio.Task[Sequence[Part]] | None = None
        self._known: Sequence[Part] = ()
        self._known_at_s = float("-inf")

    async def answer(self, _request: Request) -> Response:
        status, body = report(await self._parts())
        return JSONResponse(body, status, {"Cache-Control": "no-store"})

    async def _parts(self) -> Sequence[Part]:
        if time.monotonic() - self._known_at_s < KEPT_S:
            return self._known
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(self._readiness), name="readiness")
        asking = self._asking
        await asyncio.wait({asking}, timeout=ANSWER_S)
        if not asking.done():
            return unanswered("slow", SLOW)  # still asking; the next to come waits for the same
        if self._asking is asking:
            self._asking = None
            self._known, self._known_at_s = asking.result(), time.monotonic()
        return asking.result()
