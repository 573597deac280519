"""A statement compiled once and sent as text, for the few that every group of writes carries out.

SQLAlchemy writes the SQL and converts the values, as always; only its way of carrying a statement out
is left aside, which takes several times what SQLite itself needs. Errors are the driver's own: whoever
opened the transaction translates them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql import ClauseElement

Convert = Callable[[Any], Any]


class Prepared:
    """One statement for one dialect. Values are given by name, a missing one is NULL."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        parameters: Any = compiled
        self._values: tuple[tuple[str, Convert | None], ...] = tuple(
            (name, parameters.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in parameters.positiontup or ()
        )

    def carry_out(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Once for every row."""
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(self.sql, [self._positional(row) for row in rows])
        finally:
            cursor.close()

    def ask(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What it selects, as the driver gives it."""
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self.sql, self._positional(values))
            return [tuple(row) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def _positional(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(
            values.get(name) if convert is None else convert(values.get(name))
            for name, convert in self._values
        )
