"""One writer per process: gathers what runs want stored and commits it in groups.

Decides when to commit (at once for whoever waits, within 50 ms for plain facts) and whether a
write may still happen: facts, checkpoints and endings of an execution are fenced by its epoch
inside the transaction that stores them. Whatever arrives while a commit is under way shares the
next one, so hundreds of runs cost a handful of commits. What a change means is `store.py`'s.

What agents in flight have written goes along with a group that is stored anyway, or every two
seconds by itself; while nobody writes, nothing is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.errors import GantryError, StoreBusy, StoreError, StoreUnreachable, Superseded
from pipeline.events import AnyEvent
from pipeline.journal import Journal
from pipeline.models import Checkpoint, RunStatus
from pipeline.store import tables
from pipeline.store.codec import checkpoint_values, encode_event
from pipeline.store.database import Database
from pipeline.store.partial_texts import Following
from pipeline.store.prepared import Prepared

FACTS_WAIT_S = 0.05  # facts nobody waits for are stored this late at most
TEXT_EVERY_S = 2.0  # how old the stored text of an agent in flight may be
RETRY_AFTER_S = 1.0  # pause after the database refused a group of facts
RECONNECT_AFTER_S = 0.2  # pause after its server did not answer: a restart takes a second or two
# How long a write waits for a database that is away or locked: somebody may look at a page meanwhile, but
# what an execution made is paid for.
CHANGE_PATIENCE_S = 5.0
MADE_PATIENCE_S = 60.0

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

    `doubt` is the commit that got no answer, if there was one. Then only what may happen twice
    (`is_repeatable`) is tried again.
    """

    done: asyncio.Future[Any]
    change: Change | None = None
    run_id: str = ""
    epoch: int = 0
    checkpoint: Checkpoint | None = None
    ending: dict[str, Any] | None = None
    is_repeatable: bool = True
    is_last: bool = False
    asked_at_s: float = field(default_factory=time.monotonic)
    doubt: StoreUnreachable | None = None

    def may_wait_for(self, error: Exception) -> bool:
        """True when it should be tried again: the server is away, or somebody holds the database.

        For somebody's lock only what an execution made waits on: a person has waited long enough.
        """
        if isinstance(error, StoreUnreachable):
            if error.in_doubt:
                self.doubt = error
            if self.doubt is not None and not self.is_repeatable:
                return False
        elif not isinstance(error, StoreBusy) or self.change is not None:
            return False
        patience_s = MADE_PATIENCE_S if self.change is None else CHANGE_PATIENCE_S
        return time.monotonic() - self.asked_at_s < patience_s

    def refuse(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(self.doubt or error)


@dataclass(slots=True)
class _Group:
    """What is stored with one commit. `texts` are rows; they come from the `followed` journals."""

    facts: list[_Facts]
    wanted: list[_Wanted]
    texts: list[dict[str, Any]] = field(default_factory=list)
    followed: list[Following] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.facts or self.wanted or self.texts)


