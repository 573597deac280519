"""Open the database: connect, set it up for durability, migrate, and say what is wrong in words.

Knows SQLite; PostgreSQL joins here by URL when runs leave the one process. Everything else in
the store is the same for both.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pipeline.errors import StoreError
from pipeline.settings import Settings

DATABASE_FILE = "gantry.sqlite3"
SQLITE_HEADER = b"SQLite format 3\0"
BUSY_TIMEOUT_MS = 10_000  # how long one process waits for another's write
WRITES = "gantry_writes"  # execution option: this transaction takes the write lock at once

_MIGRATIONS = Path(__file__).parent / "migrations"
_ADVICE = {
    sqlite3.SQLITE_NOTADB: "is not a Gantry database. Move it away, or set GANTRY_DATA_DIR to another folder.",
    sqlite3.SQLITE_CORRUPT: "is damaged. Restore a backup, or move it away to start empty.",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Check that its folder exists and that you may write there, or set GANTRY_DATA_DIR.",
    sqlite3.SQLITE_READONLY: "is read-only. Check its permissions, or set GANTRY_DATA_DIR.",
    sqlite3.SQLITE_PERM: "may not be written. Check its permissions, or set GANTRY_DATA_DIR.",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full. Free some space and try again.",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error.",
    sqlite3.SQLITE_BUSY: "is locked by another program. Close it and try again.",
}


def database_url(settings: Settings) -> URL:
    """The configured database, with the asynchronous driver; by default a file in the data folder."""
    if settings.database_url is None:
        path = settings.data_dir.expanduser().absolute() / DATABASE_FILE
        return URL.create("sqlite+aiosqlite", database=str(path))
    try:
        url = make_url(settings.database_url)
    except ArgumentError as exc:
        raise StoreError(
            "DATABASE_URL is not a database address.",
            "Write it like sqlite:///folder/gantry.sqlite3, or unset it.",
        ) from exc
    if url.get_backend_name() != "sqlite":
        raise StoreError(
            f"This version stores runs in SQLite, not in {url.get_backend_name()}.",
            "Unset DATABASE_URL, or write it like sqlite:///folder/gantry.sqlite3.",
        )
    if not url.database or url.database == ":memory:":
        raise StoreError(
            "DATABASE_URL names no file, so nothing would outlive the process.",
            "Write it like sqlite:///folder/gantry.sqlite3.",
        )
    return url.set(drivername="sqlite+aiosqlite", database=str(Path(url.database).absolute()))


def database_file(url: URL) -> Path:
    assert url.database is not None, "database_url() refuses addresses without a file"
    return Path(url.database)


async def open_database(url: URL) -> AsyncEngine:
    """Connect and bring the schema up to date. Raises `StoreError` with what to do."""
    _make_folder(database_file(url).parent)
    _check_header(url)
    engine = create_async_engine(url)
    _prepare_sqlite(engine)
    try:
        with translated(url):
            async with engine.connect() as plain:
                connection = await plain.execution_options(**{WRITES: True})
                async with connection.begin():
                    await connection.run_sync(_upgrade)
    except BaseException:
        await engine.dispose()
        raise
    return engine


def _check_header(url: URL) -> None:
    """Refuse a file that is something else before a connection touches it."""
    try:
        with database_file(url).open("rb") as file:
            header = file.read(len(SQLITE_HEADER))
    except OSError:
        return  # missing, or not ours to read: connecting says which, in its own words
    if header and header != SQLITE_HEADER:
        what, _, hint = _ADVICE[sqlite3.SQLITE_NOTADB].partition(". ")
        raise StoreError(f"The database {url.database} {what}.", hint)


def migrate(url: URL) -> None:
    """Bring the schema up to date and disconnect; for the command line."""

    async def once() -> None:
        await (await open_database(url)).dispose()

    asyncio.run(once())


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the driver's errors into `StoreError`, decided by SQLite's own result codes."""
    try:
        yield
    except DBAPIError as exc:
        raise StoreError(*_explain(url, exc)) from exc
    except SQLAlchemyError as exc:
        raise StoreError(f"The database {url.database} cannot be used: {exc}.") from exc


def _explain(url: URL, exc: DBAPIError) -> tuple[str, str]:
    code = getattr(exc.orig, "sqlite_errorcode", None)
    advice = _ADVICE.get(code & 0xFF) if code is not None else None
    if advice is None:
        return f"The database {url.database} reports: {exc.orig}.", ""
    what, _, hint = advice.partition(". ")
    return f"The database {url.database} {what}.", hint


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(
            f"The data folder {folder} cannot be made: {exc.strerror}.",
            "Set GANTRY_DATA_DIR to a folder you may write to.",
        ) from exc


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")  # NORMAL may lose paid work in a power cut
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()
        except BaseException:
            connection.close()  # it never joins the pool, so nobody else would end its thread
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # a deferred transaction that turns to writing fails at once instead of waiting its turn
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    # imported here: half a second that only a process opening a store has to pay
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None and current not in {r.revision for r in script.walk_revisions()}:
        raise StoreError(
            f"The database {connection.engine.url.database} was made by a newer Gantry (schema {current}).",
            "Update Gantry, or set GANTRY_DATA_DIR to another folder.",
        )
    command.upgrade(config, "head")
