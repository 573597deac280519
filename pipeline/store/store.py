"""The store: every question and every change, by run id and owner.

Decides which status may follow which, and who may see a run: a foreign id looks exactly like a
missing one. Methods without `owner` are for the engine. How writes are grouped and fenced is
`writer.py`'s; how values become rows `codec.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from pipeline import events as facts
from pipeline.errors import SpecError
from pipeline.events import AnyEvent, RunDerived
from pipeline.models import Checkpoint, RunRecord, RunSpec, RunStatus
from pipeline.redaction import without_known
from pipeline.store import codec
from pipeline.store.database import Database, open_database
from pipeline.store.documents import Documents
from pipeline.store.partial_texts import PartialText
from pipeline.store.spending import Accounts, RunLedger, forget
from pipeline.store.tables import (
    checkpoints,
    events,
    installation,
    partial_texts,
    runs,
    shares,
)
from pipeline.store.voices import Voices
from pipeline.store.writer import Writer, insert_for

PURGE_BATCH = 100  # runs per transaction
MAX_EPOCHS_WITHOUT_PROGRESS = 5  # then the run itself is what crashes us: poison

UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING)
CANCELLABLE = (*UNFINISHED, RunStatus.WAITING_APPROVAL, RunStatus.NEEDS_KEY)
Also = Callable[[Connection, int], None]  # what goes with a change of a run; gets its epoch
CONTINUABLE = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.NEEDS_KEY)
APPROVABLE = (RunStatus.WAITING_APPROVAL,)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run the engine is responsible for."""

    id: str
    status: RunStatus
    priority: int
    epoch: int


