"""Keep a process supplied with leases from the shared port, one question at a time.

`Gate` asks synchronously whether the lease lets a call go; what has to wait for the port happens
in tasks this module owns. A port that fails or does not answer is left alone for a while: then
the gate's own limits hold alone, which is logged once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any

from pipeline.llm.admission.shared import GateKey, SharedLimits
from pipeline.models import ToldLimit

SHARED_TIMEOUT_S = 5.0
DOWN_S = 5.0  # a port that failed is not asked again for so long
ASK_AT_MOST = 32  # requests in one lease
ASK_AGAIN_S = 0.01  # at the soonest, when nothing was granted

_logger = logging.getLogger(__name__)


class LeaseHolder:
    """What one gate may still use. `on_lease` is called when that changed."""

    def __init__(self, port: SharedLimits, key: GateKey, on_lease: Callable[[], None]) -> None:
        self._port = port
        self._key = key
        self._on_lease = on_lease
        self._requests = 0
        self._tokens = 0.0
        self._until_s = -math.inf
        self._ask_at_s = -math.inf
        self._is_down = False
        self._asking = False
        self._tasks: set[asyncio.Task[None]] = set()

    def earliest(self, now: float, tokens: float, waiting: int) -> float:
        """When a call of so many tokens may go: now, or infinity until `on_lease` is called."""
        if self._is_down and self._ask_at_s > now:
            return now
        if self._until_s > now and self._requests >= 1 and self._tokens >= tokens - 1e-6:
            return now
        if waiting and not self._asking and self._ask_at_s <= now:
            self._asking = True
            count = min(waiting, ASK_AT_MOST)
            self._start(self._ask(count, count * tokens), "ask for a lease")
        return self._ask_at_s if self._ask_at_s > now else math.inf

    def take(self, tokens: float) -> None:
        if not self._is_down:
            self._requests -= 1
            self._tokens -= tokens

    def settle(self, tokens: float) -> None:
        """A call used so many tokens less than it had reserved."""
        self._start(self._told(self._port.settle(self._key, 0, tokens)), "settle shared tokens")

    def cool(self, delay_s: float) -> None:
        self._requests = 0
        self._start(self._told(self._port.cool(self._key, delay_s)), "cool the shared gate")

    def learned(self, told: tuple[ToldLimit, ...]) -> None:
        self._start(self._told(self._port.learned(self._key, told)), "share what was learned")

    async def aclose(self) -> None:
        """Give back what is left; wait for what is on its way, within the port's time limit."""
        now = asyncio.get_running_loop().time()
        if self._requests > 0 and self._until_s > now and not self._is_down:
            unused = (self._requests, max(0.0, self._tokens))
            self._requests = 0
            self._start(self._told(self._port.settle(self._key, *unused)), "give a lease back")
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, count: int, tokens: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SHARED_TIMEOUT_S):
                lease = await self._port.reserve(self._key, count, tokens)
        except Exception as error:  # noqa: BLE001 - any port; our own limits hold meanwhile
            self._went_down(error, loop.time())
        else:
            now = loop.time()
            self._is_down = False
            if self._until_s <= now:  # what was left of the last lease is void
                self._requests, self._tokens = 0, 0.0
            self._requests += lease.requests
            self._tokens += lease.tokens
            if lease.requests:
                self._until_s = now + lease.valid_s
            else:
                self._ask_at_s = now + max(lease.wait_s, ASK_AGAIN_S)
        finally:
            self._asking = False
        self._on_lease()

    async def _told(self, telling: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(SHARED_TIMEOUT_S):
                await telling
        except Exception as error:  # noqa: BLE001 - any port
            self._went_down(error, asyncio.get_running_loop().time())

    def _went_down(self, error: Exception, now: float) -> None:
        if not self._is_down:
            _logger.warning("The shared limits cannot be reached, own limits hold: %r", error)
        self._is_down, self._ask_at_s = True, now + DOWN_S

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
