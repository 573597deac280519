"""The port to the database: which one is configured, and opening it.

A transaction is one plain function over a SQLAlchemy `Connection`; a `Database` runs it, whole,
without holding up the loop. `sqlite.py` and `postgresql.py` say how, and say in words what went
wrong; everything else in the store is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import StoreError
from pipeline.settings import Settings
from pipeline.store.schema import Upgrade
from pipeline.store.sqlite import migrate_sqlite, open_sqlite

DATABASE_FILE = "gantry.sqlite3"
FORMS = "sqlite:///folder/gantry.sqlite3 or postgresql+asyncpg://user:password@host/database"
# What may follow the `?` of a PostgreSQL address; the driver would take others for its own options.
PARAMETERS = frozenset({"host", "port", "ssl", "sslmode", "target_session_attrs"})

T = TypeVar("T")


class Database(Protocol):
    """Runs transactions. A caller that is cancelled stops waiting; its transaction still ends."""

    @property
    def url(self) -> URL: ...

    @property
    def engine(self) -> Engine: ...

    async def read(self, ask: Callable[[Connection], T]) -> T:
        """What `ask` returns, from one consistent state. Raises `StoreError`."""

    async def write(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, once it is committed. Raises `StoreError`; then nothing is.

        Only a `StoreUnreachable` that is `in_doubt` does not know. `change` may be called again
        when its transaction certainly was not committed.
        """

    async def aclose(self) -> None:
        """Disconnect when the transactions under way have ended."""


def database_url(settings: Settings) -> URL:
    """The configured database; by default a file in the data folder. Raises `StoreError`."""
    if settings.database_url is None:
        path = settings.data_dir.expanduser().absolute() / DATABASE_FILE
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError):
        # without its cause: that may hold the address, a password in it
        raise StoreError(
            "DATABASE_URL is not a database address.", f"Write it like {FORMS}, or unset it."
        ) from None
    match url.drivername.partition("+")[0]:
        case "sqlite":
            return _sqlite_url(url)
        case "postgresql" | "postgres":
            return _postgresql_url(url)
        case other:
            raise StoreError(
                f"Gantry stores runs in SQLite or PostgreSQL, not in {other}.",
                f"Write DATABASE_URL like {FORMS}, or unset it.",
            )


def is_postgresql(url: URL) -> bool:
    return url.get_backend_name() == "postgresql"


async def open_database(url: URL) -> Database:
    """Connect and bring the schema up to date. Raises `StoreError` with what to do."""
    if is_postgresql(url):
        from pipeline.store.postgresql import open_postgresql  # its driver: only where it is used

        return await open_postgresql(url)
    return await open_sqlite(url)


def migrate(url: URL) -> Upgrade:
    """Bring the schema up to date, disconnect, and say what was done. Not inside a loop."""
    if is_postgresql(url):
        from pipeline.store.postgresql import migrate_postgresql

        return migrate_postgresql(url)
    return migrate_sqlite(url)


def _sqlite_url(url: URL) -> URL:
    if not url.database or url.database == ":memory:":
        raise StoreError(
            "DATABASE_URL names no file, so nothing would outlive the process.",
            "Write it like sqlite:///folder/gantry.sqlite3.",
        )
    return url.set(drivername="sqlite", database=str(Path(url.database).absolute()))


def _postgresql_url(url: URL) -> URL:
    """With the one driver, whatever driver it names, and `sslmode` as that driver calls it."""
    if not url.database:
        raise StoreError(
            "DATABASE_URL names no database.",
            "Write it like postgresql+asyncpg://user:password@host/database.",
        )
    if unknown := sorted(set(url.query) - PARAMETERS):
        raise StoreError(
            f"DATABASE_URL has parameters Gantry does not know: {', '.join(unknown)}.",
            f"Known are: {', '.join(sorted(PARAMETERS))}.",
        )
    query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)
