"""The durable account of what runs and days have spent: a `Ledger` on the store's own writer.

One transaction asks and reserves, so that no two calls spend the same rest, whichever process
they are in. Where the database locks rows, everybody locks today's account first, then earlier
days' from the latest on, then the run's, then its holds; rows of `runs` before any of these.
Everything here may be carried out twice: a commit without an answer is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from pipeline.budgets import NOTHING, Amount, Limits, Spent, refusal
from pipeline.store.tables import holds, spending
from pipeline.store.writer import Writer, insert_for


class RunLedger:
    """Implements `pipeline.budgets.Ledger` for one run."""

    def __init__(self, writer: Writer, run_id: str) -> None:
        self._writer = writer
        self._run_id = run_id

    async def reserve(self, hold_id: str, wanted: Amount, limits: Limits) -> Spent:
        def change(connection: Connection) -> Spent:
            day = _today()
            spent = _locked(connection, self._run_id, day)
            if connection.execute(select(holds.c.id).where(holds.c.id == hold_id)).first():
                return spent  # a commit without an answer had reserved it
            if refused := refusal(limits, spent, wanted):
                raise refused  # nothing but empty rows has been written
            row = {"id": hold_id, "run_id": self._run_id, "day": day, **_columns(wanted)}
            connection.execute(insert(holds), row)
            _add(connection, (run_scope(self._run_id), _day_scope(day)), wanted)
            return Spent(spent.run.plus(wanted), spent.day.plus(wanted))

        return await self._do(change)

    async def settle(self, hold_id: str, used: Amount, *, estimated: bool) -> Spent:
        def change(connection: Connection) -> Spent:
            for row in _held(connection, holds.c.id == hold_id):
                _settle(connection, row, used, estimated=estimated)
            return _spent(connection, self._run_id, _today())

        return await self._do(change)

    async def adopt(self) -> Spent:
        def change(connection: Connection) -> Spent:
            for row in _held(connection, holds.c.run_id == self._run_id):
                _settle(connection, row, _amount(row), estimated=True)
            return _spent(connection, self._run_id, _today())

        return await self._do(change)

    async def _do(self, change: Callable[[Connection], Spent]) -> Spent:
        return await self._writer.do(change, is_repeatable=True, is_last=True)


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


def _locked(connection: Connection, run_id: str, day: str) -> Spent:
    """What both accounts hold, made where they are missing."""
    day_row = _row(connection, _day_scope(day)) or _made(connection, _day_scope(day))
    run_row = _row(connection, run_scope(run_id)) or _made(connection, run_scope(run_id))
    return Spent(_amount(run_row), _amount(day_row))


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


def _held(connection: Connection, which: ColumnElement[bool]) -> Sequence[Row[Any]]:
    """The holds to settle, once their accounts are locked; others have settled the rest by then."""
    rows = connection.execute(select(holds).where(which)).all()
    if not rows:
        return rows
    days = sorted({_today(), *(row.day for row in rows)}, reverse=True)
    runs = sorted({row.run_id for row in rows})
    for scope in (*map(_day_scope, days), *map(run_scope, runs)):
        _row(connection, scope)
    ids = sorted(row.id for row in rows)
    return connection.execute(select(holds).where(holds.c.id.in_(ids))).all()


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
