"""Links that show a run, and what is left of a run that was removed: nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pipeline.events import RunStarted
from pipeline.models import AgentOutput, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import Settings
from pipeline.store import Store, database_file, database_url
from pipeline.store.store import PURGE_BATCH
from pipeline.store.tables import metadata, runs, shares

SPEC = RunSpec(topic="Tidal power of the Severn")
TEXT = "Nobody else may ever read this sentence about tides."


async def finished(store: Store, run_id: str, owner: str = "ann") -> None:
    await store.insert_run(run_id, owner, SPEC)
    record = await store.begin(run_id)
    assert record is not None
    store.writer.add_fact(run_id, RunStarted(epoch=record.epoch, seq=1, at_s=0.0, wall_at="now"))
    checkpoint = Checkpoint("writer", "key", record.epoch, AgentOutput(TEXT), Usage(1, 2))
    await store.writer.commit(run_id, record.epoch, checkpoint)
    await store.finish(run_id, record.epoch, RunStatus.DONE)


async def test_a_link_shows_its_run_until_it_is_withdrawn(store: Store) -> None:
    await finished(store, "r1")

    assert await store.share("r1", "ann", "hash")
    shown = await store.shared_run("hash")
    withdrawn = await store.unshare("r1", "ann")

    assert shown is not None
    assert (shown.id, shown.owner) == ("r1", "ann")
    assert withdrawn
    assert await store.shared_run("hash") is None
    assert not await store.is_shared("r1", "ann")


async def test_a_new_link_ends_the_one_before(store: Store) -> None:
    await finished(store, "r1")
    await store.share("r1", "ann", "first")
    await store.share("r1", "ann", "second")

    assert await store.shared_run("first") is None
    assert await store.shared_run("second") is not None


async def test_nobody_but_the_owner_shares_or_withdraws(store: Store) -> None:
    await finished(store, "r1")
    await store.share("r1", "ann", "hash")

    assert not await store.share("r1", "bob", "his")
    assert not await store.unshare("r1", "bob")
    assert not await store.is_shared("r1", "bob")
    assert await store.shared_run("hash") is not None
    assert not await store.share("missing", "ann", "other")


async def test_a_link_makes_a_run_nobodys_own(store: Store) -> None:
    await finished(store, "r1")
    await store.share("r1", "ann", "hash")

    assert await store.get_run("r1", "bob") is None
    assert await store.list_runs("bob") == []


async def test_the_secret_of_an_installation_is_made_once(settings: Settings) -> None:
    for _ in range(2):
        store = await Store.open(database_url(settings))
        kept = await store.secret("signing", b"first")
        again = await store.secret("signing", b"second")
        await store.aclose()

        assert (kept, again) == (b"first", b"first")


async def test_of_a_deleted_run_no_table_holds_a_row(store: Store) -> None:
    await finished(store, "r1")
    await store.share("r1", "ann", "hash")

    assert await store.delete_run("r1", "ann")

    held = {
        table.name: await store._rows(select(func.count()).select_from(table))
        for table in metadata.sorted_tables
        if table is runs or any(key.column.table is runs for key in table.foreign_keys)
    }
    assert {"runs", "checkpoints", "events", "shares"} <= set(held)
    assert {name: rows[0][0] for name, rows in held.items()} == dict.fromkeys(held, 0)


def test_every_table_that_names_a_run_goes_with_it() -> None:
    keys = [key for table in metadata.sorted_tables for key in table.foreign_keys]

    assert shares.foreign_keys <= set(keys)
    assert {key.ondelete for key in keys if key.column.table is runs} == {"CASCADE"}


async def test_of_a_deleted_run_the_files_hold_no_word(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)  # PostgreSQL overwrites when it vacuums
    store = await Store.open(database_url(settings))
    await finished(store, "r1")
    await store.aclose()
    file = database_file(database_url(settings))
    assert TEXT.encode() in file.read_bytes()

    store = await Store.open(database_url(settings))
    await store.delete_run("r1", "ann")
    await store.aclose()

    left = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert TEXT.encode() not in left
    assert SPEC.topic.encode() not in left


async def ended_ago(store: Store, run_id: str, days: float, owner: str = "ann") -> None:
    await finished(store, run_id, owner)
    at = datetime.now(UTC) - timedelta(days=days)
    await store._changes(runs.update().where(runs.c.id == run_id).values(finished_at=at))


async def test_purging_takes_what_ended_before_of_every_owner_and_nothing_else(
    store: Store,
) -> None:
    await ended_ago(store, "old", 31)
    await ended_ago(store, "of-another", 40, owner="bob")
    await ended_ago(store, "young", 29)
    await store.insert_run("waiting", "ann", SPEC)
    moment = datetime.now(UTC) - timedelta(days=30)

    counted, removed = await store.ended_before(moment), await store.purge(moment)

    assert (counted, removed) == (2, 2)
    assert {run.id for run in await store.list_runs("ann")} == {"young", "waiting"}
    assert await store.count("bob") == 0


@pytest.mark.parametrize("more", [0, 1])
async def test_purging_goes_on_until_nothing_is_left(store: Store, more: int) -> None:
    for number in range(PURGE_BATCH + more):
        await store.insert_run(f"r{number}", "ann", SPEC)
    ended = {"status": RunStatus.DONE, "finished_at": datetime.now(UTC) - timedelta(days=2)}
    await store._changes(runs.update().values(ended))

    assert await store.purge(datetime.now(UTC)) == PURGE_BATCH + more
    assert await store.count("ann") == 0


async def test_a_run_that_failed_because_of_a_key_is_stored_without_it(store: Store) -> None:
    await store.insert_run("r1", "ann", SPEC)
    record = await store.begin("r1")
    assert record is not None
    await store.finish("r1", record.epoch, RunStatus.FAILED, error="Bearer abcdef0123456 refused")

    ended = await store.get_run("r1", "ann")

    assert ended is not None
    assert ended.error == "[hidden] refused"
