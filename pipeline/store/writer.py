"""One writer per process: gathers what runs want stored and commits it in groups.

Decides when to commit (at once for whoever waits, within 50 ms for plain facts) and whether a
write may still happen: facts, checkpoints and endings of an execution are fenced by its epoch
inside the transaction that stores them. Whatever arrives while a commit is under way shares the
next one, so hundreds of runs cost a handful of commits. What a change means is `store.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.errors import GantryError, StoreBusy, StoreError, Superseded
from pipeline.events import AnyEvent
from pipeline.models import Checkpoint, RunStatus
from pipeline.store import tables
from pipeline.store.codec import checkpoint_values, encode_event
from pipeline.store.database import Database
from pipeline.store.prepared import Prepared

FACTS_WAIT_S = 0.05  # facts nobody waits for are stored this late at most
RETRY_AFTER_S = 1.0  # pause after the database refused a group of facts

logger = logging.getLogger(__name__)
T = TypeVar("T")
Change = Callable[[Connection], Any]


class RunStopped(Superseded):
    """The run is no longer `running`: somebody cancelled or deleted it. Stop working on it."""


@dataclass(slots=True)
class _Facts:
    """Facts of one epoch, in order."""

    run_id: str
    epoch: int
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Wanted:
    """A write somebody waits for. `change` runs unfenced; the other two are fenced by `epoch`.

    A change whose caller has given up is not carried out: it was told that nothing happened. What
    an execution made is stored whoever still waits, because it is paid for.
    """

    done: asyncio.Future[Any]
    change: Change | None = None
    run_id: str = ""
    epoch: int = 0
    checkpoint: Checkpoint | None = None
    ending: dict[str, Any] | None = None


class Writer:
    """Owned by the loop it is started in; all methods are called there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._facts: dict[tuple[str, int], _Facts] = {}
        self._wanted: list[_Wanted] = []
        self._in_hand: list[_Wanted] = []  # of the group being stored
        self._trouble = ""  # what was last logged; the same again is not news
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._serve(), name="store-writer")

    async def aclose(self) -> None:
        """Store what is pending, then stop."""
        self._closing = True
        self._something.set()
        self._urgent.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    def add_fact(self, run_id: str, event: AnyEvent) -> None:
        """Store `event` soon; never blocks. Facts of one run keep their order."""
        facts = self._facts.setdefault((run_id, event.epoch), _Facts(run_id, event.epoch))
        facts.rows.append(
            {
                "run_id": run_id,
                "seq": event.seq,
                "epoch": event.epoch,
                "kind": event.kind,
                "payload": encode_event(event),
            }
        )
        self._something.set()

    async def commit(self, run_id: str, epoch: int, checkpoint: Checkpoint) -> None:
        """Return when `checkpoint`, and every fact before it, cannot be lost.

        Raises `Superseded` when a later epoch owns the run, `RunStopped` when it was cancelled.
        """
        await self._want(_Wanted(self._future(), run_id=run_id, epoch=epoch, checkpoint=checkpoint))

    async def finish(self, run_id: str, epoch: int, ending: dict[str, Any]) -> None:
        """Store the run's last columns. Raises as `commit` does."""
        await self._want(_Wanted(self._future(), run_id=run_id, epoch=epoch, ending=ending))

    async def do(self, change: Callable[[Connection], T]) -> T:
        """Carry out `change` in the next group (in another thread); its result once committed.

        It may raise a `GantryError`, but only before it has written anything.
        """
        result: T = await self._want(_Wanted(self._future(), change=change))
        return result

    async def flush(self) -> None:
        """Return when every fact added so far is stored. Raises `StoreError` when it cannot be."""
        await self.do(lambda _connection: None)

    @staticmethod
    def _future() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    async def _want(self, wanted: _Wanted) -> Any:
        if self._closing or self._task is None or self._task.done():
            raise StoreError("The store is closed.", "Start Gantry again.")
        self._wanted.append(wanted)
        self._something.set()
        self._urgent.set()
        return await wanted.done

    async def _serve(self) -> None:
        """Work until closed. However this ends, nobody is left waiting for it."""
        try:
            await self._run()
        except Exception:
            logger.exception("The store's writer hit a bug and stopped")
        finally:
            waiting = [*self._in_hand, *self._wanted]
            self._in_hand, self._wanted = [], []
            for one in waiting:
                _refuse(one.done, StoreError("The store stopped writing.", "Start Gantry again."))

    async def _run(self) -> None:
        while not (self._closing and not self._facts and not self._wanted):
            await self._something.wait()
            if not self._urgent.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(FACTS_WAIT_S):
                        await self._urgent.wait()
            facts, wanted = self._take()
            if not facts and not wanted:
                continue
            if not await self._store(facts, wanted):
                if self._closing:
                    logger.error("Lost the last facts of %d runs: see the error above", len(facts))
                    return
                await asyncio.sleep(RETRY_AFTER_S)

    def _take(self) -> tuple[list[_Facts], list[_Wanted]]:
        facts, wanted = list(self._facts.values()), self._wanted
        self._facts, self._wanted = {}, []
        self._in_hand = wanted
        if not self._closing:
            self._something.clear()
            self._urgent.clear()
        return facts, wanted

    async def _store(self, facts: list[_Facts], wanted: list[_Wanted]) -> bool:
        """Store a group; when it fails, its parts on their own. False: the facts are kept for later.

        A database that another program holds is not asked again: whoever waits has waited enough.
        """
        error = await self._attempt(facts, wanted)
        self._log(error, len(facts) + len(wanted))
        if error is None:
            return True
        if isinstance(error, StoreBusy):
            self._put_back(facts)
            for one in wanted:
                _refuse(one.done, error)
            return False
        if facts and (error := await self._attempt(facts, [])) is not None:
            self._put_back(facts)
            for one in wanted:
                _refuse(one.done, error)
            return False
        for one in wanted:
            if (error := await self._attempt([], [one])) is not None:
                _refuse(one.done, error)
        return True

    async def _attempt(
        self, facts: Sequence[_Facts], wanted: Sequence[_Wanted]
    ) -> Exception | None:
        """One transaction. Tells those who wait only after the commit; returns what failed."""
        try:
            verdicts = await self._database.write(
                lambda connection: _carry_out(connection, facts, wanted)
            )
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this group
            return error
        for one, verdict in zip(wanted, verdicts, strict=True):
            if isinstance(verdict, GantryError):
                _refuse(one.done, verdict)
            elif not one.done.done():
                one.done.set_result(verdict)
        return None

    def _log(self, error: Exception | None, writes: int) -> None:
        """Say when it begins to fail, fails otherwise, or works again; not every second."""
        trouble = "" if error is None else str(error)
        if trouble != self._trouble and error is not None:
            logger.warning("A group of %d writes failed: %s", writes, trouble)
        elif trouble != self._trouble:
            logger.info("The store writes again")
        self._trouble = trouble

    def _put_back(self, facts: Iterable[_Facts]) -> None:
        for one in facts:
            later = self._facts.get((one.run_id, one.epoch))
            if later is not None:
                one.rows.extend(later.rows)
            self._facts[one.run_id, one.epoch] = one
        self._something.set()


