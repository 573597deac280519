"""The durable account of what runs and days have spent: a `Ledger` on the store's own writer.

One transaction asks and reserves, so that no two calls spend the same rest, whichever process
they are in; rows are locked in one order where the database locks rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.budgets import NOTHING, Amount, Limits, Spent, refusal
from pipeline.store.tables import holds, spending
from pipeline.store.writer import Writer


class RunLedger:
    """Implements `pipeline.budgets.Ledger` for one run."""

    def __init__(self, writer: Writer, run_id: str) -> None:
        self._writer = writer
        self._run_id = run_id

    async def reserve(self, hold_id: str, wanted: Amount, limits: Limits) -> Spent:
        def change(connection: Connection) -> Spent:
            day = _today()
            spent = _locked(connection, self._run_id, day)
            if refused := refusal(limits, spent, wanted):
                raise refused  # nothing but empty rows has been written
            row = {"id": hold_id, "run_id": self._run_id, "day": day, **_columns(wanted)}
            connection.execute(insert(holds), row)
            _add(connection, (run_scope(self._run_id), _day_scope(day)), wanted)
            return Spent(spent.run.plus(wanted), spent.day.plus(wanted))

        return await self._writer.do(change)

    async def settle(self, hold_id: str, used: Amount, *, estimated: bool) -> Spent:
        def change(connection: Connection) -> Spent:
            row = connection.execute(select(holds).where(holds.c.id == hold_id)).first()
            if row is not None:
                _settle(connection, row, used, estimated=estimated)
            return _locked(connection, self._run_id, _today())

        return await self._writer.do(change)

    async def adopt(self) -> Spent:
        def change(connection: Connection) -> Spent:
            left = select(holds).where(holds.c.run_id == self._run_id)
            for row in connection.execute(left).all():
                _settle(connection, row, Amount(row.tokens, row.micro_usd), estimated=True)
            return _locked(connection, self._run_id, _today())

        return await self._writer.do(change)


def run_scope(run_id: str) -> str:
    return f"run:{run_id}"


def _day_scope(day: str) -> str:
    return f"day:{day}"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _columns(amount: Amount) -> dict[str, int]:
    return {"tokens": amount.tokens, "micro_usd": amount.micro_usd}


def _locked(connection: Connection, run_id: str, day: str) -> Spent:
    """What both accounts hold, made where they are missing."""
    scopes = sorted((run_scope(run_id), _day_scope(day)))
    plain = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    empty = {"estimated_tokens": 0, "estimated_micro_usd": 0, **_columns(NOTHING)}
    for scope in scopes:
        row = {"scope": scope, **empty}
        connection.execute(plain(spending).values(row).on_conflict_do_nothing())
    query = select(spending).where(spending.c.scope.in_(scopes)).order_by(spending.c.scope)
    rows = connection.execute(query.with_for_update()).all()
    found = {row.scope: Amount(row.tokens, row.micro_usd) for row in rows}
    return Spent(found[run_scope(run_id)], found[_day_scope(day)])


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


def _settle(connection: Connection, row: Any, used: Amount, *, estimated: bool) -> None:
    """Replace the hold by what was used, in the accounts it was counted in."""
    _locked(connection, row.run_id, row.day)
    gone = connection.execute(delete(holds).where(holds.c.id == row.id)).rowcount
    if gone:  # else another transaction has settled it meanwhile
        more = used.minus(Amount(row.tokens, row.micro_usd))
        scopes = (run_scope(row.run_id), _day_scope(row.day))
        _add(connection, scopes, more, used if estimated else NOTHING)
