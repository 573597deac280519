"""Whole runs under a budget: they stop before it is passed, say so, and go on with a larger one."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.assembly import build_runtime
from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.engine import Runtime
from pipeline.engine.loop_thread import LoopThread
from pipeline.errors import SpecError
from pipeline.events import CallFinished
from pipeline.models import RunRecord, RunSpec, RunStatus
from pipeline.prices import load_prices
from pipeline.settings import Settings
from pipeline.store import database_file, database_url, sqlite
from pipeline.tools.samples import sample_research
from tests.faulty_demo import FaultyDemo

TOPIC = "Heat pumps in old buildings"
SPEC = RunSpec(topic=TOPIC, provider="openai", key_source="configured", model="gantry-demo-instant")


@dataclass
class Place:
    demo: FaultyDemo
    runtime: Runtime
    thread: LoopThread  # of the demo

    def submit(self, **fields: object) -> str:
        update = {"base_url": self.demo.endpoint.base_url, **fields}
        return self.runtime.submit(SPEC.model_copy(update=update))

    def ended(self, run_id: str) -> RunRecord:
        record = self.runtime.wait(run_id, 60)
        assert record is not None
        return record

    def used(self, run_id: str) -> int:
        facts = self.runtime.events(run_id)
        calls = [e for e in facts if isinstance(e, CallFinished) and e.outcome == "used"]
        return sum((e.input_tokens or 0) + (e.output_tokens or 0) for e in calls)


@pytest.fixture
def short_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write gives a locked file up at once; what is paid for waits all the same."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)


@pytest.fixture
def limits() -> dict[str, object]:
    return {}


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, object]
) -> Iterator[Place]:
    """The real pipeline and store, on the demo as a configured endpoint."""
    thread = LoopThread("demo")
    thread.start()
    demo = thread.call(FaultyDemo().__aenter__(), 10)
    monkeypatch.setenv("OPENAI_API_KEY", demo.endpoint.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", str(demo.endpoint.base_url))
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    with build_runtime(Settings(data_dir=tmp_path, database_url=None, **limits)) as runtime:  # type: ignore[arg-type]
        yield Place(demo, runtime, thread)
    thread.call(demo.__aexit__(None, None, None), 10)
    thread.close(10)


def test_a_run_stops_before_its_budget_is_passed_and_goes_on_with_a_larger_one(
    place: Place,
) -> None:
    run_id = place.submit(max_tokens=12_000)

    record = place.ended(run_id)
    assert (record.status, record.error_code) == (RunStatus.FAILED, "budget")
    assert "The run's budget of 12,000 tokens" in record.error
    assert 0 < place.used(run_id) <= 12_000
    finished = set(place.runtime.checkpoints(run_id))
    assert finished
    before = place.demo.requests.copy()

    place.runtime.resume(run_id, max_tokens=200_000)

    assert place.ended(run_id).status is RunStatus.DONE
    assert not any(place.demo.requests[name] > before[name] for name in finished)


@pytest.mark.parametrize("limits", [{"day_tokens": 40_000}])
def test_runs_at_once_never_pass_the_budget_of_the_day(place: Place) -> None:
    run_ids = [place.submit() for _ in range(6)]

    records = [place.ended(run_id) for run_id in run_ids]

    failed = [record for record in records if record.status is RunStatus.FAILED]
    assert failed
    assert {record.error_code for record in failed} == {"budget"}
    assert all("Today's budget for all runs" in record.error for record in failed)
    assert 0 < sum(place.used(run_id) for run_id in run_ids) <= 40_000


@pytest.mark.usefixtures("short_locks")
def test_what_a_call_used_while_the_database_was_locked_is_counted_when_it_is_free(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    file = database_file(database_url(place.runtime.settings))
    held = place.demo.hold["topic_planner"] = asyncio.Event()
    run_id = place.submit(max_tokens=200_000)
    place.thread.call(place.demo.arrived["topic_planner"].wait(), 30)

    with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        place.thread.post(held.set)
        ends_at = time.monotonic() + 30
        while "could not be stored yet" not in caplog.text and time.monotonic() < ends_at:
            assert place.runtime.run(run_id) is not None
        other.execute("ROLLBACK")

        assert place.ended(run_id).status is RunStatus.DONE
        assert "could not be stored yet" in caplog.text
        accounts = dict(other.execute("SELECT scope, tokens FROM spending"))
        assert accounts[f"run:{run_id}"] == place.used(run_id)
        assert other.execute("SELECT * FROM holds").fetchall() == []


@pytest.mark.parametrize("limits", [{"run_cost_usd": 1.0}])
def test_a_budget_in_money_refuses_a_model_without_a_price_before_the_first_call(
    place: Place,
) -> None:
    record = place.ended(place.submit(model="a-model-nobody-priced"))

    assert record.status is RunStatus.FAILED
    assert "the price of `a-model-nobody-priced` is not in the price table" in record.error
    assert not place.demo.requests


def test_a_library_run_keeps_its_budget_too() -> None:
    async def run() -> None:
        async with FaultyDemo() as demo:
            orchestrator = ChatOrchestrator(
                demo.client, model="gantry-demo-instant", research=sample_research()
            )
            result = await orchestrator.run_pipeline(TOPIC, max_tokens=12_000)
            assert result.error is not None
            assert result.error.code == "budget"
            assert result.journal.spending is not None
            assert result.journal.spending.spent.run.tokens <= 12_000
            with pytest.raises(SpecError, match="price"):
                await orchestrator.run_pipeline(TOPIC, model="unknown", max_cost_usd=1.0)

    asyncio.run(run())


def test_the_price_table_is_read_from_the_file_that_is_set(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('date = 2026-01-01\nsource = "s"\n[models]\nm = { input = 1, output = 2 }\n')

    assert load_prices(Settings(prices_file=path).prices_file).of("m") is not None