class Store:
    """One per process and loop. Open with `await Store.open(url)`, close with `aclose()`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.writer = Writer(database)
        self.documents = Documents(database, self.writer)
        self.voices = Voices(database, self.writer)
        self._accounts = Accounts(self.writer)

    @classmethod
    async def open(cls, url: URL) -> Store:
        """Raises `StoreError` with what to do when the database cannot be used."""
        store = cls(await open_database(url))
        store.writer.start()
        return store

    async def aclose(self) -> None:
        """Store what is pending, then disconnect."""
        try:
            await self._accounts.aclose()
        finally:
            await self._close_database()

    async def _close_database(self) -> None:
        try:
            await self.writer.aclose()
        finally:
            await self._database.aclose()

    async def probe(self) -> None:
        """Return when the database has taken a write, of nothing. Raises `StoreError`."""
        await self.writer.do(lambda _connection: None)

    def ledger(self, run_id: str, epoch: int) -> RunLedger:
        """The account of what the run spends, for the epoch that executes it."""
        return self._accounts.ledger(run_id, epoch)

    # Reading

    async def get_run(self, run_id: str, owner: str) -> RunRecord | None:
        rows = await self._rows(select(runs).where(_is(run_id, owner)))
        return codec.record_of(rows[0]) if rows else None

    async def find_run(self, run_id: str) -> RunRecord | None:
        """For the engine, which serves all owners."""
        rows = await self._rows(select(runs).where(runs.c.id == run_id))
        return codec.record_of(rows[0]) if rows else None

    async def list_runs(
        self, owner: str, limit: int = 50, offset: int = 0, text: str = ""
    ) -> list[RunRecord]:
        """Newest first; `text` keeps those whose topic contains it, whatever the case."""
        query = select(runs).where(_listed(owner, text))
        query = query.order_by(runs.c.created_at.desc(), runs.c.id)
        return [codec.record_of(row) for row in await self._rows(query.limit(limit).offset(offset))]

    async def count(self, owner: str, text: str = "") -> int:
        rows = await self._rows(select(func.count()).select_from(runs).where(_listed(owner, text)))
        return int(rows[0][0])

    async def events(self, run_id: str, owner: str) -> list[AnyEvent]:
        """Facts in order; kinds only a newer Gantry knows are left out."""
        query = select(events.c.payload).join(runs).where(_is(run_id, owner))
        query = query.order_by(events.c.seq)
        # a long run has thousands of facts: decoding them must not hold up the loop
        return await asyncio.to_thread(_decode_all, await self._rows(query))

    async def checkpoints(self, run_id: str, owner: str) -> dict[str, Checkpoint]:
        """Finished agents, by name. What is only on offer from another run is left out."""
        offered = await self.all_checkpoints(run_id, owner)
        return {name: one for name, one in offered.items() if not one.is_offered}

    async def all_checkpoints(self, run_id: str, owner: str) -> dict[str, Checkpoint]:
        """As `checkpoints`, with what the run may take over from the one it begins with."""
        query = select(checkpoints).join(runs).where(_is(run_id, owner))
        rows = await self._rows(query.order_by(checkpoints.c.at))
        return {row.agent: codec.checkpoint_of(row) for row in rows}

    async def partial_texts(self, run_id: str) -> dict[str, PartialText]:
        """What agents without a checkpoint had written, up to two seconds ago; serves all owners."""
        query = select(partial_texts).where(partial_texts.c.run_id == codec.storable(run_id))
        return {
            row.agent: PartialText(codec.text_of(row.text), row.epoch, row.generation, row.at)
            for row in await self._rows(query.order_by(partial_texts.c.agent))
        }

    async def unfinished_runs(self) -> list[Unfinished]:
        """Queued and running ones of all owners, in the order in which they should run."""
        r = runs.c
        query = select(r.id, r.status, r.priority, r.epoch).where(r.status.in_(UNFINISHED))
        rows = await self._rows(query.order_by(r.priority.desc(), r.created_at, r.id))
        return [Unfinished(row.id, RunStatus(row.status), row.priority, row.epoch) for row in rows]

    async def has_told_its_end(self, run_id: str, epoch: int) -> bool:
        """True when the last fact of that epoch is stored."""
        e = events.c
        query = select(e.seq).where(e.run_id == run_id, e.epoch == epoch, e.kind == "run_finished")
        return bool(await self._rows(query.limit(1)))

    async def still_unfinished(self, run_ids: Collection[str]) -> set[str]:
        """Those of `run_ids` that are queued or running."""
        r = runs.c
        query = select(r.id).where(r.id.in_(run_ids), r.status.in_(UNFINISHED))
        return {row.id for row in await self._rows(query)}

    async def progress(self, run_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """How far runs have got: their epoch and the number of their last fact (0: none)."""
        query = (
            select(runs.c.id, runs.c.epoch, func.coalesce(func.max(events.c.seq), 0).label("seq"))
            .outerjoin(events)
            .where(runs.c.id.in_(run_ids))
            .group_by(runs.c.id, runs.c.epoch)
        )
        return {row.id: (row.epoch, row.seq) for row in await self._rows(query)}

    async def on_typed_keys(self, run_ids: Collection[str]) -> set[str]:
        """Those of `run_ids` that only the process with their key may execute."""
        rows = await self._rows(select(runs).where(runs.c.id.in_(run_ids)))
        return {row.id for row in rows if codec.record_of(row).spec.key_source == "typed"}

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())

    # Changing

    async def insert_run(
        self,
        run_id: str,
        owner: str,
        spec: RunSpec,
        priority: int = 0,
        *,
        also: Also | None = None,
        derived: RunDerived | None = None,
        offered: Sequence[Checkpoint] = (),
    ) -> bool:
        """Store a new run as queued. False when the id exists: the same submission, again.

        `also` is carried out in the same transaction, when the run is new. `derived` says with
        which run's checkpoints it begins, `offered` are those.
        """
        values = {
            "id": run_id,
            "owner": owner,
            "status": RunStatus.QUEUED,
            "epoch": 0,
            "progress_epoch": 0,
            "priority": priority,
            "topic": without_known(spec.topic),
            "spec": _spec_bytes(spec),
            "created_at": _now(),
            "error": "",
            "error_code": "",
            "degraded": b"[]",
            "parent_id": derived.parent if derived else None,
        }
        rows = [codec.checkpoint_values(one) for one in offered]
        begin = [{"run_id": run_id, **row, "epoch": 0, "at": values["created_at"]} for row in rows]

        def change(connection: Connection) -> bool:
            # not asked first: two processes may be told the same id at the same moment
            is_new = bool(connection.execute(_new_run(connection.dialect), values).rowcount)
            if not is_new:
                return False
            if begin:
                connection.execute(insert(checkpoints), begin)
            if derived is not None:
                connection.execute(insert(events), _fact_row(run_id, derived))
            if also is not None:
                also(connection, 0)
            return True

        return await self.writer.do(change, is_repeatable=True)

    async def begin(
        self, run_id: str, may_take: Callable[[RunRecord], bool] = lambda _record: True
    ) -> RunRecord | None:
        """Take the run: a new epoch, and writes of earlier ones are void from here on.

        None when there is nothing to do (finished, cancelled, deleted). A run that this process
        may not take waits for its key; after five epochs without a new checkpoint it is failed.
        Either is returned so. `may_take` is called in the writer's thread.
        """

        def change(connection: Connection) -> RunRecord | None:
            row = connection.execute(_UNFINISHED, {"run": run_id}).first()
            if row is None:
                return None
            if not may_take(codec.record_of(row)):
                ending = _keyless()
            elif row.epoch - row.progress_epoch >= MAX_EPOCHS_WITHOUT_PROGRESS:
                ending = _poison()
            else:
                begun = connection.execute(_BEGIN, {"run": run_id, "now": _now()}).one()
                return codec.record_of(begun)
            ended = _changed(connection, update(runs).where(runs.c.id == run_id).values(ending))
            return None if ended is None else codec.record_of(ended)

        # twice is one epoch more than needed, and fences off the one nobody was told of
        return await self.writer.do(change, is_repeatable=True)

    async def finish(
        self,
        run_id: str,
        epoch: int,
        status: RunStatus,
        *,
        degraded: Sequence[str] = (),
        error: str = "",
        error_code: str = "",
        makespan_s: float | None = None,
        saved_share: float | None = None,
    ) -> None:
        """End the execution `epoch`; its facts are stored with it. Raises `Superseded`."""
        ending = {
            "status": status,
            "finished_at": _now() if status.is_final else None,
            "degraded": without_known(codec.to_json(list(degraded))),
            "error": codec.error_text(error),
            "error_code": error_code,
            "makespan_s": makespan_s,
            "saved_share": saved_share,
        }
        await self.writer.finish(run_id, epoch, ending)

    async def cancel(self, run_id: str, owner: str, *, also: Also | None = None) -> bool:
        """Mark the run cancelled, durably. False when there is nothing to cancel.

        `also` is carried out in the same transaction, when there is.
        """
        statement = (
            update(runs)
            .where(_is(run_id, owner), runs.c.status.in_(CANCELLABLE))
            .values(status=RunStatus.CANCELLED, finished_at=_now(), error="", error_code="")
        )

        def change(connection: Connection) -> bool:
            row = _changed(connection, statement)
            if row is not None and also is not None:
                also(connection, row.epoch)
            return row is not None

        return await self.writer.do(change)

    async def requeue(
        self, run_id: str, owner: str, spec: RunSpec, *, also: Also | None = None
    ) -> RunRecord:
        """Continue a failed, cancelled or keyless run with `spec`: queued, its crashes forgotten.

        `also` is carried out in the same transaction.

        Raises `SpecError` when it is missing or in no state to be continued.
        """
        return await self._requeue(run_id, owner, spec, CONTINUABLE, _NOT_CONTINUABLE, also=also)

    async def approve(
        self,
        run_id: str,
        owner: str,
        spec: RunSpec,
        edited: Checkpoint | None = None,
        *,
        also: Also | None = None,
    ) -> RunRecord:
        """Let a run go on that waits for a person; `edited` replaces an agent's output with it.

        Raises `SpecError` when it is missing or does not wait: somebody else decided before.
        """
        return await self._requeue(run_id, owner, spec, APPROVABLE, _NOT_WAITING, edited, also=also)

    async def _requeue(
        self,
        run_id: str,
        owner: str,
        spec: RunSpec,
        only_from: Sequence[RunStatus],
        refusal: tuple[str, str],
        edited: Checkpoint | None = None,
        *,
        also: Also | None = None,
    ) -> RunRecord:
        def change(connection: Connection) -> RunRecord:
            row = _changed(
                connection,
                update(runs)
                .where(_is(run_id, owner), runs.c.status.in_(only_from))
                .values(
                    status=RunStatus.QUEUED,
                    progress_epoch=runs.c.epoch,
                    spec=_spec_bytes(spec),
                    finished_at=None,
                    error="",
                    error_code="",
                    degraded=b"[]",
                ),
            )
            if row is None:
                raise SpecError(*refusal)
            if edited is not None:
                own = checkpoints.c
                connection.execute(
                    update(checkpoints)
                    .where(own.run_id == run_id, own.agent == edited.agent)
                    .values(codec.checkpoint_values(edited))
                )
            if also is not None:
                also(connection, row.epoch)
            return codec.record_of(row)

        return await self.writer.do(change)

    async def set_status(
        self,
        run_id: str,
        status: RunStatus,
        *,
        only_from: Sequence[RunStatus] = UNFINISHED,
        error: str = "",
        error_code: str = "",
    ) -> bool:
        """For the engine. False when the run is in none of `only_from`."""
        return await self._changes(
            update(runs)
            .where(runs.c.id == run_id, runs.c.status.in_(only_from))
            .values(status=status, error=codec.error_text(error), error_code=error_code)
        )

    async def release(self, run_id: str, epoch: int) -> None:
        """This process stops in good order: the interrupted epoch does not count as a crash."""
        await self._changes(
            update(runs)
            .where(runs.c.id == run_id, runs.c.epoch == epoch, runs.c.status == RunStatus.RUNNING)
            .values(progress_epoch=epoch),
            is_repeatable=True,
        )

    async def delete_run(self, run_id: str, owner: str) -> bool:
        """Remove everything of the run, whatever its status. Whoever executes it is fenced off."""

        def change(connection: Connection) -> bool:
            gone = _deleted(connection, select(runs.c.id).where(_is(run_id, owner)))
            return bool(gone)

        return await self.writer.do(change)

    async def ended_before(self, moment: datetime) -> int:
        """How many runs `purge` would remove, of all owners."""
        rows = await self._rows(select(func.count()).select_from(runs).where(_ended(moment)))
        return int(rows[0][0])

    async def purge(self, moment: datetime) -> int:
        """Remove every run of any owner that ended before `moment`; how many there were.

        A batch at a time: other processes write in between.
        """
        batch = select(runs.c.id).where(_ended(moment)).limit(PURGE_BATCH)

        def change(connection: Connection) -> int:
            return _deleted(connection, batch)

        removed = 0
        while count := await self.writer.do(change):
            removed += count
        return removed

    # Sharing

    async def share(self, run_id: str, owner: str, token_hash: str) -> bool:
        """Make `token_hash` the run's one link; an earlier one ends. False when it is missing."""

        def change(connection: Connection) -> bool:
            if connection.execute(select(runs.c.id).where(_is(run_id, owner))).first() is None:
                return False
            connection.execute(delete(shares).where(shares.c.run_id == run_id))
            values = {"token_hash": token_hash, "run_id": run_id, "created_at": _now()}
            connection.execute(insert(shares), values)
            return True

        return await self.writer.do(change)

    async def unshare(self, run_id: str, owner: str) -> bool:
        """Withdraw the run's link. False when there was none."""
        own = select(runs.c.id).where(_is(run_id, owner)).scalar_subquery()

        def change(connection: Connection) -> bool:
            return bool(connection.execute(delete(shares).where(shares.c.run_id == own)).rowcount)

        return await self.writer.do(change)

    async def is_shared(self, run_id: str, owner: str) -> bool:
        query = select(shares.c.run_id).join(runs).where(_is(run_id, owner))
        return bool(await self._rows(query))

    async def shared_run(self, token_hash: str) -> RunRecord | None:
        """The run that link shows, whoever asks; None when it was withdrawn or never was."""
        query = select(runs).join(shares).where(shares.c.token_hash == token_hash)
        rows = await self._rows(query)
        return codec.record_of(rows[0]) if rows else None

    async def secret(self, name: str, new: bytes) -> bytes:
        """The installation's secret of that name: `new`, if there was none yet."""

        def change(connection: Connection) -> bytes:
            added = insert_for(connection.dialect, installation).on_conflict_do_nothing()
            connection.execute(added, {"name": name, "value": new})  # another process may be first
            query = select(installation.c.value).where(installation.c.name == name)
            return bytes(connection.execute(query).scalar_one())

        return await self.writer.do(change, is_repeatable=True)

    async def _changes(self, statement: Update, *, is_repeatable: bool = False) -> bool:
        def change(connection: Connection) -> bool:
            return bool(connection.execute(statement).rowcount)

        return await self.writer.do(change, is_repeatable=is_repeatable)


