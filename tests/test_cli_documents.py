"""The knowledge base from a script: real files, the real converter, the store that pages use."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.assembly import build_runtime
from pipeline.cli import app
from pipeline.models import LOCAL_OWNER
from pipeline.settings import load_settings

pytestmark = pytest.mark.slow

KILN = "# Kiln care\n\nBrush the kiln shelves with kiln wash before every glaze firing.\n"


@pytest.fixture(autouse=True)
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "data"))


def documents(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["documents", *map(str, arguments)])


@pytest.fixture
def kiln(tmp_path: Path) -> Path:
    file = tmp_path / "kiln.md"
    file.write_text(KILN, encoding="utf-8")
    return file


def test_a_file_added_is_listed_and_found_and_gone_when_deleted(kiln: Path) -> None:
    added = documents("add", kiln)
    document_id = added.stdout.split()[0]
    listed = documents("list")
    found = documents("search", "kiln wash on shelves")

    assert added.exit_code == 0
    assert listed.stdout == added.stdout
    assert "Kiln care" in listed.stdout and "kiln.md" in listed.stdout
    assert "Brush the kiln shelves" in found.stdout

    assert documents("delete", document_id).exit_code == 0
    assert documents("list").stdout == ""
    gone = documents("search", "kiln wash on shelves")
    assert (gone.exit_code, gone.stdout, gone.stderr) == (1, "", "nothing found\n")


def test_the_same_file_again_is_said_to_be_there(kiln: Path) -> None:
    first, again = documents("add", kiln), documents("add", kiln)

    assert "was there already" in again.stdout
    assert again.stdout.split()[0] == first.stdout.split()[0]
    assert len(documents("list").stdout.splitlines()) == 1


def test_one_file_that_cannot_be_read_does_not_stop_the_others(kiln: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken\x1b[31m.pdf"
    broken.write_bytes(b"%PDF-1.7 and no more")

    result = documents("add", tmp_path / "missing.md", broken, tmp_path, kiln)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    assert "missing.md: There is no such file." in result.stderr
    assert "\x1b" not in result.output
    assert len(documents("list").stdout.splitlines()) == 1


def test_an_open_dashboard_finds_what_a_script_added(kiln: Path) -> None:
    with build_runtime(load_settings()) as runtime:
        assert not runtime.documents.search(LOCAL_OWNER, "kiln wash", 5).found
        documents("add", kiln)
        assert len(runtime.documents.search(LOCAL_OWNER, "kiln wash", 5).found) == 1


def test_an_unknown_document_is_named() -> None:
    result = documents("delete", "no-such-id")

    assert result.exit_code == 2
    assert result.stderr == "error: There is no document no-such-id.\n"
