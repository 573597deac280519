"""Runs in one SQLite file, written so that a power cut loses nothing that was said to be stored.

Transactions run whole on threads of their own: one hop per transaction instead of one per
statement (`docs/decisions/0008-transactions-run-whole-on-threads.md`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pipeline.errors import StoreBusy, StoreError
from pipeline.store.schema import Upgrade, upgrade

SQLITE_HEADER = b"SQLite format 3\0"
# How long one process waits for another's write, which takes milliseconds. Two such waits (the one
# under way and one's own) must fit into the time a page's question has.
BUSY_TIMEOUT_MS = 5_000
FOLD_EVERY = 200  # transactions; then the write-ahead log is folded into the file
LOG_MAX_FRAMES = 8_000  # 32 MB; then the writer itself folds: beside it, a busy log never empties
LOG_KEPT_BYTES = 32_000_000  # of the log's file once it is empty
READERS = 2  # threads; a page's question must not wait behind another's long answer
WRITES = "gantry_writes"  # execution option: this transaction takes the write lock at once

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


logger = logging.getLogger(__name__)
T = TypeVar("T")


def database_file(url: URL) -> Path:
    """The file of a SQLite address. Raises `ValueError` for another database's."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        raise ValueError("This database is no file.")
    return Path(url.database)


class SqliteDatabase:
    """A `Database` that runs transactions, one writing one at a time, in threads that end with `aclose`.

    A caller that is cancelled stops waiting; its transaction still ends by itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._readers = ThreadPoolExecutor(READERS, "store-read")
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._writing: Connection | None = None  # used by the writer's thread only, like the next
        self._unfolded = 0  # transactions since the log was folded
        self._log_frames = 0  # pages in the log when it was last folded; it empties when all are

    @property
    def url(self) -> URL:
        return self.engine.url

    async def read(self, ask: Callable[[Connection], T]) -> T:
        """What `ask` returns, from one consistent state. Raises `StoreError`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, ask)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, once it is committed. Raises `StoreError`; then nothing is."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, change)

    async def aclose(self) -> None:
        """Disconnect when the transactions under way have ended."""
        await asyncio.to_thread(self._close)

    def _read(self, ask: Callable[[Connection], T]) -> T:
        with translated(self.url), self.engine.connect() as connection:
            return ask(connection)

    def _write(self, change: Callable[[Connection], T]) -> T:
        with translated(self.url):
            if self._writing is None:
                self._writing = self.engine.connect().execution_options(**{WRITES: True})
            try:
                with self._writing.begin():
                    result = change(self._writing)
            except BaseException:
                self._disconnect()  # whatever was wrong with it, the next one begins afresh
                raise
        self._fold_sometimes()
        return result

    def _fold_sometimes(self) -> None:
        """After a commit; by now the change has happened, so nothing here may fail."""
        self._unfolded += 1
        if self._unfolded < FOLD_EVERY:
            return
        self._unfolded = 0
        if self._log_frames > LOG_MAX_FRAMES:
            self._fold()
        else:
            self._readers.submit(self._fold)

    def _fold(self) -> None:
        """Beside the writer: SQLite by itself would do it inside somebody's commit, for 10 ms or more."""
        try:
            with translated(self.url), closing(self.engine.raw_connection()) as connection:
                cursor = connection.cursor()
                _busy, frames, _folded = cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._log_frames = frames
        except StoreError as error:
            logger.warning("The write-ahead log stays as it is for now: %s", error)

    def _disconnect(self) -> None:
        connection, self._writing = self._writing, None
        if connection is not None:
            connection.close()

    def _close(self) -> None:
        if self._unfolded:
            self._writer.submit(self._fold)  # SQLite does when the last process closes, not before
        self._writer.submit(self._disconnect)
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()


async def open_sqlite(url: URL) -> SqliteDatabase:
    """Connect and bring the schema up to date. Raises `StoreError` with what to do."""
    engine, _ = await asyncio.to_thread(_open, url)
    return SqliteDatabase(engine)


def migrate_sqlite(url: URL) -> Upgrade:
    """Bring the schema up to date and disconnect."""
    engine, done = _open(url)
    engine.dispose()
    return done


def _open(url: URL) -> tuple[Engine, Upgrade]:
    _make_folder(database_file(url).parent)
    _check_header(url)
    engine = create_engine(url)
    _prepare_sqlite(engine)
    try:
        with (
            translated(url),
            engine.connect().execution_options(**{WRITES: True}) as connection,
            connection.begin(),
        ):
            done = upgrade(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine, done


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


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the driver's errors into `StoreError`, decided by SQLite's own result codes."""
    try:
        yield
    except DBAPIError as exc:
        raise _error_for(url, exc.orig) from exc
    except sqlite3.Error as exc:  # of a statement sent past SQLAlchemy
        raise _error_for(url, exc) from exc
    except SQLAlchemyError as exc:
        raise StoreError(f"The database {url.database} cannot be used: {exc}.") from exc


def _error_for(url: URL, exc: BaseException | None) -> StoreError:
    code = getattr(exc, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    kind = StoreBusy if primary == sqlite3.SQLITE_BUSY else StoreError
    if primary not in _ADVICE:
        return kind(f"The database {url.database} reports: {exc}.")
    what, _, hint = _ADVICE[primary].partition(". ")
    return kind(f"The database {url.database} {what}.", hint)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(
            f"The data folder {folder} cannot be made: {exc.strerror}.",
            "Set GANTRY_DATA_DIR to a folder you may write to.",
        ) from exc


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "PRAGMA synchronous = FULL"
            )  # NORMAL may lose paid work in a power cut
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # `Database` does it
            connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")
        except BaseException:
            connection.close()  # it never joins the pool, so nobody else would
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a deferred transaction that turns to writing fails at once instead of waiting its turn
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
