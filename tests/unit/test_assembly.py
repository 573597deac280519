"""How a run gets its line to an endpoint: which address, which key, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipeline.assembly import KEPT_LINES, ModelAccess
from pipeline.engine.port import RunContext
from pipeline.errors import SpecError
from pipeline.events import RunFinished, RunStarted, UsageUpdated
from pipeline.journal import Journal
from pipeline.models import Endpoint, RunSpec, RunStatus
from pipeline.settings import Settings
from pipeline.store import database_url, migrate
from tests.faulty_demo import FaultyDemo
from tests.postgres import PostgresServer

MODEL = "gantry-demo-instant"
OURS, THEIRS = "http://ours.example/v1", "http://theirs.example/v1"


def settings(folder: Path, **over: Any) -> Settings:
    unset = {"openai_api_key": None, "openai_base_url": None, "database_url": None}
    return Settings(data_dir=folder, **(unset | over))


def asked(base_url: str | None, key_source: Any = "configured") -> RunSpec:
    return RunSpec(
        topic="Bees", provider="openai", model="m", base_url=base_url, key_source=key_source
    )


@pytest.mark.parametrize(
    ("configured", "spec", "goes_to"),
    [
        ({"openai_api_key": "sk-1234567"}, asked(None), None),
        ({"openai_base_url": OURS}, asked(OURS), OURS),
        ({"openai_base_url": OURS}, asked(f"{OURS}/"), OURS),
        ({"openai_base_url": OURS}, asked(None, "none"), OURS),
    ],
)
async def test_a_configured_run_goes_to_the_configured_endpoint(
    tmp_path: Path, configured: dict[str, Any], spec: RunSpec, goes_to: str | None
) -> None:
    access = ModelAccess(settings(tmp_path, **configured))

    assert (await access.endpoint(spec)).base_url == goes_to


@pytest.mark.parametrize(
    ("configured", "spec"),
    [
        ({}, asked(None)),
        ({}, asked(None, "none")),
        ({}, asked(OURS)),
        ({"openai_base_url": OURS}, asked(THEIRS)),
        ({"openai_base_url": OURS}, asked(None)),
        ({"openai_api_key": "sk-1234567"}, asked(THEIRS)),
    ],
)
async def test_a_run_is_never_sent_to_another_host_than_it_was_asked_for(
    tmp_path: Path, configured: dict[str, Any], spec: RunSpec
) -> None:
    configuration = settings(tmp_path, **configured)
    access, journal = ModelAccess(configuration), Journal("r1")

    with pytest.raises(SpecError, match="configured") as caught:
        await access.endpoint(spec)
    outcome = await access.handle_run(spec, journal, RunContext(configuration, "local"))

    assert "OPENAI_" in caught.value.hint
    assert (outcome.status, outcome.error) == (RunStatus.FAILED, str(caught.value))
    assert isinstance(journal.events[-1], RunFinished)


async def test_a_typed_endpoint_needs_no_configuration(tmp_path: Path) -> None:
    typed = Endpoint(THEIRS, "sk-typed-1234")

    found = await ModelAccess(settings(tmp_path)).endpoint(asked(THEIRS, "typed"), typed)

    assert found is typed


@pytest.mark.parametrize("late", [False, True])
async def test_a_run_that_cannot_begin_again_has_both_ends_in_every_epoch(
    tmp_path: Path, late: bool
) -> None:
    first = Journal("r1")
    first.record(RunStarted, wall_at="")
    first.record(RunFinished, status="failed")
    if late:
        first.record(UsageUpdated, agent="editor", call=1, input_tokens=1, output_tokens=1)
    second = Journal("r1", epoch=2, offset_s=5.0, events=first.events)
    configuration = settings(tmp_path)

    await ModelAccess(configuration).handle_run(
        asked(None), second, RunContext(configuration, "local")
    )

    told = [(e.kind, e.epoch) for e in second.events if e.kind != "usage_updated"]
    assert told == [
        ("run_started", 1),
        ("run_finished", 1),
        ("run_started", 2),
        ("run_finished", 2),
    ]
    assert second.events[-2].resumed  # type: ignore[union-attr]


async def test_a_run_that_had_begun_is_not_begun_again(tmp_path: Path) -> None:
    journal, configuration = Journal("r1"), settings(tmp_path)
    journal.record(RunStarted, wall_at="")

    await ModelAccess(configuration).handle_run(
        asked(None), journal, RunContext(configuration, "local")
    )

    assert [e.kind for e in journal.events] == ["run_started", "run_finished"]


async def test_lines_to_endpoints_nobody_uses_any_more_are_closed(tmp_path: Path) -> None:
    access, opened = ModelAccess(settings(tmp_path)), []
    async with access._borrowed(Endpoint(OURS, "sk-in-use")) as used:
        for number in range(KEPT_LINES + 3):
            async with access._borrowed(Endpoint(OURS, f"sk-{number}")) as line:
                opened.append(line)

        closed = [line.client.is_closed() for line in opened]
        assert closed == [True] * 4 + [False] * (KEPT_LINES - 1)
        assert not used.client.is_closed()
        async with access._borrowed(Endpoint(OURS, "sk-in-use")) as again:
            assert again is used
    await access.aclose()

    assert all(line.client.is_closed() for line in [used, *opened])


async def test_on_postgresql_the_limits_are_kept_with_other_processes(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    address = postgres.fresh_database()
    await asyncio.to_thread(migrate, database_url(settings(tmp_path, database_url=address)))
    async with FaultyDemo() as demo:
        configuration = settings(
            tmp_path,
            database_url=address,
            openai_base_url=demo.endpoint.base_url,
            openai_api_key=demo.endpoint.api_key,
            requests_per_minute=60_000,
        )
        access = ModelAccess(configuration)
        await access.warm_up()
        outcome = await access.handle_run(
            asked(demo.endpoint.base_url).model_copy(update={"model": MODEL}),
            Journal("r1"),
            RunContext(configuration, "local"),
        )
        await access.aclose()

    assert outcome.status is RunStatus.DONE
    rows = postgres.ask(
        "SELECT endpoint, model, requests_per_minute FROM shared_limits",
        database_url(configuration).database or "",
    )
    assert [tuple(row) for row in rows] == [(demo.endpoint.base_url, MODEL, 60_000.0)]