_NOT_CONTINUABLE = (
    "This run cannot be continued.",
    "Only runs that failed, were cancelled or wait for a key can.",
)
_NOT_WAITING = (
    "This run does not wait for an approval.",
    "It may have been approved or cancelled already: open it again.",
)

# What every run passes, made once: building a statement costs more than SQLite needs for it.
_UNFINISHED = (
    select(runs)
    .where(runs.c.id == bindparam("run"), runs.c.status.in_(UNFINISHED))
    .with_for_update()
)
_BEGIN = (
    update(runs)
    .where(runs.c.id == bindparam("run"))
    .values(
        epoch=runs.c.epoch + 1,
        status=RunStatus.RUNNING,
        started_at=func.coalesce(runs.c.started_at, bindparam("now", type_=runs.c.started_at.type)),
    )
    .returning(runs)
)


@lru_cache(maxsize=64)
def _new_run(dialect: Dialect) -> Insert:
    return insert_for(dialect, runs).on_conflict_do_nothing()


def _deleted(connection: Connection, chosen: Select[Any]) -> int:
    """Remove the runs of those ids and everything of theirs; how many there were."""
    ids = list(connection.execute(chosen).scalars())
    if not ids:
        return 0
    # all else goes with its run (ON DELETE CASCADE)
    count = connection.execute(delete(runs).where(runs.c.id.in_(ids))).rowcount
    forget(connection, ids)
    return count


