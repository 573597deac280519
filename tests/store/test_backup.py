"""Backups: private, whole or not there, never in another file's place."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL

from pipeline.errors import StoreError
from pipeline.models import LOCAL_OWNER, AgentOutput, Checkpoint, RunSpec, Usage
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from pipeline.store.backup import back_up
from tests.postgres import PostgresServer

SPEC = RunSpec(topic="Tidal power")


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return database_url(Settings(data_dir=tmp_path / "data", database_url=None))


async def test_a_backup_of_an_open_database_has_everything_that_was_committed(
    url: URL, tmp_path: Path
) -> None:
    target = tmp_path / "backup.sqlite3"
    store = await Store.open(url)
    await store.insert_run("one", LOCAL_OWNER, SPEC)

    backup = back_up(url, target)
    await store.aclose()

    assert (backup.runs, backup.unfinished, backup.size) == (1, 1, target.stat().st_size)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["backup.sqlite3", "data"]  # noqa: PTH208 - one call
    restored = await Store.open(URL.create("sqlite", database=str(target)))
    assert await restored.find_run("one") is not None
    await restored.aclose()


async def test_writers_go_on_while_a_backup_is_made(url: URL, tmp_path: Path) -> None:
    store = await Store.open(url)
    await store.insert_run("first", LOCAL_OWNER, SPEC)
    failures: list[BaseException] = []

    def back_up_often() -> None:
        try:
            for number in range(20):
                back_up(url, tmp_path / f"{number}.sqlite3")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=back_up_often)
    thread.start()
    written = 0
    while thread.is_alive():
        await store.insert_run(f"run {written}", LOCAL_OWNER, SPEC)
        written += 1
    thread.join()
    await store.aclose()

    assert failures == []
    assert written > 0


def test_no_file_is_ever_replaced(url: URL, tmp_path: Path) -> None:
    taken, link = tmp_path / "taken", tmp_path / "link"
    taken.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    _make_database(url)

    for target in (taken, link):
        with pytest.raises(StoreError, match="exists and is not replaced"):
            back_up(url, target)

    assert taken.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_without_a_database_nothing_is_made(url: URL, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no database"):
        back_up(url, tmp_path / "backup")

    assert not (tmp_path / "backup").exists()
    assert not (tmp_path / "data").exists()


def test_a_folder_that_is_missing_is_said(url: URL, tmp_path: Path) -> None:
    _make_database(url)

    with pytest.raises(StoreError, match="cannot be written"):
        back_up(url, tmp_path / "missing" / "backup")


def test_a_foreign_database_leaves_no_backup(url: URL, tmp_path: Path) -> None:
    assert url.database is not None
    Path(url.database).parent.mkdir()
    with sqlite3.connect(url.database) as foreign:
        foreign.execute("CREATE TABLE theirs(x)")
    foreign.close()

    with pytest.raises(StoreError, match="not a Gantry database"):
        back_up(url, tmp_path / "backup")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_postgresql_has_its_own_tool(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pg_dump"):
        back_up(URL.create("postgresql+asyncpg", database="gantry"), tmp_path / "backup")


@pytest.mark.slow
async def test_postgresql_is_restored_from_a_dump_made_while_the_store_is_open(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    live, empty = postgres_databases(postgres)
    store = await Store.open(database_url(Settings(data_dir=tmp_path, database_url=live)))
    await store.insert_run("one", LOCAL_OWNER, SPEC)
    record = await store.begin("one")
    assert record is not None
    kept = Checkpoint("planner", "key", record.epoch, AgentOutput("outline"), Usage(1, 1))
    await store.writer.commit("one", record.epoch, kept)

    await asyncio.to_thread(postgres.dump, live, tmp_path / "gantry.dump")
    await store.insert_run("later", LOCAL_OWNER, SPEC)
    await store.aclose()
    await asyncio.to_thread(postgres.restore, tmp_path / "gantry.dump", empty)

    restored = await Store.open(database_url(Settings(data_dir=tmp_path, database_url=empty)))
    unfinished = [run.id for run in await restored.unfinished_runs()]
    again = await restored.begin("one")
    checkpoints = await restored.checkpoints("one", LOCAL_OWNER)
    await restored.aclose()
    assert unfinished == ["one"]
    assert again is not None and again.epoch == record.epoch + 1
    assert checkpoints == {"planner": kept}


def postgres_databases(postgres: PostgresServer) -> tuple[str, str]:
    with ThreadPoolExecutor(1) as outside_the_loop:
        make = [outside_the_loop.submit(postgres.fresh_database) for _ in range(2)]
        return make[0].result(), make[1].result()


def _make_database(url: URL) -> None:
    from pipeline.store import migrate

    migrate(url)
