"""The durable account of what runs and days have spent: a `Ledger` on the store's own writer.

One transaction asks and reserves, so that no two calls spend the same rest, whichever process
they are in. Where the database locks rows, everybody locks today's account first, then earlier
days' from the latest on, then the run's, then its holds; rows of `runs` before any of these.
Everything here may be carried out twice: a commit without an answer is repeated.

Only the epoch that owns the run may reserve, asked once its accounts are locked. So once an epoch
has adopted what earlier ones left, none of their reservations can appear any more: the repetition
of one that was adopted meanwhile is refused instead of counted a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from pipeline.budgets import NOTHING, Amount, Limits, Spent, refusal
from pipeline.errors import BudgetExceeded, Superseded
from pipeline.store.late_settlements import LateSettlements, Settlement
from pipeline.store.tables import holds, runs, spending
from pipeline.store.writer import Writer, insert_for, ownership_refusal


class Accounts:
    """The accounts of one store: makes the ledgers of runs, and settles what failed to be settled."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.late = LateSettlements(self._settle_all)

    def ledger(self, run_id: str, epoch: int) -> RunLedger:
        return RunLedger(self._writer, self.late, run_id, epoch)

    async def aclose(self) -> None:
        """Before the writer closes."""
        await self.late.aclose()

    async def _settle_all(self, settlements: Sequence[Settlement]) -> None:
        await self._writer.do(
            lambda connection: _carry_out(connection, settlements), is_repeatable=True, is_last=True
        )


class RunLedger:
    """Implements `pipeline.budgets.Ledger` for one epoch of a run."""

    def __init__(self, writer: Writer, late: LateSettlements, run_id: str, epoch: int) -> None:
        self._writer = writer
        self._late = late
        self._run_id = run_id
        self._epoch = epoch

    async def reserve(self, hold_id: str, wanted: Amount, limits: Limits) -> Spent:
        def change(connection: Connection, spent: Spent, day: str) -> Spent | _Refused:
            if connection.execute(select(holds.c.id).where(holds.c.id == hold_id)).first():
                return spent  # a commit without an answer had reserved it
            if refused := refusal(limits, spent, wanted):
                return _Refused(refused)
            row = {"id": hold_id, "run_id": self._run_id, "day": day, **_columns(wanted)}
            connection.execute(insert(holds), row)
            _add(connection, (run_scope(self._run_id), _day_scope(day)), wanted)
            return Spent(spent.run.plus(wanted), spent.day.plus(wanted))

        return await self._as_owner(change)

    async def settle(self, hold_id: str, used: Amount, *, estimated: bool) -> Spent:
        settlement = Settlement(hold_id, used, estimated)

        def change(connection: Connection) -> Spent:
            _carry_out(connection, [settlement], self._run_id)
            return _spent(connection, self._run_id, _today())

        try:
            return await self._writer.do(change, is_repeatable=True, is_last=True)
        except BaseException:
            self._late.add(settlement)
            raise

    async def adopt(self) -> Spent:
        def change(connection: Connection, _spent_before: Spent, day: str) -> Spent:
            for row in _held(connection, holds.c.run_id == self._run_id):
                _settle(connection, row, _amount(row), estimated=True)
            return _spent(connection, self._run_id, day)

        return await self._as_owner(change)

    async def _as_owner(
        self, change: Callable[[Connection, Spent, str], Spent | _Refused]
    ) -> Spent:
        """What `change` returns, given both accounts locked and up to date, and the day.

        Raises what it refuses with, or `Superseded` when the epoch is over.
        """
        late: tuple[Settlement, ...] = ()

        def locked(connection: Connection) -> Spent | _Refused:
            nonlocal late
            late = self._late.pending  # by now: this may have waited long
            day = _today()
            _opened(connection, _day_scope(day))
            _carry_out(connection, late)
            _row(connection, run_scope(self._run_id))
            if lost := _ownership_lost(connection, self._run_id, self._epoch):
                return _Refused(lost)
            _opened(connection, run_scope(self._run_id))
            return change(connection, _spent(connection, self._run_id, day), day)

        answer = await self._writer.do(locked, is_repeatable=True, is_last=True)
        self._late.stored(late)
        if isinstance(answer, _Refused):
            raise answer.error
        return answer


@dataclass(frozen=True, slots=True)
class _Refused:
    """An answer, not raised inside the transaction: what was settled in it stays."""

    error: BudgetExceeded | Superseded