class Writer:
    """Owned by the loop it is started in; all methods are called there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._facts: dict[tuple[str, int], _Facts] = {}
        self._followed: dict[tuple[str, int], Following] = {}
        self._leaving: list[Following] = []  # their last words are still to be stored
        self._text_at_s = 0.0  # when text was last looked at
        self._text_is_due = False
        self._timer: asyncio.TimerHandle | None = None
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
        if self._timer is not None:
            self._timer.cancel()
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

    def follow(self, journal: Journal) -> None:
        """Store what its agents are writing, every two seconds, until `unfollow`."""
        self._followed[journal.run_id, journal.epoch] = Following(journal)
        self._look_later()

    def unfollow(self, journal: Journal) -> None:
        """Its agents write no more. What they wrote last is stored soon."""
        following = self._followed.pop((journal.run_id, journal.epoch), None)
        if following is not None:
            self._leaving.append(following)
            self._something.set()

    async def commit(self, run_id: str, epoch: int, checkpoint: Checkpoint) -> None:
        """Return when `checkpoint`, and every fact before it, cannot be lost.

        Raises `Superseded` when a later epoch owns the run, `RunStopped` when it was cancelled.
        """
        await self._want(_Wanted(self._future(), run_id=run_id, epoch=epoch, checkpoint=checkpoint))

    async def finish(self, run_id: str, epoch: int, ending: dict[str, Any]) -> None:
        """Store the run's last columns. Raises as `commit` does."""
        await self._want(_Wanted(self._future(), run_id=run_id, epoch=epoch, ending=ending))

    async def do(
        self,
        change: Callable[[Connection], T],
        *,
        is_repeatable: bool = False,
        is_last: bool = False,
    ) -> T:
        """Carry out `change` in the next group (maybe in another thread); its result once committed.

        It may raise a `GantryError`, but only before it has written anything. `is_repeatable`: it
        may be carried out again when the connection broke and nobody knows whether it was.
        Otherwise that is said, as a `StoreUnreachable` that is `in_doubt`. `is_last`: it locks
        what every process wants, so the others wait least when it comes after all else of its group.
        """
        wanted = _Wanted(
            self._future(), change=change, is_repeatable=is_repeatable, is_last=is_last
        )
        result: T = await self._want(wanted)
        return result

    async def flush(self) -> None:
        """Return when every fact added so far is stored. Raises `StoreError` when it cannot be."""
        await self.do(lambda _connection: None, is_repeatable=True)

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
                one.refuse(StoreError("The store stopped writing.", "Start Gantry again."))

    async def _run(self) -> None:
        while not (self._closing and not self._has_work()):
            await self._wait()
            group = self._take()
            if group.is_empty:
                continue
            if (error := await self._store(group)) is not None:
                if self._closing:
                    lost = max(len(group.facts), len(group.followed))
                    logger.error(
                        "Lost the last facts or text of %d runs: see the error above", lost
                    )
                    return
                is_away = isinstance(error, StoreUnreachable)
                await asyncio.sleep(RECONNECT_AFTER_S if is_away else RETRY_AFTER_S)

    def _has_work(self) -> bool:
        return bool(self._facts or self._wanted or self._leaving)

    async def _wait(self) -> None:
        """Return when there is something to store, at once for whoever waits for it."""
        await self._something.wait()
        if not self._urgent.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(FACTS_WAIT_S):
                    await self._urgent.wait()

    def _look_at_text(self) -> None:
        """Every two seconds while a journal is followed. One timer for all, none per commit."""
        self._timer = None
        if self._followed:
            self._text_is_due = True
            self._something.set()
            self._urgent.set()
            self._look_later()

    def _look_later(self) -> None:
        if self._timer is None and not self._closing:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TEXT_EVERY_S, self._look_at_text)

    def _take(self) -> _Group:
        group = _Group(list(self._facts.values()), self._wanted)
        self._facts, self._wanted = {}, []
        self._in_hand = group.wanted
        now_s = time.monotonic()
        # along with others earlier, so that it seldom needs a commit of its own
        is_along = not group.is_empty and now_s - self._text_at_s >= TEXT_EVERY_S / 2
        if self._leaving or self._text_is_due or is_along:
            self._text_at_s, self._text_is_due = now_s, False
            group.followed = [*self._followed.values(), *self._leaving]
            self._leaving = []
            group.texts = [row for each in group.followed for row in each.news()]
        if not self._closing:
            self._something.clear()
            self._urgent.clear()
        return group

    async def _store(self, group: _Group) -> Exception | None:
        """Store a group; when it fails, its parts on their own. The error: facts are kept for later.

        A database that another program holds, or whose server is away, is not asked for each part:
        those who may wait do (`may_wait_for`), the others are told.
        """
        facts, wanted = group.facts, group.wanted
        error = failed = await self._attempt(facts, wanted, group.texts)
        self._log(error, len(facts) + len(wanted) + len(group.texts))
        if error is None:
            return None
        self._follow_again(group.followed)
        if isinstance(error, StoreBusy | StoreUnreachable):
            return self._keep(facts, wanted, error)
        if facts and (error := await self._attempt(facts, [])) is not None:
            return self._keep(facts, wanted, error)
        for one in wanted:
            if (error := await self._attempt([], [one])) is not None:
                self._keep([], [one], error)
        return None if facts or wanted else failed

    def _follow_again(self, followed: Iterable[Following]) -> None:
        """Their text was not stored."""
        for each in followed:
            each.forget()
            if self._followed.get((each.run_id, each.epoch)) is not each:
                self._leaving.append(each)

    async def _attempt(
        self,
        facts: Sequence[_Facts],
        wanted: Sequence[_Wanted],
        texts: Sequence[dict[str, Any]] = (),
    ) -> Exception | None:
        """One transaction. Tells those who wait only after the commit; returns what failed."""
        replaced = [
            (one.run_id, one.checkpoint.agent)
            for one in wanted
            if one.checkpoint is not None and self._may_have_text(one, one.checkpoint.agent)
        ]
        try:
            verdicts = await self._database.write(
                lambda connection: _carry_out(connection, facts, wanted, texts, replaced)
            )
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this group
            return error
        for one, verdict in zip(wanted, verdicts, strict=True):
            if isinstance(verdict, GantryError):
                one.refuse(verdict)
                continue
            self._settle(one)
            if not one.done.done():
                one.done.set_result(verdict)
        return None

    def _may_have_text(self, wanted: _Wanted, agent: str) -> bool:
        following = self._followed.get((wanted.run_id, wanted.epoch))
        return following is None or following.may_have_stored(agent)

    def _settle(self, stored: _Wanted) -> None:
        following = self._followed.get((stored.run_id, stored.epoch))
        if following is not None and stored.checkpoint is not None:
            following.settle(stored.checkpoint.agent)

    def _log(self, error: Exception | None, writes: int) -> None:
        """Say when it begins to fail, fails otherwise, or works again; not every second."""
        trouble = "" if error is None else str(error)
        if trouble != self._trouble and error is not None:
            logger.warning("A group of %d writes failed: %s", writes, trouble)
        elif trouble != self._trouble:
            logger.info("The store writes again")
        self._trouble = trouble

    def _keep(
        self, facts: Iterable[_Facts], wanted: Iterable[_Wanted], error: Exception
    ) -> Exception:
        """After `error`: facts, and those who may wait, for the next group; the others are told."""
        for one in facts:
            later = self._facts.get((one.run_id, one.epoch))
            if later is not None:
                one.rows.extend(later.rows)
            self._facts[one.run_id, one.epoch] = one
        patient = []
        for each in wanted:
            if each.may_wait_for(error):
                patient.append(each)
            else:
                each.refuse(error)
        self._wanted = [*patient, *self._wanted]
        self._something.set()
        if self._wanted:
            self._urgent.set()
        return error


