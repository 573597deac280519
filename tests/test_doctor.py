"""What the doctor finds, for people and programs, and that it changes and betrays nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI
from typer.testing import CliRunner

from pipeline import doctor
from pipeline.cli import app
from pipeline.engine import Runtime
from pipeline.engine.lock import EngineLock
from pipeline.settings import Settings
from pipeline.store import database_url, migrate
from tests.engine.scripted import ScriptedPipeline
from tests.postgres import PostgresServer
from tests.unit.knowledge.conftest import MODEL, Embeddings, client, embeddings
from tests.unit.tools.web_search.test_services import Service, service

__all__ = ["client", "embeddings", "service"]

KEY = "sk-proj-canary1234567890"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def database(folder: Path) -> Path:
    migrate(database_url(Settings(data_dir=folder, database_url=None)))
    return folder / "gantry.sqlite3"


def examined(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    report = json.loads(result.stdout)
    return result.exit_code, {check["name"]: check for check in report["checks"]} | {
        "ok": report["ok"]
    }


@pytest.mark.slow
def test_a_new_installation_is_well_and_is_left_as_it_was(folder: Path) -> None:
    code, found = examined()

    assert code == 0, found
    assert found["ok"] is True
    assert found["provider"]["sentence"] == "The offline demo starts and answers."
    assert "first start makes it" in found["database"]["sentence"]
    assert not folder.exists()


def test_people_get_one_line_each_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    result = CliRunner().invoke(app, ["doctor"])

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ok    python")
    refused = next(n for n, line in enumerate(lines) if line.startswith("fail  provider"))
    assert "connection refused" in lines[refused]
    assert "→ Start the endpoint" in lines[refused + 1]
    assert KEY not in result.output


def test_a_wrong_setting_is_named_and_ends_the_examination(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GANTRY_MAX_IN_FLIGHT", "none")

    code, found = examined()

    assert code == 1
    assert "GANTRY_MAX_IN_FLIGHT" in found["settings"]["sentence"]
    assert "provider" not in found


def test_the_engine_of_a_data_folder_is_named_while_it_lives(folder: Path) -> None:
    with Runtime(Settings(data_dir=folder, database_url=None), ScriptedPipeline()):
        _, running = examined("--no-provider")
    _, closed = examined("--no-provider")

    assert "executes the runs" in running["engine"]["sentence"]
    assert "Process " in running["engine"]["sentence"]
    assert "No process executes runs here now" in closed["engine"]["sentence"]
    assert running["database"]["grade"] == closed["database"]["grade"] == "ok"


def test_the_note_of_an_engine_that_was_killed_means_nothing(database: Path) -> None:
    lock = EngineLock(database)
    assert lock.acquire()
    note = database.with_name(database.name + ".engine").read_bytes()
    lock.release()
    database.with_name(database.name + ".engine").write_bytes(note)

    assert "No process executes runs here now" in doctor.engine(database).sentence


@pytest.mark.parametrize(
    ("statement", "grade", "said"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "fail", "newer Gantry"),
        ("UPDATE alembic_version SET version_num = '0001'", "warn", "older Gantry (0001"),
        ("DROP TABLE alembic_version", "fail", "no Gantry database"),
    ],
)
def test_a_schema_that_is_not_ours_is_said_and_not_changed(
    database: Path, statement: str, grade: str, said: str
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()
    before = database.read_bytes()

    check = doctor.sqlite(database)

    assert (check.grade, said in check.sentence) == (grade, True)
    assert database.read_bytes() == before


def test_a_damaged_database_is_found(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)

    code, found = examined("--no-provider")

    assert code == 1
    assert found["database"]["grade"] == "fail"
    assert "backup" in found["database"]["hint"]


def test_an_empty_file_is_no_damage_for_the_first_start_fills_it(folder: Path) -> None:
    folder.mkdir()
    (folder / "gantry.sqlite3").touch()

    code, found = examined("--no-provider")

    assert (code, found["database"]["grade"]) == (0, "ok")


@pytest.mark.parametrize("content", [None, "x = ["])
def test_a_price_table_with_which_no_run_would_start_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    table = tmp_path / "prices.toml"
    if content is not None:
        table.write_text(content)
    monkeypatch.setenv("GANTRY_PRICES_FILE", str(table))

    code, found = examined("--no-provider")

    assert (code, found["prices"]["grade"]) == (1, "fail")
    assert "GANTRY_PRICES_FILE" in found["prices"]["hint"]


def test_a_folder_that_cannot_be_made_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "file" / "data"))

    code, found = examined("--no-provider")

    assert code == 1
    assert found["data"]["grade"] == "fail"


def test_packages_that_are_missing_or_other_than_tested_are_named(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"

    pins.write_text(
        "typer==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1 ; sys_platform == 'x'\n"
    )
    other = doctor.packages(pins)
    pins.write_text("no-such-package==1\n")
    missing = doctor.packages(pins)

    assert (other.grade, missing.grade) == ("warn", "fail")
    assert "typer" in other.sentence and "instead of 0.0.1" in other.sentence
    assert missing.sentence == "Missing: no-such-package."


@pytest.mark.parametrize("url", ["postgresql://ann:pa55word123@127.0.0.1:9/gantry", "mysql://x/y"])
def test_a_database_that_does_not_answer_is_a_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    code, found = examined("--no-provider")

    assert (code, found["database"]["grade"]) == (1, "fail")
    assert "pa55word123" not in json.dumps(found)


def test_a_postgresql_is_asked_for_its_schema_and_not_migrated(
    postgres: PostgresServer, folder: Path
) -> None:
    def examine(url: str) -> doctor.Check:
        configured = database_url(Settings(data_dir=folder, database_url=url))
        return asyncio.run(doctor.server(configured))

    url = postgres.fresh_database()
    empty = [examine(url) for _ in range(2)]
    migrate(database_url(Settings(data_dir=folder, database_url=url)))
    migrated = examine(url)

    assert [check.grade for check in empty] == ["warn", "warn"]
    assert "migrate" in empty[1].hint
    assert migrated.grade == "ok"


def named(**values: Any) -> Settings:
    return Settings(database_url=None, **values)


async def test_a_search_service_is_asked_for_one_page(service: Service) -> None:
    settings = named(search="searxng", search_url=service.base)
    service.script = [web.json_response({"results": [{"url": "https://a.example/", "title": "A"}]})]

    found = await asyncio.to_thread(doctor.web_search, settings, ask=True)

    assert (found.grade, found.sentence) == ("ok", "SearXNG answers; a query found a page.")


async def test_a_search_service_that_refuses_is_named_with_what_to_do(service: Service) -> None:
    settings = named(search="searxng", search_url=service.base)
    service.script = [web.json_response({}, status=403)]

    found = await asyncio.to_thread(doctor.web_search, settings, ask=True)

    assert found.grade == "fail"
    assert found.hint


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (named(search=None), "No service is configured"),
        (named(search="samples"), "bundled samples"),
        (named(search="tavily", search_key="k"), "was not asked"),
    ],
)
def test_without_asking_it_says_what_would_search(settings: Settings, says: str) -> None:
    assert says in doctor.web_search(settings, ask=False).sentence


async def test_the_embedding_model_is_asked_for_one_vector(
    client: AsyncOpenAI, embeddings: Embeddings
) -> None:
    settings = named(
        embedding_model=MODEL, openai_base_url=str(client.base_url), openai_api_key="sk-test"
    )

    found = await asyncio.to_thread(doctor.vectors, settings, ask=True)

    assert found.sentence == f"{MODEL} gives vectors of 3 numbers."
    assert embeddings.asked == [["one word"]]


def test_vectors_without_an_endpoint_are_said() -> None:
    settings = named(embedding_model=MODEL, openai_base_url=None, openai_api_key=None)

    assert doctor.vectors(settings, ask=True).grade == "warn"
    assert "Off" in doctor.vectors(named(), ask=True).sentence
