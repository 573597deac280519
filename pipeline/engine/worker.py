"""The life of a worker process: execute runs until told to stop, then hand over what is left.

SIGTERM (or Ctrl+C): no more runs are taken, those executing have ten seconds to end, the rest goes
back to the queue for others. The same signal again: at once. Exit codes: 0 stopped in good order,
1 the database is gone, 75 this process stood still longer than its lease.
"""

from __future__ import annotations

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
CLOSE_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


def work(runtime: Runtime, on_start: Callable[[], object] = lambda: None) -> None:
    """Start `runtime` and return when it was told to stop and has.

    Raises `StoreError` when the database cannot be used, or not any more.
    """
    with _signals() as told:
        runtime.start()
        logger.info("Worker started")
        on_start()
        try:
            _until_told(runtime, told)
            _let_runs_end(runtime, told)
        finally:
            runtime.close(CLOSE_TIMEOUT_S)
    logger.info("Worker stopped")


def _until_told(runtime: Runtime, told: queue.SimpleQueue[int]) -> None:
    while True:
        try:
            number = told.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            if (failure := runtime.failure) is not None:
                raise failure from None
            continue
        logger.info("%s: no more runs are taken", signal.Signals(number).name)
        return


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
