"""Decide when a call may go out: so many at once, so many a minute, nobody while cooling.

One gate per endpoint and model, shared by all runs of a loop. The lowest `priority` goes first,
then the one that waited longest. A slot is held only while a call is in flight, never during a
backoff. Whose run matters more is the caller's decision, expressed in `priority`.

Time is the running loop's own. A gate belongs to one loop.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

Priority = tuple[Any, ...]  # compared like tuples; () goes before every other


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    max_in_flight: int
    requests_per_minute: int | None
    in_flight: int
    waiting: int
    cooling_s: float


class Gate:
    """At most `max_in_flight` calls at once and `requests_per_minute` evenly spread."""

    def __init__(self, max_in_flight: int, requests_per_minute: int | None = None) -> None:
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight is {max_in_flight}; it must be at least 1")
        if requests_per_minute is not None and requests_per_minute < 1:
            raise ValueError(f"requests_per_minute is {requests_per_minute}; use None for no limit")
        self.max_in_flight = max_in_flight
        self.requests_per_minute = requests_per_minute
        self._interval_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next_start_s = float("-inf")  # by the rate limit
        self._cool_until_s = float("-inf")
        self._in_flight = 0
        self._order = count()
        self._queue: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._wake_up: asyncio.TimerHandle | None = None

    def wait_reason(self) -> str:
        """Why a call would wait now: `cooling`, `in_flight`, `rate`, or "" when it would not."""
        now = _now()
        if self._cool_until_s > now:
            return "cooling"
        if self._in_flight >= self.max_in_flight:
            return "in_flight"
        return "rate" if self._next_start_s > now else ""

    def snapshot(self) -> GateSnapshot:
        return GateSnapshot(
            self.max_in_flight,
            self.requests_per_minute,
            self._in_flight,
            sum(not turn.done() for _, _, turn in self._queue),
            max(0.0, self._cool_until_s - _now()),
        )

    def cool(self, delay_s: float) -> None:
        """Admit nobody for `delay_s`: the provider told one caller to wait, and means all."""
        self._cool_until_s = max(self._cool_until_s, _now() + delay_s)

    @asynccontextmanager
    async def admit(self, priority: Priority = ()) -> AsyncIterator[None]:
        """Hold one slot for the body. Cancelling at any await gives it back."""
        await self._take_slot(priority)
        try:
            yield
        finally:
            self._in_flight -= 1
            self._hand_out()

    async def _take_slot(self, priority: Priority) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (priority, next(self._order), turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the slot was ours already
                self._in_flight -= 1
            self._hand_out()
            raise

    def _hand_out(self) -> None:
        """Give slots to those first in line while limits allow; else come back when they do."""
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        while self._queue and self._in_flight < self.max_in_flight:
            if self._queue[0][2].done():  # cancelled while it waited
                heapq.heappop(self._queue)
                continue
            now, start_s = _now(), max(self._next_start_s, self._cool_until_s)
            if start_s > now:
                self._wake_up = asyncio.get_running_loop().call_at(start_s, self._hand_out)
                return
            heapq.heappop(self._queue)[2].set_result(None)
            self._in_flight += 1
            self._next_start_s = now + self._interval_s


class GateRegistry:
    """The gates of one loop: the same endpoint and model always get the same gate."""

    def __init__(self, max_in_flight: int, requests_per_minute: int | None = None) -> None:
        self._limits = (max_in_flight, requests_per_minute)
        self._gates: dict[tuple[str, str], Gate] = {}

    def gate_for(self, base_url: str, model: str) -> Gate:
        key = (base_url.rstrip("/"), model)
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate(*self._limits)
        return gate

    def snapshot(self) -> dict[tuple[str, str], GateSnapshot]:
        return {key: gate.snapshot() for key, gate in self._gates.items()}


def _now() -> float:
    return asyncio.get_running_loop().time()
