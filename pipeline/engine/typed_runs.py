"""Runs on a typed key, in a team: they execute in the process the key was typed into, only there.

They are in no queue. While this process lives it holds an advisory lock for each of them, which
the server gives back when it dies, however it dies; then others see that nobody can continue the
run, and mark it as waiting for its key.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from typing import Any

import asyncpg

from pipeline.engine.in_memory import InMemoryEngine
from pipeline.engine.port import WIND_DOWN_S, Execute
from pipeline.engine.steady_connection import SteadyConnection

LOCKS = 0x4B45  # "KE": the first half of an advisory lock's number; the run's id makes the second

logger = logging.getLogger(__name__)


class TypedRuns:
    """Owned by one loop."""

    def __init__(self, connection: SteadyConnection, execute: Execute, at_once: int) -> None:
        self._connection = connection
        self._execute = execute
        self._at_once = at_once
        self._engine = InMemoryEngine()
        self._held: set[str] = set()
        self._serving: asyncio.Task[None] | None = None
        connection.at_connect.append(self._lock_all)

    @property
    def held(self) -> frozenset[str]:
        return frozenset(self._held)

    async def hold(self, run_id: str) -> None:
        """Say that this process takes care of the run."""
        self._held.add(run_id)
        await self._connection.execute(_LOCK, LOCKS, _number(run_id))

    async def let_go(self, run_id: str) -> None:
        if run_id in self._held:
            self._held.discard(run_id)
            await self._connection.execute(_UNLOCK, LOCKS, _number(run_id))

    async def submit(self, run_id: str, priority: int) -> None:
        if self._serving is None:
            self._serving = asyncio.create_task(
                self._engine.serve(self._execute, self._at_once), name="typed-runs"
            )
        await self._engine.submit(run_id, priority)

    async def cancel(self, run_id: str) -> None:
        await self._engine.cancel(run_id)

    async def keep(self) -> None:
        """Notice a lost connection soon: with it the locks are gone."""
        if self._held:
            await self._connection.execute("SELECT 1")

    async def cared_for(self, run_ids: set[str]) -> set[str]:
        """Those of `run_ids` that a living process holds."""
        rows = await self._connection.fetch(_HELD, LOCKS)
        numbers = {int(str(row["objid"])) for row in rows}
        return {run_id for run_id in run_ids if _number(run_id) % 2**32 in numbers}

    async def aclose(self) -> None:
        if self._serving is None:
            return
        try:
            async with asyncio.timeout(WIND_DOWN_S):
                await self._engine.aclose()
        except TimeoutError:
            logger.warning("Runs on a typed key did not stop in time")
            self._serving.cancel()
        await asyncio.wait({self._serving}, timeout=1.0)

    async def _lock_all(self, connection: asyncpg.Connection[Any]) -> None:
        for run_id in self._held:
            await connection.execute(_LOCK, LOCKS, _number(run_id))


# never waits: a successor may hold it while the server has not noticed yet that we were gone
_LOCK = "SELECT pg_try_advisory_lock($1::int, $2::int)"
_UNLOCK = "SELECT pg_advisory_unlock($1::int, $2::int)"
_HELD = """
    SELECT objid FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::int::oid AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _number(run_id: str) -> int:
    """The same in every process, and a signed 32-bit integer as PostgreSQL wants it."""
    return zlib.crc32(run_id.encode()) - 2**31