def _carry_out(
    connection: Connection,
    facts: Sequence[_Facts],
    wanted: Sequence[_Wanted],
    texts: Sequence[dict[str, Any]],
    replaced: Sequence[tuple[str, str]],
) -> list[Any]:
    """Write everything; the answer for each of `wanted`, in order: a result or a refusal."""
    verdicts: dict[int, Any] = {}
    for number, one in enumerate(wanted):
        if one.change is not None and not one.is_last:
            verdicts[number] = _answer(one, connection)
    fenced = {one.run_id for one in facts} | {one.run_id for one in wanted if one.run_id}
    fenced |= {row["run_id"] for row in texts}
    fence = _Fence.read(connection, fenced)
    checkpoints: list[dict[str, Any]] = []
    for number, one in enumerate(wanted):
        if one.change is not None:
            continue
        if one.doubt is not None and fence.has_ended_so(one):
            verdicts[number] = None
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
    _upsert_texts(connection, [r for r in texts if fence.is_current(r["run_id"], r["epoch"])])
    _upsert_checkpoints(connection, checkpoints, fence)
    _delete_texts(connection, replaced, checkpoints)
    for number, one in enumerate(wanted):
        if one.is_last:
            verdicts[number] = _answer(one, connection)
    return [verdicts[number] for number in range(len(wanted))]


