"""`python -m pipeline purge`, and the ages it takes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import SpecError
from pipeline.models import RunSpec, RunStatus
from pipeline.retention import age
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from pipeline.store.tables import runs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        (" 2W ", timedelta(weeks=2)),
        ("99999w", timedelta(weeks=99_999)),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert age(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5d", "30 days", "1y", "٣d", "1d1h"]
)
def test_anything_else_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(SpecError, match="12h, 30d or 2w"):
        age(text)


@pytest.fixture
def old_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two runs of different owners that ended 40 days ago, and one that ended now."""
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    settings = Settings(data_dir=tmp_path, database_url=None)

    async def fill() -> None:
        store = await Store.open(database_url(settings))
        for run_id, owner, days in (("r1", "ann", 40), ("r2", "bob", 40), ("r3", "ann", 0)):
            await store.insert_run(run_id, owner, RunSpec(topic="Tides"))
            at = datetime.now(UTC) - timedelta(days=days)
            ended = {"status": RunStatus.DONE, "finished_at": at}
            await store._changes(runs.update().where(runs.c.id == run_id).values(ended))
        await store.aclose()

    asyncio.run(fill())
    return settings


def left(settings: Settings) -> int:
    async def count() -> int:
        store = await Store.open(database_url(settings))
        try:
            return await store.count("ann") + await store.count("bob")
        finally:
            await store.aclose()

    return asyncio.run(count())


@pytest.mark.parametrize(
    ("arguments", "answer", "code", "says", "remaining"),
    [
        (["--older-than", "30d", "--yes"], "", 0, "removed 2 runs", 1),
        (["--older-than", "30d"], "y\n", 0, "Remove 2 runs for good?", 1),
        (["--older-than", "30d"], "n\n", 1, "nothing was removed", 3),
        (["--older-than", "30d", "--dry-run"], "", 0, "2 runs ended more than 30d ago", 3),
        (["--older-than", "9w", "--yes"], "", 0, "0 runs ended more than 9w ago", 3),
        (["--older-than", "soon", "--yes"], "", 2, "`soon` is not an age", 3),
    ],
)
def test_purging_from_the_command_line(
    old_runs: Settings, arguments: list[str], answer: str, code: int, says: str, remaining: int
) -> None:
    result = CliRunner().invoke(app, ["purge", *arguments], input=answer)

    assert (result.exit_code, left(old_runs)) == (code, remaining)
    assert says in result.output
