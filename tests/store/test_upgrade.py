"""A database that the first Gantry made: it is upgraded when it is opened, and its runs are there."""

from __future__ import annotations

import asyncio

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from pipeline.models import AgentState, RunSpec, RunStatus, Usage
from pipeline.settings import Settings
from pipeline.store import Store, Upgrade, database_file, database_url, migrate, schema
from tests.store.outside import Outside, OutsidePostgres, OutsideSqlite

# as the first schema's code wrote them; plain SQL, so that no later code has a hand in it
ROWS = [
    """INSERT INTO runs (id, owner, status, epoch, progress_epoch, priority, topic, spec, created_at,
        started_at, finished_at, error, error_code, degraded, makespan_s, saved_share)
    VALUES ('old-done', 'ann', 'done', 1, 1, 0, 'Tidal power', {spec}, '2026-01-02 03:04:05+00:00',
        '2026-01-02 03:04:06+00:00', '2026-01-02 03:04:46+00:00', '', '', {none}, 40.5, 0.25)""",
    """INSERT INTO runs (id, owner, status, epoch, progress_epoch, priority, topic, spec, created_at,
        started_at, finished_at, error, error_code, degraded, makespan_s, saved_share)
    VALUES ('old-running', 'ann', 'running', 2, 1, 0, 'Tidal power', {spec}, '2026-01-02 03:05:05+00:00',
        '2026-01-02 03:05:06+00:00', NULL, '', '', {none}, NULL, NULL)""",
    """INSERT INTO checkpoints (run_id, agent, key, epoch, output, usage, state, at)
    VALUES ('old-done', 'editor', 'k', 1, {output}, {usage}, 'done', '2026-01-02 03:04:40+00:00')""",
    """INSERT INTO events (run_id, seq, epoch, kind, payload)
    VALUES ('old-done', 1, 1, 'run_started', {event})""",
]
VALUES = {
    "spec": b'{"topic":"Tidal power","provider":"demo"}',
    "none": b"[]",
    "output": b'{"text":"# Tidal power","data":null,"sources":[],"prompt":"p","response_model":"m","mark":""}',
    "usage": b'{"input_tokens":1,"output_tokens":2}',
    "event": b'{"kind":"run_started","epoch":1,"seq":1,"at_s":0.0,"wall_at":"now"}',
}


async def test_a_database_of_the_first_schema_is_upgraded_and_its_runs_open(
    empty: Settings,
) -> None:
    outside = await first_schema(empty)

    store = await Store.open(database_url(empty))

    assert await outside.ask("SELECT version_num FROM alembic_version") == [(schema.SCHEMA,)]
    run = await store.get_run("old-done", "ann")
    assert run is not None
    assert (run.status, run.makespan_s, run.spec) == (
        RunStatus.DONE,
        40.5,
        RunSpec(topic="Tidal power"),
    )
    assert run.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert [event.kind for event in await store.events("old-done", "ann")] == ["run_started"]
    editor = (await store.checkpoints("old-done", "ann"))["editor"]
    assert (editor.output.text, editor.usage, editor.state) == (
        "# Tidal power",
        Usage(1, 2),
        AgentState.DONE,
    )
    assert [run.id for run in await store.unfinished_runs()] == ["old-running"]
    continued = await store.begin("old-running")
    assert continued is not None and continued.epoch == 3
    await store.aclose()


def test_migrating_says_from_where_and_keeps_everything(empty: Settings) -> None:
    outside = asyncio.run(first_schema(empty))

    assert migrate(database_url(empty)) == Upgrade("0001", schema.SCHEMA)

    assert asyncio.run(outside.ask("SELECT count(*) FROM runs")) == [(2,)]
    assert asyncio.run(outside.ask("SELECT count(*) FROM partial_texts")) == [(0,)]


async def first_schema(settings: Settings) -> Outside:
    """Make the database with the first migration alone, and rows as its code wrote them."""
    url = database_url(settings)
    if settings.database_url is None:
        engine = create_engine(f"sqlite:///{database_file(url)}")
        with engine.begin() as connection:
            _first_migration(connection)
        engine.dispose()
        outside: Outside = OutsideSqlite(url)
        literal = "x'{}'"
    else:
        server = create_async_engine(url)
        async with server.begin() as opened:
            await opened.run_sync(_first_migration)
        await server.dispose()
        outside = OutsidePostgres(url)
        literal = "'\\x{}'::bytea"
    for row in ROWS:
        await outside.ask(
            row.format(**{name: literal.format(value.hex()) for name, value in VALUES.items()})
        )
    return outside


def _first_migration(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
