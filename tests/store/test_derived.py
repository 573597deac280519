"""Derived runs and approvals in the tables: all or nothing, and only for their owner."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from pipeline.errors import SpecError
from pipeline.events import RunDerived
from pipeline.models import AgentOutput, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import Settings
from pipeline.store import Store, database_file, database_url, schema

SPEC = RunSpec(topic="Tidal power")
FACT = RunDerived(epoch=0, seq=1, at_s=0.0, parent="r0", date="2026-01-01", edited=["planner"])
OFFERED = (
    Checkpoint("planner", "", 0, AgentOutput("edited"), Usage(1, 2), edited=True),
    Checkpoint("writer", "key", 0, AgentOutput("text"), Usage(1, 2)),
)


def upgrade_to(revision: str, file: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


async def derived(store: Store) -> None:
    assert await store.insert_run("r1", "ann", SPEC, derived=FACT, offered=OFFERED)


async def waiting(store: Store) -> None:
    await store.insert_run("r1", "ann", SPEC)
    record = await store.begin("r1")
    assert record is not None
    await store.writer.commit("r1", 1, replace(OFFERED[1], agent="planner", epoch=1))
    await store.finish("r1", 1, RunStatus.WAITING_APPROVAL)


async def test_what_is_on_offer_is_no_output_until_it_is_taken_over(store: Store) -> None:
    await derived(store)
    record = await store.begin("r1")
    assert record is not None and record.parent_id == "r0"

    assert await store.checkpoints("r1", "ann") == {}
    assert list((await store.all_checkpoints("r1", "ann")).values()) == list(OFFERED)
    await store.writer.commit("r1", 1, replace(OFFERED[0], key="key", epoch=1))

    kept = await store.checkpoints("r1", "ann")
    assert kept == {"planner": replace(OFFERED[0], key="key", epoch=1)}
    assert await store.events("r1", "ann") == [FACT]


async def test_a_submission_that_arrives_twice_is_derived_once(store: Store) -> None:
    await derived(store)

    assert not await store.insert_run("r1", "ann", SPEC, derived=FACT, offered=OFFERED)
    assert len(await store.events("r1", "ann")) == 1


async def test_deleting_the_parent_leaves_its_child(store: Store) -> None:
    await store.insert_run("r0", "ann", SPEC)
    await derived(store)

    assert await store.delete_run("r0", "ann")
    assert await store.get_run("r1", "ann") is not None
    assert await store.delete_run("r1", "ann")
    assert await store.all_checkpoints("r1", "ann") == {}


async def test_waiting_is_not_unfinished_work(store: Store) -> None:
    await waiting(store)

    assert await store.unfinished_runs() == []
    assert await store.begin("r1") is None


async def test_an_approval_and_its_edit_are_one_change(store: Store) -> None:
    await waiting(store)
    approved = SPEC.model_copy(update={"outline_approved": True})

    record = await store.approve("r1", "ann", approved, replace(OFFERED[0], epoch=1))

    assert (record.status, record.spec.outline_approved) == (RunStatus.QUEUED, True)
    assert (await store.checkpoints("r1", "ann"))["planner"].stands
    with pytest.raises(SpecError, match="does not wait"):
        await store.approve("r1", "ann", approved)


async def test_somebody_else_approves_nothing(store: Store) -> None:
    await waiting(store)

    with pytest.raises(SpecError):
        await store.approve("r1", "bob", SPEC, replace(OFFERED[0], epoch=1))

    record = await store.get_run("r1", "ann")
    assert record is not None and record.status is RunStatus.WAITING_APPROVAL
    assert not (await store.checkpoints("r1", "ann"))["planner"].edited


async def test_runs_stored_before_there_were_edits_are_read_as_unedited(
    tmp_path: Path,
) -> None:
    url = database_url(Settings(data_dir=tmp_path))
    file = database_file(url)
    upgrade_to("0003", file)
    now = "2026-01-01 00:00:00.000000"
    with sqlite3.connect(file) as old:
        old.execute(
            "INSERT INTO runs (id, owner, status, epoch, progress_epoch, priority, topic, spec, "
            "created_at, error, error_code, degraded) VALUES "
            "('r1', 'ann', 'done', 1, 1, 0, 'Tidal power', ?, ?, '', '', ?)",
            (SPEC.model_dump_json().encode(), now, b"[]"),
        )
        old.execute(
            "INSERT INTO checkpoints (run_id, agent, key, epoch, output, usage, state, at) "
            "VALUES ('r1', 'writer', 'key', 1, ?, ?, 'done', ?)",
            (b'{"text": "text", "sources": []}', b"{}", now),
        )
    old.close()

    store = await Store.open(url)
    try:
        record = await store.get_run("r1", "ann")
        checkpoints = await store.checkpoints("r1", "ann")
    finally:
        await store.aclose()

    assert record is not None and record.parent_id == ""
    assert not checkpoints["writer"].edited
