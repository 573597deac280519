"""`python -m pipeline migrate`, on either database."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.settings import Settings
from pipeline.store import schema


def test_migrating_says_what_it_did_and_may_be_repeated(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_DATA_DIR", str(empty.data_dir))
    monkeypatch.setenv("DATABASE_URL", empty.database_url or "")

    said = [CliRunner().invoke(app, ["migrate"]) for _ in range(2)]

    assert [result.exit_code for result in said] == [0, 0]
    assert said[0].stdout == f"created the schema ({schema.SCHEMA})\n"
    assert said[1].stdout == f"the schema is up to date ({schema.SCHEMA})\n"


def test_a_server_that_does_not_answer_is_exit_1_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:hush@127.0.0.1:1/gantry")

    said = CliRunner().invoke(app, ["migrate"])

    assert said.exit_code == 1
    assert "gantry on 127.0.0.1:1 cannot be reached" in said.stderr
    assert "hush" not in said.stderr