def _refuse(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


def _carry_out(
    connection: Connection, facts: Sequence[_Facts], wanted: Sequence[_Wanted]
) -> list[Any]:
    """Write everything; the answer for each of `wanted`, in order: a result or a refusal."""
    verdicts: dict[int, Any] = {}
    for number, one in enumerate(wanted):
        if one.change is not None:
            # asked here, with the write lock in hand: waiting for it is where callers give up
            verdicts[number] = None if one.done.done() else _answer(one.change, connection)
    fenced = {one.run_id for one in facts} | {one.run_id for one in wanted if one.run_id}
    fence = _Fence.read(connection, fenced)
    checkpoints: list[dict[str, Any]] = []
    for number, one in enumerate(wanted):
        if one.change is not None:
            continue
        verdicts[number] = fence.refusal(one.run_id, one.epoch)
        if verdicts[number] is not None:
            continue
        if one.checkpoint is not None:
            checkpoints.append(
                {**checkpoint_values(one.checkpoint), "run_id": one.run_id, "at": datetime.now(UTC)}
            )
        if one.ending is not None:
            fence.ended(one.run_id)
            connection.execute(_END, {"run": one.run_id, **one.ending})
    _insert_facts(connection, [f for f in facts if fence.is_current(f.run_id, f.epoch)])
    _upsert_checkpoints(connection, checkpoints, fence)
    return [verdicts[number] for number in range(len(wanted))]


def _answer(change: Change, connection: Connection) -> Any:
    try:
        return change(connection)
    except GantryError as refusal:
        return refusal


@dataclass(slots=True)
class _Owner:
    """A run as the fence found it."""

    epoch: int
    status: str
    progress_epoch: int


class _Fence:
    """Who owns the runs of one group, read and locked in its transaction."""

    def __init__(self, owners: dict[str, _Owner]) -> None:
        self._owners = owners

    @classmethod
    def read(cls, connection: Connection, run_ids: set[str]) -> _Fence:
        if not run_ids:
            return cls({})
        rows = _owners(connection.dialect, _rounded(len(run_ids))).ask(
            connection, _by_number(run_ids)
        )
        return cls({row[0]: _Owner(*row[1:]) for row in rows})

    def is_current(self, run_id: str, epoch: int) -> bool:
        """Facts may still come after a cancel: they say how the agents in flight ended."""
        return run_id in self._owners and self._owners[run_id].epoch == epoch

    def refusal(self, run_id: str, epoch: int) -> Superseded | None:
        if run_id not in self._owners:
            return RunStopped(f"Run {run_id} was deleted.")
        if not self.is_current(run_id, epoch):
            return Superseded(f"Run {run_id} is executed elsewhere (epoch {epoch} is over).")
        if (status := self._owners[run_id].status) != RunStatus.RUNNING:
            return RunStopped(f"Run {run_id} is {status}.")
        return None

    def without_progress(self, run_ids: Iterable[str]) -> set[str]:
        """Those of `run_ids` whose current epoch has stored no checkpoint before."""
        return {i for i in run_ids if self._owners[i].progress_epoch != self._owners[i].epoch}

    def ended(self, run_id: str) -> None:
        self._owners[run_id].status = "over"


def _insert_facts(connection: Connection, facts: Sequence[_Facts]) -> None:
    rows = [row for one in facts for row in one.rows]
    if rows:
        # a retry after a commit whose answer got lost must not trip over its own rows
        _fact_statement(connection.dialect).carry_out(connection, rows)


def _upsert_checkpoints(connection: Connection, rows: list[dict[str, Any]], fence: _Fence) -> None:
    if not rows:
        return
    _checkpoint_statement(connection.dialect).carry_out(connection, rows)
    if first := fence.without_progress(row["run_id"] for row in rows):
        runs = tables.runs.c
        connection.execute(
            update(tables.runs).where(runs.id.in_(first)).values(progress_epoch=runs.epoch)
        )


_END = update(tables.runs).where(tables.runs.c.id == bindparam("run"))


@lru_cache(maxsize=64)
def _owners(dialect: Dialect, count: int) -> Prepared:
    """Who owns `count` runs, locked where the database locks rows."""
    runs = tables.runs.c
    numbered = [bindparam(f"run_{n}", type_=runs.id.type) for n in range(count)]
    query = select(runs.id, runs.epoch, runs.status, runs.progress_epoch)
    return Prepared(query.where(runs.id.in_(numbered)).with_for_update(), dialect)


def _rounded(count: int) -> int:
    """The next power of two, so that there are few statements."""
    return 1 << (count - 1).bit_length()


def _by_number(run_ids: set[str]) -> dict[str, str]:
    """A value for every place; those left over are NULL, which is no run's id."""
    return {f"run_{n}": run_id for n, run_id in enumerate(run_ids)}


@lru_cache(maxsize=64)
def _fact_statement(dialect: Dialect) -> Prepared:
    return Prepared(_insert(dialect, tables.events).on_conflict_do_nothing(), dialect)


@lru_cache(maxsize=64)
def _checkpoint_statement(dialect: Dialect) -> Prepared:
    statement = _insert(dialect, tables.checkpoints)
    replaced = ("key", "epoch", "output", "usage", "state", "at", "edited")
    return Prepared(
        statement.on_conflict_do_update(
            index_elements=["run_id", "agent"],
            set_={column: statement.excluded[column] for column in replaced},
        ),
        dialect,
    )


def _insert(dialect: Dialect, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
