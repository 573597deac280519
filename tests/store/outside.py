"""Another program on the store's database, with plain SQL and none of Gantry's code."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any, Protocol

import asyncpg
from sqlalchemy import URL

from pipeline.store import database_file


class Outside(Protocol):
    async def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Carry out `statement`, commit, and return its rows."""

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Hold what a writer needs."""


class OutsideSqlite:
    def __init__(self, url: URL) -> None:
        self._file = database_file(url)

    async def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._file, timeout=10)) as connection:
            rows = connection.execute(statement).fetchall()
            connection.commit()
            return rows

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


class OutsidePostgres:
    def __init__(self, url: URL) -> None:
        self._url = url

    async def connect(self) -> asyncpg.Connection:
        where = {name: str(value) for name, value in self._url.query.items()}
        return await asyncpg.connect(
            host=where["host"],
            port=int(where["port"]),
            user=self._url.username,
            database=self._url.database,
        )

    async def ask(self, statement: str) -> list[tuple[Any, ...]]:
        connection = await self.connect()
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        connection = await self.connect()
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE runs IN EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()
