"""The life of a worker process: execute runs until told to stop, then hand over what is left.

SIGTERM (or Ctrl+C): no more runs are taken, those executing have ten seconds to end, the rest goes
back to the queue for others. The same signal again: at once. Exit codes: 0 stopped in good order,
1 the database is gone, 75 this process stood still longer than its lease.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.engine.runtime import Runtime

GRACE_S = 10.0
LOOK_EVERY_S = 0.1
ALIVE_EVERY_S = 5.0
CLOSE_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


def work(runtime: Runtime, *, on_alive: Callable[[], object] = lambda: None) -> None:
    """Start `runtime` and return when it was told to stop and has.

    `on_alive` is called once it has started and every five seconds its loop answers.

    Raises `StoreError` when the database cannot be used, or not any more.
    """
    with _signals() as told:
        runtime.start()
        logger.info("Worker started")
        try:
            _until_told(runtime, told, on_alive)
            _let_runs_end(runtime, told)
        finally:
            runtime.close(CLOSE_TIMEOUT_S)
    logger.info("Worker stopped")


def _until_told(
    runtime: Runtime, told: queue.SimpleQueue[int], on_alive: Callable[[], object]
) -> None:
    alive_at = float("-inf")
    while told.empty():
        if (failure := runtime.failure) is not None:
            raise failure from None
        if time.monotonic() - alive_at >= ALIVE_EVERY_S:
            runtime.call(asyncio.sleep(0))
            on_alive()
            alive_at = time.monotonic()
        time.sleep(LOOK_EVERY_S)  # a plain thread: the loop runs elsewhere
    logger.info("%s: no more runs are taken", signal.Signals(told.get()).name)


def _let_runs_end(runtime: Runtime, told: queue.SimpleQueue[int]) -> None:
    ends_at = time.monotonic() + GRACE_S
    while left := runtime.drain():
        if time.monotonic() >= ends_at or not told.empty():
            logger.info("%d runs go back to the queue", len(left))
            return
        time.sleep(LOOK_EVERY_S)  # a plain thread: the loop runs elsewhere


@contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """Signals as they come, instead of what they did before."""
    told: queue.SimpleQueue[int] = queue.SimpleQueue()

    def tell(number: int, _frame: FrameType | None) -> None:
        told.put(number)

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
