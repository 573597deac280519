"""Look again and again, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipeline.errors import StoreError

logger = logging.getLogger(__name__)


async def keep_looking(every_s: float, look: Callable[[], Awaitable[None]]) -> None:
    """Call `look` every `every_s` seconds until cancelled. A database that fails is said once."""
    failing = False
    while True:
        await asyncio.sleep(every_s)
        try:
            await look()
            failing = False
        except StoreError as error:
            if not failing:
                logger.error("Cannot look for runs, will keep trying: %s", error)
            failing = True
