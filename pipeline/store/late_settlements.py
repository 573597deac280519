"""What calls used and the database would not take: kept here until it does.

Decides nothing about accounts (`spending.py` does): it remembers, tries again while the store is
open, and once more when it closes. Whoever changes an account meanwhile stores what is pending
with it, in the same transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipeline.budgets import Amount
from pipeline.errors import StoreError

RETRY_AFTER_S = 1.0  # pause between tries; each waits by itself for a database that is away

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the call behind a hold used. Carrying it out twice changes nothing."""

    hold_id: str
    used: Amount
    estimated: bool


Settle = Callable[[Sequence[Settlement]], Awaitable[object]]


class LateSettlements:
    """Owned by the store, in its loop. `settle` stores settlements, or raises `StoreError`."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._pending: tuple[Settlement, ...] = ()  # replaced, never changed
        self._closing = asyncio.Event()
        self._retrying: asyncio.Task[None] | None = None

    @property
    def pending(self) -> tuple[Settlement, ...]:
        """Those not known to be stored, in the order in which they failed. Any thread."""
        return self._pending

    def add(self, settlement: Settlement) -> None:
        """Remember one that could not be stored. Never blocks."""
        self._pending = (*self._pending, settlement)
        if self._retrying is not None and not self._retrying.done():
            return
        if self._closing.is_set():
            self._say_lost()
            return
        self._retrying = asyncio.create_task(self._retry(), name="late settlements")

    def stored(self, settlements: Collection[Settlement]) -> None:
        """These are committed."""
        self._pending = tuple(one for one in self._pending if one not in settlements)

    async def aclose(self) -> None:
        """Try once more; what the database still does not take is said in the log."""
        self._closing.set()
        try:
            if self._retrying is not None:
                await self._retrying
        finally:
            if self._pending:
                self._say_lost()

    async def _retry(self) -> None:
        """Until nothing is pending; when the store closes, until a try fails."""
        while self._pending:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_AFTER_S):
                    await self._closing.wait()
            try:
                await self._store()
            except StoreError as error:
                logger.debug("Settlements still wait: %s", error)  # the writer warned of it
                if self._closing.is_set():
                    return

    async def _store(self) -> None:
        pending = self.pending
        await self._settle(pending)
        self.stored(pending)

    def _say_lost(self) -> None:
        lost, self._pending = self._pending, ()
        logger.error(
            "What %d calls used was never stored: %s tokens. What was reserved for them stays "
            "counted instead.",
            len(lost),
            f"{sum(one.used.tokens for one in lost):,}",
        )
