"""Wait for a database server that restarts, rather than lose what a run has just paid for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipeline.errors import StoreUnreachable

PATIENCE_S = 30.0
PAUSE_S = 0.25

T = TypeVar("T")


async def outlast(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` returns, asked again while the database cannot be reached.

    `ask` must be harmless to repeat: the answer to the first time may be what got lost. Raises
    `StoreUnreachable` when the server stays away.
    """
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except StoreUnreachable:
            if time.monotonic() >= ends_at:
                raise
        await asyncio.sleep(PAUSE_S)