def _answer(wanted: _Wanted, connection: Connection) -> Any:
    # asked here, with the write lock in hand: waiting for it is where callers give up
    if wanted.change is None or wanted.done.done():
        return None
    try:
        return wanted.change(connection)
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
        owner = self._owners.get(run_id)
        found = None if owner is None else (owner.epoch, owner.status)
        return ownership_refusal(run_id, epoch, found)

    def has_ended_so(self, wanted: _Wanted) -> bool:
        """True when the ending is stored already: its commit only got no answer."""
        if wanted.ending is None or not self.is_current(wanted.run_id, wanted.epoch):
            return False
        return bool(self._owners[wanted.run_id].status == wanted.ending["status"])

    def without_progress(self, run_ids: Iterable[str]) -> set[str]:
        """Those of `run_ids` whose current epoch has stored no checkpoint before."""
        return {i for i in run_ids if self._owners[i].progress_epoch != self._owners[i].epoch}

    def ended(self, run_id: str) -> None:
        self._owners[run_id].status = "over"


def ownership_refusal(run_id: str, epoch: int, found: tuple[int, str] | None) -> Superseded | None:
    """Why `epoch` may not write to the run any more; None when it may.

    `found` is the run's epoch and status now; None: there is no such run.
    """
    if found is None:
        return RunStopped(f"Run {run_id} was deleted.")
    current, status = found
    if current != epoch:
        return Superseded(f"Run {run_id} is executed elsewhere (epoch {epoch} is over).")
    if status != RunStatus.RUNNING:
        return RunStopped(f"Run {run_id} is {status}.")
    return None


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


def _upsert_texts(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        _text_statement(connection.dialect).carry_out(connection, rows)


def _delete_texts(
    connection: Connection,
    replaced: Sequence[tuple[str, str]],
    checkpoints: Sequence[dict[str, Any]],
) -> None:
    """The partial texts of agents whose checkpoint is stored in this transaction."""
    stored = {(row["run_id"], row["agent"]) for row in checkpoints}
    keys = [{"run": run, "name": agent} for run, agent in replaced if (run, agent) in stored]
    if keys:
        _no_text_statement(connection.dialect).carry_out(connection, keys)


_END = update(tables.runs).where(tables.runs.c.id == bindparam("run"))


@lru_cache(maxsize=64)
def _owners(dialect: Dialect, count: int) -> Prepared:
    """Who owns `count` runs, locked where the database locks rows; always in the same order,

    so that processes with runs in common wait for each other instead of locking each other out.
    """
    runs = tables.runs.c
    numbered = [bindparam(f"run_{n}", type_=runs.id.type) for n in range(count)]
    query = select(runs.id, runs.epoch, runs.status, runs.progress_epoch)
    query = query.where(runs.id.in_(numbered)).order_by(runs.id)
    return Prepared(query.with_for_update(key_share=True), dialect)


def _rounded(count: int) -> int:
    """The next power of two, so that there are few statements."""
    return 1 << (count - 1).bit_length()


def _by_number(run_ids: set[str]) -> dict[str, str]:
    """A value for every place; those left over are NULL, which is no run's id."""
    return {f"run_{n}": run_id for n, run_id in enumerate(run_ids)}


@lru_cache(maxsize=64)
def _fact_statement(dialect: Dialect) -> Prepared:
    return Prepared(insert_for(dialect, tables.events).on_conflict_do_nothing(), dialect)


@lru_cache(maxsize=64)
def _checkpoint_statement(dialect: Dialect) -> Prepared:
    statement = insert_for(dialect, tables.checkpoints)
    replaced = ("key", "epoch", "output", "usage", "state", "at", "edited")
    return Prepared(
        statement.on_conflict_do_update(
            index_elements=["run_id", "agent"],
            set_={column: statement.excluded[column] for column in replaced},
        ),
        dialect,
    )


@lru_cache(maxsize=64)
def _text_statement(dialect: Dialect) -> Prepared:
    statement = insert_for(dialect, tables.partial_texts)
    replaced = ("epoch", "generation", "text", "at")
    return Prepared(
        statement.on_conflict_do_update(
            index_elements=["run_id", "agent"],
            set_={column: statement.excluded[column] for column in replaced},
        ),
        dialect,
    )


@lru_cache(maxsize=64)
def _no_text_statement(dialect: Dialect) -> Prepared:
    texts = tables.partial_texts
    of_agent = (texts.c.run_id == bindparam("run"), texts.c.agent == bindparam("name"))
    return Prepared(delete(texts).where(*of_agent), dialect)


def insert_for(dialect: Dialect, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say what to do ON CONFLICT."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
