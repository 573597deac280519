"""Row 29: the disk is full while a run executes. Nothing finished is lost, and the rest works on.

The database may take no further page, which SQLite answers as it answers a full disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from pipeline.engine import Runtime
from pipeline.models import RunSpec, RunStatus
from pipeline.settings import Settings
from tests.engine.scripted import ScriptedPipeline

pytestmark = pytest.mark.slow

SPEC = RunSpec(topic="Tidal power")
LIMIT_S = 30.0
PLENTY = 1_000_000  # pages


class Disk:
    """Says how large the database may become; connections hear of it when they are taken."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pages = PLENTY
        event.listen(self._database.engine, "checkout", self._limit)

    def fill(self) -> None:
        self._pages = 1  # SQLite reads it as "no more than there are"
        self._runtime.call(self._connect_again())

    def clear(self) -> None:
        self._pages = PLENTY

    @property
    def _database(self) -> Any:
        return self._runtime._running.store._database

    async def _connect_again(self) -> None:
        """The writer keeps its connection until something fails on it."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._database._writer, self._database._disconnect)

    def _limit(self, connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {self._pages}")


def test_a_run_on_a_full_disk_stops_with_what_to_do_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    pipeline = ScriptedPipeline()
    pipeline.held.add("writer")
    pipeline.padding = "x" * 100_000  # more than fits into the pages there are
    with Runtime(Settings(data_dir=tmp_path, database_url=None), pipeline) as runtime:
        run_id = runtime.submit(SPEC)
        assert pipeline.reached["writer"].wait(LIMIT_S)
        disk = Disk(runtime)
        disk.fill()
        runtime.call(pipeline.release("writer"))

        stopped = runtime.wait(run_id, LIMIT_S)

        assert stopped is not None
        assert stopped.status is RunStatus.FAILED
        assert "the disk is full. Free some space" in stopped.error
        assert set(runtime.checkpoints(run_id)) == {"planner"}  # what is stored can be read
        disk.clear()
        runtime.resume(run_id)
        record = runtime.wait(run_id, LIMIT_S)

    assert record is not None
    assert record.status is RunStatus.DONE
    assert pipeline.worked == ["planner", "writer", "writer", "editor"]
