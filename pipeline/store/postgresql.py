"""Runs in PostgreSQL, for several processes at once.

The driver waits on a socket, so transactions need no thread: `AsyncConnection.run_sync` carries
out the same plain functions. What is decided here is what a lost connection means: a transaction
that certainly was not committed is carried out once more, one whose COMMIT got no answer is
reported as in doubt, and a question waits a few seconds for a server that restarts.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    EmulatedDBAPIException,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pipeline.errors import StoreBusy, StoreError, StoreUnreachable
from pipeline.store.schema import SCHEMA, Upgrade, revision, upgrade

POOL_SIZE = 5  # connections kept open: one that writes, and some pages' questions
POOL_OVERFLOW = 5  # more for as long as they are needed
POOL_WAIT_S = 5.0  # for one of them to be free
CONNECT_TIMEOUT_S = 5.0
MIGRATION_TIMEOUT_S = 1_800.0  # of one statement: large tables take their time
STATEMENT_TIMEOUT_S = 20.0  # then the server, or the way to it, is taken for dead
LOCK_TIMEOUT_MS = 5_000  # as SQLite's: how long one process waits for another's write
IDLE_IN_TRANSACTION_MS = 10_000  # a process frozen in mid-transaction holds its rows no longer
MIGRATION_WAIT_MS = 15_000  # for another process that brings the schema up to date
READ_PATIENCE_S = 5.0  # how long a question waits for a server that restarts
PAUSE_S = 0.1  # between tries meanwhile
ATTEMPTS = 4  # of a write that was certainly not committed
MIGRATION_LOCK = 0x6761_6E74_7279  # "gantry": the advisory lock of whoever changes the schema
CLOSE_TIMEOUT_S = 5.0

_NOT_COMMITTED = frozenset({"40001", "40P01"})  # serialisation failure, deadlock: once more
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})  # with class 08: connection gone
_BUSY = {
    "53300": "has no connection left. Close other programs that use it, raise its max_connections, or "
    f"start fewer Gantry processes (each takes up to {POOL_SIZE + POOL_OVERFLOW}).",
    "55P03": "is locked by another program. Close it and try again.",
}
_ADVICE = {
    "28P01": "refuses this user or password. Check both in DATABASE_URL; write special characters as %XX.",
    "28000": "does not let this user in. Check the user in DATABASE_URL, and the server's pg_hba.conf.",
    "3D000": "does not exist on that server. Create it with createdb, or correct the name in DATABASE_URL.",
    "42501": "does not give this user the rights Gantry needs. Make the user the owner of the database, or grant them.",
    "25006": "is read-only, as a standby is. Point DATABASE_URL at the primary server.",
    "53100": "cannot grow: the server's disk is full. Free some space and try again.",
    "53200": "reports that its server is out of memory. Give the server more, or lower its load.",
}

logger = logging.getLogger(__name__)
T = TypeVar("T")


class PostgresDatabase:
    """A `Database` on a pool of connections, owned by the loop it is opened in."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def engine(self) -> Engine:
        return self._engine.sync_engine

    @property
    def url(self) -> URL:
        return self._engine.url

    async def read(self, ask: Callable[[Connection], T]) -> T:
        """What `ask` returns, from one consistent state. Raises `StoreError`."""
        return await self._own(self._read(ask))

    async def write(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, once it is committed. Raises `StoreError`; then nothing is,

        unless it is a `StoreUnreachable` that is `in_doubt`.
        """
        return await self._own(self._write(change))

    async def aclose(self) -> None:
        """Disconnect when the transactions under way have ended."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STATEMENT_TIMEOUT_S)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._engine.dispose()
        except (TimeoutError, OSError) as error:
            logger.warning("The database did not say goodbye: %r", error)

    async def _own(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`, which goes on when the caller does not wait any more."""
        task = asyncio.create_task(work, name="store-transaction")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_told_nobody)
            raise

    async def _read(self, ask: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + READ_PATIENCE_S
        while True:
            try:
                return await _Transaction(self._reading, writes=False).carry_out(ask)
            except (StoreUnreachable, _NotCommitted):
                if loop.time() >= ends_at:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def _write(self, change: Callable[[Connection], T]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await _Transaction(self._engine).carry_out(change)
            except _NotCommitted:
                # not at once: whoever locked us out has to get by first
                await asyncio.sleep(random.uniform(0, PAUSE_S * attempt))
            except StoreUnreachable as error:
                if error.in_doubt or attempt > 1:
                    raise
        return await _Transaction(self._engine).carry_out(change)


def _told_nobody(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.info("Nobody waits for this any more: %s", error)


class _NotCommitted(StoreBusy):
    """Deadlock or serialisation failure: nothing was stored, and trying again is the remedy."""


class _Transaction:
    """One attempt at one transaction; knows whether its COMMIT was under way when it failed."""

    def __init__(self, engine: AsyncEngine, *, writes: bool = True) -> None:
        self._engine = engine
        self._writes = writes
        self._is_committing = False

    async def carry_out(self, work: Callable[[Connection], T]) -> T:
        connection: AsyncConnection | None = None
        try:
            connection = await self._engine.connect()
            result = await connection.run_sync(self._run, work)
        except Exception as exc:
            error = self._translated(exc, connection)
            if connection is not None:
                if isinstance(error, StoreUnreachable):
                    await connection.invalidate()
                await connection.close()
            if error is exc:
                raise
            raise error from exc
        await connection.close()
        return result

    def _run(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        with connection.begin() as transaction:
            result = work(connection)
            self._is_committing = self._writes
            transaction.commit()
        return result

    def _translated(self, exc: Exception, connection: AsyncConnection | None) -> Exception:
        url, in_doubt = self._engine.url, self._is_committing
        cause = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
        if isinstance(cause, NoConnectionFree):
            return _no_connection_free(url)
        if isinstance(cause, OSError | TimeoutError) or _is_closed(connection):
            return _unreachable(url, cause, in_doubt=in_doubt)
        if not isinstance(cause, SQLAlchemyError | EmulatedDBAPIException | asyncpg.PostgresError):
            return exc
        return _error_for(url, cause, in_doubt=in_doubt)


def _is_closed(connection: AsyncConnection | None) -> bool:
    if connection is None:
        return False
    if connection.invalidated or connection.sync_connection is None:
        return True
    driver: Any = connection.sync_connection.connection.driver_connection
    return bool(driver.is_closed())


async def open_postgresql(url: URL) -> PostgresDatabase:
    """Connect and bring the schema up to date. Raises `StoreError` with what to do."""
    engine = _engine(url)
    try:
        if await _Transaction(engine).carry_out(revision) != SCHEMA:
            await _upgrade(url)
    except BaseException:
        await engine.dispose()
        raise
    return PostgresDatabase(engine)


async def read_revision(url: URL) -> str | None:
    """The schema the database has, as it is; None for a new one. Raises `StoreError`."""
    engine = _engine(url)
    try:
        return await _Transaction(engine).carry_out(revision)
    finally:
        await engine.dispose()


def migrate_postgresql(url: URL) -> Upgrade:
    """Bring the schema up to date and disconnect. Not inside a loop."""
    return asyncio.run(_upgrade(url))


async def _upgrade(url: URL) -> Upgrade:
    engine = _engine(url, statement_timeout_s=MIGRATION_TIMEOUT_S)
    try:
        return await _Transaction(engine).carry_out(_upgrade_alone)
    except StoreBusy as error:
        raise StoreBusy(
            f"The schema of the database {place(url)} cannot be brought up to date now.",
            "Another process is doing it, or works on with the old one: try again when it has ended.",
        ) from error
    finally:
        await engine.dispose()


def _upgrade_alone(connection: Connection) -> Upgrade:
    """Processes that start together change the schema one after another; the later find it done."""
    if (before := revision(connection)) == SCHEMA:
        return Upgrade(before, SCHEMA)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {MIGRATION_WAIT_MS}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    return upgrade(connection)


def _engine(url: URL, statement_timeout_s: float | None = None) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_WAIT_S,
        hide_parameters=True,  # prompts and articles do not belong into errors and logs
        connect_args=session_args(statement_timeout_s or STATEMENT_TIMEOUT_S),
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def session_args(statement_timeout_s: float) -> dict[str, Any]:
    """How every connection is opened, beside its address."""
    return {
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": statement_timeout_s,
        "server_settings": {
            "application_name": "gantry",
            "synchronous_commit": "on",  # whatever the server's default: see the promise
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
            "jit": "off",  # our statements are short; compiling them costs more
        },
    }


def connect_args(url: URL) -> dict[str, Any]:
    """What the driver's own `connect` takes for a connection beside the pool."""
    _, address = url.get_dialect()().create_connect_args(url)
    return {**address, **session_args(STATEMENT_TIMEOUT_S)}


def _refuse_closed(_connection: Any, record: Any, _proxy: Any) -> None:
    """The driver knows when the server hung up: then the pool connects anew, without a question."""
    if record.driver_connection.is_closed():
        raise DisconnectionError("The server closed this connection.")


def place(url: URL) -> str:
    """The database as errors name it, without user and password."""
    host = url.host or url.query.get("host") or "this machine"
    where = host if isinstance(host, str) else ", ".join(host)
    return f"{url.database} on {where}{f':{url.port}' if url.port else ''}"


def _error_for(url: URL, cause: BaseException, *, in_doubt: bool) -> StoreError:
    """The driver's error in words a person can act on, decided by its SQLSTATE."""
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith("08") or state in _LOST:
        return _unreachable(url, cause, in_doubt=in_doubt)
    if state in _NOT_COMMITTED or isinstance(cause.__cause__, asyncpg.InvalidCachedStatementError):
        return _NotCommitted(f"The database {place(url)} put this write back.", "Try again.")
    kind = StoreBusy if state in _BUSY else StoreError
    if (known := _BUSY.get(state) or _ADVICE.get(state)) is None:
        return kind(f"The database {place(url)} reports: {_words(cause)}.")
    what, _, hint = known.partition(". ")
    return kind(f"The database {place(url)} {what}.", hint)


def _unreachable(url: URL, cause: BaseException, *, in_doubt: bool) -> StoreUnreachable:
    if in_doubt:
        return StoreUnreachable(
            f"The connection to the database {place(url)} broke while this was being stored.",
            "Look whether it was, and try again if not.",
            in_doubt=True,
        )
    return StoreUnreachable(
        f"The database {place(url)} cannot be reached ({_words(cause)}).",
        "Check that the server runs, and the host and port in DATABASE_URL.",
    )


def _no_connection_free(url: URL) -> StoreBusy:
    return StoreBusy(
        f"All {POOL_SIZE + POOL_OVERFLOW} connections to the database {place(url)} are in use.",
        "Try again in a moment.",
    )


def _words(cause: BaseException) -> str:
    """The driver's own message, on one line and without SQLAlchemy's additions."""
    driver = cause.__cause__ if isinstance(cause, EmulatedDBAPIException) else cause
    said = " ".join(str(driver or cause).split())
    return said.rstrip(".")[:300] or type(driver or cause).__name__
