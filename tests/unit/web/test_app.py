"""The launcher's way from a socket to the engine, when the engine is slow or cannot start."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pages._runtime import close_runtime
from pipeline.errors import StoreError
from pipeline.models import LOCAL_OWNER
from pipeline.store import database, sqlite
from pipeline.web.access import Grant
from pipeline.web.hub import CLOSE_FAILED, Hub, LiveSource
from pipeline.web.routes import make_routes

pytestmark = pytest.mark.slow


@pytest.fixture
def locked_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder whose database another program keeps for itself."""
    close_runtime()
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 100)
    other = sqlite3.connect(tmp_path / database.DATABASE_FILE, isolation_level=None)
    other.execute("CREATE TABLE theirs(x)")
    other.execute("BEGIN EXCLUSIVE")
    yield tmp_path
    other.close()
    close_runtime()


async def test_the_server_goes_on_while_a_socket_waits_for_the_engine(locked_folder: Path) -> None:
    import app

    opening = asyncio.create_task(app._open_source("abcdefgh1234"))
    turns = 0
    while not opening.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 2  # one or two is all there is when the loop itself waits
    with pytest.raises(StoreError, match="locked"):
        await opening


class _Anybody:
    def grant(self, visitor: HTTPConnection, run_id: str) -> Grant | None:
        return Grant(run_id, LOCAL_OWNER)

    def still_holds(self, grant: Grant) -> bool:
        return True


def test_a_socket_whose_run_cannot_be_opened_is_closed_and_may_come_again() -> None:
    async def no_store(_run_id: str) -> LiveSource | None:
        raise StoreError("The database is locked.")

    hub = Hub(no_store)
    with (
        TestClient(Starlette(routes=make_routes(lambda: hub, _Anybody()))) as client,
        client.websocket_connect("/api/runs/AAAAAAAAAAAAAAAAAAAAAA/ws") as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_text()

    assert closed.value.code == CLOSE_FAILED
