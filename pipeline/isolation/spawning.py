"""One child process starts at a time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

POLL_S = 0.01

_spawning = threading.Lock()  # uvloop refuses to start two children at once, in whatever loops


@contextlib.asynccontextmanager
async def spawning_alone(timeout_s: float) -> AsyncIterator[None]:
    """Hold the right to start a child, without stopping the loop. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while not _spawning.acquire(blocking=False):  # noqa: ASYNC110 - held in other threads
            await asyncio.sleep(POLL_S)
    try:
        yield
    finally:
        _spawning.release()
