"""`/readyz` over HTTP: what it says when all is well, when a part has failed, and what it costs."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline.assembly import build_runtime
from pipeline.engine import Runtime
from pipeline.engine.health import Part, provider_part
from pipeline.llm.admission import CircuitReading
from pipeline.models import RunSpec
from pipeline.settings import Settings
from pipeline.store.database import DATABASE_FILE
from pipeline.web import readiness as readiness_module
from pipeline.web.readiness import ReadinessRoute

pytestmark = pytest.mark.slow

OK = (Part("database", "ok", "ok", "Fine."),)


def client_of(route: ReadinessRoute) -> TestClient:
    return TestClient(Starlette(routes=[Route("/readyz", route.answer)]))


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    settings = Settings(
        data_dir=tmp_path, database_url=None, openai_api_key=None, openai_base_url=None
    )
    with build_runtime(settings) as runtime:
        yield runtime


def test_a_process_at_work_is_ready_and_says_so_part_by_part(runtime: Runtime) -> None:
    runtime.wait(runtime.submit(RunSpec(topic="Salt marshes", speed="instant")), 60)

    with client_of(ReadinessRoute(runtime.readiness)) as client:
        answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["status"] == "ready"
    parts = answer.json()["parts"]
    assert {name: part["word"] for name, part in parts.items()} == {
        "database": "ok",
        "queue": "serving",
        "provider": "ok",
    }
    assert all(part["sentence"].endswith(".") for part in parts.values())


def test_a_second_process_is_ready_as_a_viewer(runtime: Runtime) -> None:
    with build_runtime(runtime.settings) as viewer:
        words = {part.name: part.word for part in viewer.readiness()}

    assert words["queue"] == "viewer"


@pytest.mark.slow
def test_a_locked_database_is_not_ready(runtime: Runtime, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with client_of(ReadinessRoute(runtime.readiness)) as client:
            answer = client.get("/readyz")
    finally:
        other.close()

    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    database = answer.json()["parts"]["database"]
    assert (database["grade"], database["word"]) == ("fail", "no_answer")
    assert str(tmp_path) not in answer.text


def test_a_process_that_was_closed_is_not_ready(runtime: Runtime) -> None:
    runtime.close()

    (part,) = runtime.readiness()

    assert (part.name, part.grade) == ("engine", "fail")


def test_asked_again_within_a_second_nothing_is_asked() -> None:
    asked: list[int] = []

    def readiness() -> Sequence[Part]:
        asked.append(1)
        return OK

    with client_of(ReadinessRoute(readiness)) as client:
        for _ in range(20):
            assert client.get("/readyz").status_code == 200

    assert len(asked) <= 2  # 2 when the machine took a second over them


def test_who_does_not_answer_is_asked_once_and_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness_module, "ANSWER_S", 0.05)
    answers, asked = threading.Event(), []

    def readiness() -> Sequence[Part]:
        asked.append(1)
        answers.wait(30)
        return OK

    with client_of(ReadinessRoute(readiness)) as client:
        slow = [client.get("/readyz") for _ in range(3)]
        answers.set()
        monkeypatch.setattr(readiness_module, "ANSWER_S", 30.0)
        at_last = client.get("/readyz")

    assert {answer.status_code for answer in slow} == {503}
    assert slow[0].json()["parts"]["engine"]["word"] == "slow"
    assert (at_last.status_code, len(asked)) == (200, 1)


def test_a_bug_in_asking_is_never_read_as_ready() -> None:
    def readiness() -> Sequence[Part]:
        raise RuntimeError("a bug")

    with TestClient(
        Starlette(routes=[Route("/readyz", ReadinessRoute(readiness).answer)]),
        raise_server_exceptions=False,
    ) as client:
        assert [client.get("/readyz").status_code for _ in range(2)] == [500, 500]


def test_an_endpoint_that_is_down_is_said_and_neither_named_nor_a_reason_to_be_taken_off() -> None:
    circuit = CircuitReading("http://ann:pa55@typed.example/v1", 12.0, 3.0, 2, "refused")

    part = provider_part((), (circuit,))

    assert (part.grade, part.word) == ("warn", "open")
    assert "One endpoint seems to be down" in part.sentence
    assert "example" not in part.sentence
