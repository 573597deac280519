"""Execution in a team: PostgreSQL holds the queue, any number of workers execute, web processes watch.

A worker takes runs from the queue. Every other process only takes runs in, and executes those whose
key was typed into it. All of them look after runs that nobody works on, and tell each other what
the runs they execute do (`live_link.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL

from pipeline.engine.executor import Executor
from pipeline.engine.health import Part, queue_part
from pipeline.engine.live_link import LiveLink
from pipeline.engine.looking import keep_looking
from pipeline.engine.orphans import Orphans
from pipeline.engine.port import WIND_DOWN_S, HandOver
from pipeline.engine.postgresql import PLAIN, WORKER, PostgresEngine
from pipeline.engine.self_fence import SelfFence
from pipeline.engine.team_load import TELL_EVERY_S, LoadReader, LoadTeller, shown_id
from pipeline.engine.typed_runs import TypedRuns
from pipeline.journal import Journal
from pipeline.llm.admission import GateSnapshot
from pipeline.llm.admission.team import TeamSnapshot
from pipeline.settings import Settings
from pipeline.store import Store, Unfinished

WATCH_S = 0.5  # how often cancelled runs of this process are looked for: a notice may get lost
RECONCILE_S = 60.0  # at most; and two leases at least

logger = logging.getLogger(__name__)


class TeamExecution:
    """Owned by one loop. Implements `pipeline.engine.port.Execution`.

    `concurrency` is how many runs this process takes from the queue at once; None: it is no worker.
    `gates` are those of this process, for the others to see.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        url: URL,
        settings: Settings,
        concurrency: int | None = None,
        gates: Callable[[], Sequence[GateSnapshot]] = lambda: (),
    ) -> None:
        self._store = store
        self._executor = executor
        self._settings = settings
        self._concurrency = concurrency
        self._fence = SelfFence(settings.lease_s) if concurrency is not None else None
        guard = self._fence.check if self._fence is not None else lambda: None
        name = PLAIN if concurrency is None else WORKER
        self._engine = PostgresEngine(url, settings.lease_s, guard, name)
        self._typed = TypedRuns(
            self._engine.connection, executor.execute, settings.max_concurrent_runs
        )
        self._live = LiveLink(url, store, executor.journal)
        self._teller = LoadTeller(
            self._live.connection,
            self._engine.process,
            concurrency,
            lambda: len(executor.busy),
            gates,
        )
        self._reader = LoadReader(
            self._live.connection, self._engine, settings.max_concurrent_runs, settings.lease_s
        )
        self._orphans = Orphans()
        self._unheld: set[str] = set()  # on a typed key that nobody held, a round ago
        self._round_s = min(RECONCILE_S, 2 * settings.lease_s)
        self._next_round = 0.0
        self._serving: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_engine(self) -> bool:
        return self._concurrency is not None

    def health(self, unfinished: int) -> Part:
        if not self.is_engine:
            sentence = (
                f"Workers execute the runs, {unfinished} unfinished; this process shows them."
            )
            return Part("queue", "ok", "viewer", sentence)
        return queue_part(
            is_engine=True,
            is_serving=self._serving is not None and not self._serving.done(),
            unfinished=unfinished,
            executing=len(self._executor.busy),
        )

    @property
    def failure(self) -> BaseException | None:
        """Why this worker stopped taking runs, if it did."""
        if self._serving is None or not self._serving.done() or self._serving.cancelled():
            return None
        return self._serving.exception()

    async def start(self) -> None:
        await self._engine.prepare()
        await self._live.start()
        await self._teller.start()
        await self._reader.start()
        await self._reconcile()
        self._begin(keep_looking(WATCH_S, self._tick), "team-watch")
        for name, part, look in (
            ("to tell of gates", self._teller, self._teller.tell),
            ("the team's gates", self._reader, self._reader.read),
        ):
            self._begin(keep_looking(TELL_EVERY_S, look, what=name, wanted=part.wanted), name)
        if self._fence is not None:
            self._begin(self._fence.watch(), "self-fence")
        if self._concurrency is not None:
            logger.info(
                "This worker is %s under “Calls and limits”", shown_id(self._engine.process)
            )
            self._serving = asyncio.create_task(
                self._engine.serve(
                    self._executor.execute, self._concurrency, self._settings.max_concurrent_runs
                ),
                name="engine-serve",
            )

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._typed.aclose()
        await self._hand_back()
        await self._live.aclose()
        await self._engine.connection.aclose()

    async def workers(self) -> int | None:
        return await self._engine.workers()

    async def team(self, owner: str, *, patient: bool = False) -> TeamSnapshot | None:
        return await self._reader.seen(owner, patient=patient)

    async def drain(self) -> frozenset[str]:
        self._engine.drain()
        return self._executor.busy if self.is_engine else frozenset()

    def check_typed_key(self) -> None:
        """Every process of a team executes what is typed into it."""

    @asynccontextmanager
    async def handing_over(
        self, run_id: str, priority: int, *, typed: bool
    ) -> AsyncIterator[HandOver | None]:
        if not typed:
            yield self._engine.submitting(run_id, priority)
            return
        await self._typed.hold(run_id)  # first: nobody may think that it is without its key
        try:
            yield None
        except BaseException:
            await self._typed.let_go(run_id)
            raise
        await self._typed.submit(run_id, priority)

    def cancelling(self, run_id: str) -> HandOver | None:
        return self._engine.cancelling(run_id)

    async def cancelled(self, run_id: str) -> None:
        self._engine.stop(run_id)
        await self._typed.cancel(run_id)

    def watch(self, run_id: str) -> None:
        if self._executor.journal(run_id) is None:
            self._live.watch(run_id)

    def journal(self, run_id: str) -> Journal | None:
        return self._live.journal(run_id)

    def _begin(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(coroutine, name=name))

    async def _hand_back(self) -> None:
        try:
            async with asyncio.timeout(WIND_DOWN_S):
                await self._engine.aclose()
                if self._serving is not None:
                    await asyncio.wait({self._serving})
        except TimeoutError:
            logger.warning("Runs did not stop in time: %s", ", ".join(self._executor.busy))
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.wait({self._serving}, timeout=1.0)

    async def _tick(self) -> None:
        busy = self._executor.busy
        if busy:
            for run_id in busy - await self._store.still_unfinished(busy):
                await self.cancelled(run_id)
        await self._typed.keep()
        if time.monotonic() >= self._next_round:
            await self._reconcile()

    async def _reconcile(self) -> None:
        """Queue again what nobody works on. Any number of processes may do so at once."""
        # apart from each other, so that not all processes ask at the same moment
        self._next_round = time.monotonic() + self._round_s * random.uniform(0.9, 1.2)
        active = await self._engine.active() | self._executor.busy
        unfinished = await self._store.unfinished_runs()
        without = {run.id for run in unfinished if run.id not in active}
        if without:
            without_key = await self._look_after_typed(without)
            progress = await self._store.progress(without)
            ours = [run for run in unfinished if run.id not in without_key]
            for run in self._orphans.find(ours, active, progress):
                await self._queue_again(run)
        else:
            self._unheld = set()
            self._orphans.find((), (), {})
        await self._engine.forget_old()

    async def _queue_again(self, run: Unfinished) -> None:
        logger.warning("Nobody works on run %s, queueing it again", run.id)
        await self._engine.submit(run.id, run.priority, run.epoch)

    async def _look_after_typed(self, run_ids: set[str]) -> set[str]:
        """Those of `run_ids` on a typed key. Mark them when nobody has it, for two rounds."""
        typed = await self._store.on_typed_keys(run_ids)
        for run_id in self._typed.held - self._executor.busy - typed:
            await self._typed.let_go(run_id)  # it has ended
        unheld = typed - self._typed.held - await self._typed.cared_for(typed)
        for run_id in unheld & self._unheld:
            await self._store.begin(run_id, may_take=lambda _run: False)
        self._unheld = unheld
        return typed
