"""One PostgreSQL connection that outlives a restart of the server, with what it listens to.

Implements PgQueuer's `Driver`, and carries the live view's notifications. Never a pool, and never
behind a transaction pooler: LISTEN and advisory locks belong to a session. Whatever is sent here
may be sent twice when an answer is lost, so it must be harmless to repeat.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import Relay
from pgqueuer.core.tm import TaskManager
from pgqueuer.ports.driver import NotifyCallback
from sqlalchemy import URL

from pipeline.errors import StoreError, StoreUnreachable
from pipeline.store.postgresql import place

PATIENCE_S = 30.0  # how long a lost server is waited for
PAUSE_S = 0.2  # between two attempts to reach it
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0  # then the connection counts as lost

T = TypeVar("T")
Work = Callable[["asyncpg.Connection[Any]"], Awaitable[T]]
Session = Callable[["asyncpg.Connection[Any]"], Awaitable[None]]

# the server is away, restarts, or cut us off; anything else is an answer
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)

_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)

logger = logging.getLogger(__name__)


class SteadyConnection:
    """Owned by one loop. Connects when first used; closed with `aclose`.

    Its commits do not wait for the disk: what is said here may be forgotten in a power cut, and is
    found again from the tables, whose own commits do wait.

    What is in `at_connect` is called with every new connection, before anything else uses it: what
    belongs to a session (locks) is set up there. Raises `StoreUnreachable` when the server stays
    away too long.
    """

    def __init__(self, url: URL, name: str, *, patience_s: float = PATIENCE_S) -> None:
        self._url = url
        self._name = name
        self._patience_s = patience_s
        self.at_connect: list[Session] = []
        self._connection: asyncpg.Connection[Any] | None = None
        self._listeners: list[tuple[str, NotifyCallback]] = []
        self._away_since: float | None = None
        self._lock = asyncio.Lock()
        self._shutdown = asyncio.Event()

    def __repr__(self) -> str:
        return f"SteadyConnection({self._name!r})"

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._ask(lambda c: c.fetch(query, *args))]

    async def execute(self, query: str, *args: object) -> str:
        return await self._ask(lambda c: c.execute(query, *args))

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def transact(self, work: Work[T]) -> T:
        """Carry out `work` in one transaction; again from its beginning when the server went away."""

        async def whole(connection: asyncpg.Connection[Any]) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._ask(whole)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Have `callback` called with each payload, on whatever connection is the current one."""

        async def listen(connection: asyncpg.Connection[Any]) -> None:
            await connection.add_listener(channel, Relay(callback))

        await self._ask(listen)
        self._listeners.append((channel, callback))

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        self._listeners.remove((channel, callback))
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.remove_listener(channel, Relay(callback))

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
        except _LOST as error:
            logger.info("The connection for %s was already gone: %s", self._name, error)

    # What PgQueuer's port asks for besides

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> TaskManager:
        return TaskManager()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """PgQueuer is done with it; its owner closes it."""

    async def _ask(self, work: Work[T]) -> T:
        async with self._lock:  # a connection carries one statement at a time
            while True:
                try:
                    answer = await work(await self._open())
                except _LOST as error:
                    if isinstance(error, ValueError):
                        raise  # asyncpg's word for an argument of the wrong type
                    self._drop()
                    if self._has_been_away(error):
                        raise self._unreachable(error) from error
                    await asyncio.sleep(PAUSE_S)
                else:
                    if self._away_since is not None:
                        logger.info("The database is back (%s)", self._name)
                    self._away_since = None
                    return answer

    def _has_been_away(self, error: Exception) -> bool:
        """True when it is too long since the first failure; whoever asks then is told at once."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            logger.warning("Lost the database (%s), trying again: %s", self._name, error)
        return now - self._away_since >= self._patience_s

    async def _open(self) -> asyncpg.Connection[Any]:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        try:
            connection = await asyncpg.connect(
                **self._url.get_dialect()().create_connect_args(self._url)[1],
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=ANSWER_TIMEOUT_S,
                server_settings={
                    "application_name": f"gantry {self._name}",
                    "synchronous_commit": "off",
                },
            )
        except _REFUSED as error:
            raise StoreError(
                f"The database {place(self._url)} refuses the connection: {error}.",
                "Check DATABASE_URL.",
            ) from error
        try:
            for set_up in self.at_connect:
                await set_up(connection)
            for channel, callback in self._listeners:
                await connection.add_listener(channel, Relay(callback))
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        return connection

    def _drop(self) -> None:
        """Also when it only did not answer: what arrives later must not be taken for another's."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _unreachable(self, error: Exception) -> StoreUnreachable:
        return StoreUnreachable(
            f"The database {place(self._url)} has not answered for {self._patience_s:g} s: "
            f"{str(error) or type(error).__name__}.",
            "Check that the server runs and can be reached, then start again.",
        )
