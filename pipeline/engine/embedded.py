"""Execution inside one process, the default: an in-memory queue beside a SQLite file.

One process per database file is the engine; the others are viewers that may submit and cancel,
and one of them takes over when the engine is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline.engine.executor import Executor
from pipeline.engine.health import Part, queue_part
from pipeline.engine.in_memory import InMemoryEngine
from pipeline.engine.lock import EngineLock
from pipeline.engine.looking import keep_looking
from pipeline.engine.port import WIND_DOWN_S, Engine, HandOver
from pipeline.errors import EngineBusy
from pipeline.journal import Journal
from pipeline.store import Store

WATCH_S = 0.5  # how often runs of other processes are looked for

logger = logging.getLogger(__name__)


class EmbeddedExecution:
    """Owned by one loop. Implements `pipeline.engine.port.Execution`."""

    def __init__(self, store: Store, executor: Executor, database: Path, at_once: int) -> None:
        self._store = store
        self._executor = executor
        self._at_once = at_once
        self._lock = EngineLock(database)
        self._engine: Engine | None = None
        self._serving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def is_engine(self) -> bool:
        return self._engine is not None

    @property
    def failure(self) -> BaseException | None:
        return None  # a queue that stopped is started anew

    def health(self, unfinished: int) -> Part:
        is_serving = self._serving is not None and not self._serving.done()
        executing = len(self._executor.busy)
        return queue_part(
            is_engine=self.is_engine,
            is_serving=is_serving,
            unfinished=unfinished,
            executing=executing,
        )

    async def start(self) -> None:
        await self._tick()
        self._watching = asyncio.create_task(keep_looking(WATCH_S, self._tick), name="engine-watch")

    async def aclose(self) -> None:
        try:
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.wait({self._watching})
            await self._close_engine()
        finally:
            self._lock.release()

    async def workers(self) -> int | None:
        return None

    async def team(self, owner: str, *, patient: bool = False) -> None:
        """There is no team."""

    async def drain(self) -> frozenset[str]:
        begins, self._draining = not self._draining, True
        if begins and self._engine is not None:
            for run in await self._store.unfinished_runs():
                if run.id not in self._executor.busy:
                    await self._engine.cancel(run.id)
        return self._executor.busy

    def check_typed_key(self) -> None:
        if self._engine is None:
            raise EngineBusy(
                "Another Gantry process executes the runs of this data folder, and a typed key "
                "never leaves the process it was typed into.",
                "Type the key there, or set OPENAI_API_KEY for that process.",
            )

    @asynccontextmanager
    async def handing_over(
        self, run_id: str, priority: int, *, typed: bool
    ) -> AsyncIterator[HandOver | None]:
        # the row first, then the job: whatever gets lost between the two is found by `_reconcile`
        yield None
        if self._engine is not None and not self._draining:
            await self._engine.submit(run_id, priority)

    def cancelling(self, run_id: str) -> HandOver | None:
        return None

    async def cancelled(self, run_id: str) -> None:
        if self._engine is not None:
            await self._engine.cancel(run_id)

    def watch(self, run_id: str) -> None:
        """Runs of another process are read from the store."""

    def journal(self, run_id: str) -> Journal | None:
        return None

    async def _tick(self) -> None:
        if self._serving is not None and self._serving.done():
            logger.error("The queue stopped, starting anew", exc_info=self._serving.exception())
            self._serve()
        if self._engine is None and not self._draining and self._lock.acquire():
            self._serve()
        if self._engine is not None:
            await self._reconcile(self._engine)

    def _serve(self) -> None:
        engine = InMemoryEngine()
        self._engine = engine
        self._serving = asyncio.create_task(
            engine.serve(self._executor.execute, self._at_once), name="engine-serve"
        )

    async def _reconcile(self, engine: Engine) -> None:
        """Make the engine agree with the tables: they may have been changed by another process."""
        busy = self._executor.busy  # before reading: what starts meanwhile is none of this round
        unfinished = await self._store.unfinished_runs()
        for run_id in busy - {run.id for run in unfinished}:
            await engine.cancel(run_id)
        if self._draining:
            return
        for run in unfinished:
            await engine.submit(run.id, run.priority)

    async def _close_engine(self) -> None:
        if self._engine is None or self._serving is None:
            return
        try:
            async with asyncio.timeout(WIND_DOWN_S):
                await self._engine.aclose()
        except TimeoutError:
            logger.warning("Runs did not stop in time: %s", ", ".join(self._executor.busy))
            self._serving.cancel()
        await asyncio.wait({self._serving}, timeout=1.0)
