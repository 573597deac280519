"""The store: every question and every change, by run id and owner.

Decides which status may follow which, and who may see a run: a foreign id looks exactly like a
missing one. Methods without `owner` are for the engine. How writes are grouped and fenced is
`writer.py`'s; how values become rows `codec.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy import insert as plain_insert

from pipeline import events as facts
from pipeline.errors import SpecError
from pipeline.events import AnyEvent, RunDerived
from pipeline.models import Checkpoint, RunRecord, RunSpec, RunStatus
from pipeline.store import codec
from pipeline.store.database import Database, open_database
from pipeline.store.tables import checkpoints, events, runs
from pipeline.store.writer import Writer

MAX_EPOCHS_WITHOUT_PROGRESS = 5  # then the run itself is what crashes us: poison

UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING)
CANCELLABLE = (*UNFINISHED, RunStatus.WAITING_APPROVAL, RunStatus.NEEDS_KEY)
CONTINUABLE = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.NEEDS_KEY)
APPROVABLE = (RunStatus.WAITING_APPROVAL,)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run the engine is responsible for."""

    id: str
    status: RunStatus
    priority: int


class Store:
    """One per process and loop. Open with `await Store.open(url)`, close with `aclose()`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.writer = Writer(database)

    @classmethod
    async def open(cls, url: URL) -> Store:
        """Raises `StoreError` with what to do when the database cannot be used."""
        store = cls(await open_database(url))
        store.writer.start()
        return store

    async def aclose(self) -> None:
        """Store what is pending, then disconnect."""
        try:
            await self.writer.aclose()
        finally:
            await self._database.aclose()

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
        return await self._database.read(
            lambda connection: _decode_all(connection.execute(query).all())
        )

    async def checkpoints(self, run_id: str, owner: str) -> dict[str, Checkpoint]:
        """Finished agents, by name. What is only on offer from another run is left out."""
        offered = await self.all_checkpoints(run_id, owner)
        return {name: one for name, one in offered.items() if not one.is_offered}

    async def all_checkpoints(self, run_id: str, owner: str) -> dict[str, Checkpoint]:
        """As `checkpoints`, with what the run may take over from the one it begins with."""
        query = select(checkpoints).join(runs).where(_is(run_id, owner))
        rows = await self._rows(query.order_by(checkpoints.c.at))
        return {row.agent: codec.checkpoint_of(row) for row in rows}

    async def unfinished_runs(self) -> list[Unfinished]:
        """Queued and running ones of all owners, in the order in which they should run."""
        r = runs.c
        query = select(r.id, r.status, r.priority).where(r.status.in_(UNFINISHED))
        rows = await self._rows(query.order_by(r.priority.desc(), r.created_at, r.id))
        return [Unfinished(row.id, RunStatus(row.status), row.priority) for row in rows]

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
        derived: RunDerived | None = None,
        offered: Sequence[Checkpoint] = (),
    ) -> bool:
        """Store a new run as queued. False when the id exists: the same submission, again.

        `derived` says with which run's checkpoints it begins, `offered` are those.
        """
        values = {
            "id": run_id,
            "owner": owner,
            "status": RunStatus.QUEUED,
            "epoch": 0,
            "progress_epoch": 0,
            "priority": priority,
            "topic": spec.topic,
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
            if connection.execute(_EXISTS, {"run": run_id}).first() is not None:
                return False
            connection.execute(_INSERT, values)
            if begin:
                connection.execute(plain_insert(checkpoints), begin)
            if derived is not None:
                connection.execute(plain_insert(events), _fact_row(run_id, derived))
            return True

        return await self.writer.do(change)

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

        return await self.writer.do(change)

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
            "degraded": codec.to_json(list(degraded)),
            "error": codec.storable(error),
            "error_code": error_code,
            "makespan_s": makespan_s,
            "saved_share": saved_share,
        }
        await self.writer.finish(run_id, epoch, ending)

    async def cancel(self, run_id: str, owner: str) -> bool:
        """Mark the run cancelled, durably. False when there is nothing to cancel."""
        return await self._changes(
            update(runs)
            .where(_is(run_id, owner), runs.c.status.in_(CANCELLABLE))
            .values(status=RunStatus.CANCELLED, finished_at=_now(), error="", error_code="")
        )

    async def requeue(self, run_id: str, owner: str, spec: RunSpec) -> RunRecord:
        """Continue a failed, cancelled or keyless run with `spec`: queued, its crashes forgotten.

        Raises `SpecError` when it is missing or in no state to be continued.
        """
        return await self._requeue(run_id, owner, spec, CONTINUABLE, _NOT_CONTINUABLE)

    async def approve(
        self, run_id: str, owner: str, spec: RunSpec, edited: Checkpoint | None = None
    ) -> RunRecord:
        """Let a run go on that waits for a person; `edited` replaces an agent's output with it.

        Raises `SpecError` when it is missing or does not wait: somebody else decided before.
        """
        return await self._requeue(run_id, owner, spec, APPROVABLE, _NOT_WAITING, edited)

    async def _requeue(
        self,
        run_id: str,
        owner: str,
        spec: RunSpec,
        only_from: Sequence[RunStatus],
        refusal: tuple[str, str],
        edited: Checkpoint | None = None,
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
            .values(status=status, error=codec.storable(error), error_code=error_code)
        )

    async def release(self, run_id: str, epoch: int) -> None:
        """This process stops in good order: the interrupted epoch does not count as a crash."""
        await self._changes(
            update(runs)
            .where(runs.c.id == run_id, runs.c.epoch == epoch, runs.c.status == RunStatus.RUNNING)
            .values(progress_epoch=epoch)
        )

    async def delete_run(self, run_id: str, owner: str) -> bool:
        """Remove everything of the run, whatever its status. Whoever executes it is fenced off."""

        def change(connection: Connection) -> bool:
            # checkpoints and events go with their run (ON DELETE CASCADE)
            return bool(connection.execute(delete(runs).where(_is(run_id, owner))).rowcount)

        return await self.writer.do(change)

    async def _changes(self, statement: Update) -> bool:
        def change(connection: Connection) -> bool:
            return bool(connection.execute(statement).rowcount)

        return await self.writer.do(change)


_NOT_CONTINUABLE = (
    "This run cannot be continued.",
    "Only runs that failed, were cancelled or wait for a key can.",
)
_NOT_WAITING = (
    "This run does not wait for an approval.",
    "It may have been approved or cancelled already: open it again.",
)

# What every run passes, made once: building a statement costs more than SQLite needs for it.
_INSERT = plain_insert(runs)
_EXISTS = select(runs.c.id).where(runs.c.id == bindparam("run"))
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
    return spec.model_dump_json().encode()


def _now() -> datetime:
    return datetime.now(UTC)