def forget(connection: Connection, run_ids: Sequence[str]) -> None:
    """Remove the accounts of runs that are deleted. What they spent stays in the days' sums;

    what they still hold too, as an estimate: nobody will say what it was.
    """
    for row in _held(connection, holds.c.run_id.in_(run_ids)):
        _settle(connection, row, _amount(row), estimated=True)
    scopes = [run_scope(run_id) for run_id in run_ids]
    connection.execute(delete(spending).where(spending.c.scope.in_(scopes)))


def run_scope(run_id: str) -> str:
    return f"run:{run_id}"


def _day_scope(day: str) -> str:
    return f"day:{day}"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _columns(amount: Amount) -> dict[str, int]:
    return {"tokens": amount.tokens, "micro_usd": amount.micro_usd}


def _amount(row: Row[Any]) -> Amount:
    return Amount(row.tokens, row.micro_usd)


def _ownership_lost(connection: Connection, run_id: str, epoch: int) -> Superseded | None:
    """Without a lock: whoever took the run since adopts it later, and waits for its account."""
    query = select(runs.c.epoch, runs.c.status).where(runs.c.id == run_id)
    row = connection.execute(query).first()
    return ownership_refusal(run_id, epoch, None if row is None else (row.epoch, row.status))


def _carry_out(
    connection: Connection, settlements: Sequence[Settlement], run_id: str | None = None
) -> None:
    """Settle those whose hold is still there.

    The account of `run_id` is locked in any case, so that a reservation whose commit is still under
    way at the server is waited for.
    """
    if not settlements:
        return
    by_id = {one.hold_id: one for one in settlements}
    for row in _held(connection, holds.c.id.in_(sorted(by_id)), run_id):
        one = by_id[row.id]
        _settle(connection, row, one.used, estimated=one.estimated)


def _opened(connection: Connection, scope: str) -> Row[Any]:
    """The account, locked; made where it is missing."""
    return _row(connection, scope) or _made(connection, scope)


def _row(connection: Connection, scope: str) -> Row[Any] | None:
    query = select(spending).where(spending.c.scope == scope)
    return connection.execute(query.with_for_update()).first()


def _made(connection: Connection, scope: str) -> Row[Any]:
    """A new account, or the one another process makes at this moment: that is waited for."""
    row = {"scope": scope, "estimated_tokens": 0, "estimated_micro_usd": 0, **_columns(NOTHING)}
    statement = insert_for(connection.dialect, spending).values(row)
    statement = statement.on_conflict_do_update(index_elements=["scope"], set_={"scope": scope})
    return connection.execute(statement.returning(spending)).one()


def _spent(connection: Connection, run_id: str, day: str) -> Spent:
    """What both accounts hold; nothing where they are missing, as after the run was deleted."""
    scopes = (run_scope(run_id), _day_scope(day))
    rows = connection.execute(select(spending).where(spending.c.scope.in_(scopes))).all()
    found = {row.scope: _amount(row) for row in rows}
    run, day_sum = (found.get(scope, NOTHING) for scope in scopes)
    return Spent(run, day_sum)


def _held(
    connection: Connection, which: ColumnElement[bool], run_id: str | None = None
) -> Sequence[Row[Any]]:
    """The holds to settle, once their accounts are locked; others have settled the rest by then.

    The account of `run_id` is locked whether or not it holds any.
    """
    rows = connection.execute(select(holds).where(which)).all()
    touched = {row.run_id for row in rows} | ({run_id} if run_id else set())
    if not touched:
        return rows
    days = sorted({_today(), *(row.day for row in rows)}, reverse=True)
    for scope in (*map(_day_scope, days), *map(run_scope, sorted(touched))):
        _row(connection, scope)
    return connection.execute(select(holds).where(which)).all()


def _add(
    connection: Connection, scopes: Iterable[str], more: Amount, estimate: Amount = NOTHING
) -> None:
    c = spending.c
    connection.execute(
        update(spending)
        .where(c.scope.in_(scopes))
        .values(
            tokens=c.tokens + more.tokens,
            micro_usd=c.micro_usd + more.micro_usd,
            estimated_tokens=c.estimated_tokens + estimate.tokens,
            estimated_micro_usd=c.estimated_micro_usd + estimate.micro_usd,
        )
    )


def _settle(connection: Connection, row: Row[Any], used: Amount, *, estimated: bool) -> None:
    """Replace the hold by what was used, in the accounts it was counted in."""
    connection.execute(delete(holds).where(holds.c.id == row.id))
    scopes = (run_scope(row.run_id), _day_scope(row.day))
    _add(connection, scopes, used.minus(_amount(row)), used if estimated else NOTHING)
