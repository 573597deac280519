"""The connection of queue and live view, on a server that goes away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from pipeline.engine.postgresql import install_queue
from pipeline.engine.steady_connection import SteadyConnection
from pipeline.errors import StoreError, StoreUnreachable
from tests.postgres import PostgresServer

pytestmark = pytest.mark.slow


@pytest.fixture
async def connection(postgres: PostgresServer) -> AsyncIterator[SteadyConnection]:
    url = make_url(await asyncio.to_thread(postgres.fresh_database))
    connection = SteadyConnection(url, "test", patience_s=20)
    yield connection
    await connection.aclose()


async def test_it_listens_again_after_a_restart(
    connection: SteadyConnection, postgres: PostgresServer
) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    sessions: list[int] = []

    async def set_up(new: asyncpg.Connection) -> None:
        sessions.append(new.get_server_pid())

    connection.at_connect.append(set_up)
    await connection.add_listener("words", heard.put_nowait)
    await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
    asking = asyncio.create_task(connection.notify("words", "back"))
    await asyncio.to_thread(postgres.start)

    await asking
    async with asyncio.timeout(10):
        assert await heard.get() == "back"
    assert len(set(sessions)) == 2


async def test_a_server_that_stays_away_is_said_and_then_at_once(postgres: PostgresServer) -> None:
    url = make_url("postgresql+asyncpg://me:secret@127.0.0.1:9/nothing")
    connection = SteadyConnection(url, "test", patience_s=0.5)

    with pytest.raises(StoreUnreachable, match="has not answered") as caught:
        await connection.fetch("SELECT 1")
    async with asyncio.timeout(0.4):
        with pytest.raises(StoreUnreachable):
            await connection.fetch("SELECT 1")

    assert "secret" not in str(caught.value)
    assert "Check that the server runs" in caught.value.hint


async def test_a_wrong_password_is_not_tried_again(postgres: PostgresServer) -> None:
    connection = SteadyConnection(make_url(postgres.tcp_url(password="wrong")), "test")

    async with asyncio.timeout(10):
        with pytest.raises(StoreError, match="refuses the connection"):
            await connection.fetch("SELECT 1")


async def test_the_queue_is_installed_by_many_at_once_and_again(postgres: PostgresServer) -> None:
    url = make_url(await asyncio.to_thread(postgres.fresh_database))
    connections = [SteadyConnection(url, "test") for _ in range(3)]

    await asyncio.gather(*(install_queue(one) for one in connections))
    await install_queue(connections[0])

    assert await connections[0].fetch("SELECT count(*) FROM pgqueuer") == [{"count": 0}]
    for one in connections:
        await one.aclose()
