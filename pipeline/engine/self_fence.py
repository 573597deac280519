"""A worker that was frozen leaves before it says anything to the queue.

Whoever stands still longer than its lease (SIGSTOP, a paused machine, a blocked loop) has lost its
runs to others without knowing. Its writes are fenced by the epoch; this keeps it from spending on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

SAMPLE_S = 0.25
SHARE_OF_LEASE = 0.75
EXIT_FROZEN = 75  # sysexits' EX_TEMPFAIL: start it again

logger = logging.getLogger(__name__)


class SelfFence:
    """`check` before every word to the queue; `watch` samples the wall clock in between.

    The wall clock, because a monotonic one may stand still while a machine sleeps.
    """

    def __init__(self, lease_s: float, leave: Callable[[int], object] = os._exit) -> None:
        self._longest_s = lease_s * SHARE_OF_LEASE
        self._leave = leave
        self._seen = time.time()

    def check(self) -> None:
        gap_s = time.time() - self._seen
        if gap_s > self._longest_s:
            logger.critical(
                "This worker stood still for %.1f s, so its runs belong to others now. It ends; "
                "start it again.",
                gap_s,
            )
            self._leave(EXIT_FROZEN)

    async def watch(self) -> None:
        self._seen = time.time()
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.check()
            self._seen = time.time()
