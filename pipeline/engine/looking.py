"""Look again and again, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipeline.errors import StoreError

logger = logging.getLogger(__name__)


async def keep_looking(
    every_s: float,
    look: Callable[[], Awaitable[None]],
    *,
    what: str = "runs",
    wanted: asyncio.Event | None = None,
) -> None:
    """Call `look` every `every_s` seconds until cancelled. A database that fails is said once.

    While `wanted` is not set nothing is looked for.
    """
    failing = False
    while True:
        await asyncio.sleep(every_s)
        if wanted is not None:
            await wanted.wait()
        try:
            await look()
            failing = False
        except StoreError as error:
            if not failing:
                logger.error("Cannot look for %s, will keep trying: %s", what, error)
            failing = True