def _fact_row(run_id: str, fact: AnyEvent) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "seq": fact.seq,
        "epoch": fact.epoch,
        "kind": fact.kind,
        "payload": codec.encode_event(fact),
    }


def _changed(connection: Connection, statement: Update) -> Row[Any] | None:
    row: Row[Any] | None = connection.execute(statement.returning(runs)).first()
    return row


def _is(run_id: str, owner: str) -> ColumnElement[bool]:
    # ids come from addresses people can edit
    return and_(runs.c.id == codec.storable(run_id), runs.c.owner == owner)


def _listed(owner: str, text: str) -> ColumnElement[bool]:
    return and_(
        runs.c.owner == owner, runs.c.topic.icontains(codec.storable(text), autoescape=True)
    )


def _ended(moment: datetime) -> ColumnElement[bool]:
    final = [status for status in RunStatus if status.is_final]
    return and_(runs.c.status.in_(final), runs.c.finished_at < moment)


def _poison() -> dict[str, Any]:
    return {
        "status": RunStatus.FAILED,
        "finished_at": _now(),
        "error": f"Gantry stopped {MAX_EPOCHS_WITHOUT_PROGRESS} times while working on this run, "
        "without finishing another agent. Continue it to try again.",
        "error_code": "poison",
    }


def _keyless() -> dict[str, Any]:
    return {
        "status": RunStatus.NEEDS_KEY,
        "error": "The key typed for this run is gone. Type it again to continue.",
        "error_code": "needs_key",
    }


def _decode_all(rows: Sequence[Row[Any]]) -> list[AnyEvent]:
    decoded = (facts.decode(row.payload) for row in rows)
    return [event for event in decoded if event is not None]


def _spec_bytes(spec: RunSpec) -> bytes:
    return without_known(spec.model_dump_json().encode())


def _now() -> datetime:
    return datetime.now(UTC)
