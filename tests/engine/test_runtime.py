"""One process: submit, watch, cancel, continue, delete, and stop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.agents.roster import ROSTER
from pipeline.engine import RunOutcome, Runtime
from pipeline.engine.embedded import WATCH_S
from pipeline.errors import GantryError, NoAnswer, PlanError, SpecError, StoreError, Superseded
from pipeline.events import AgentFinished, RunFinished
from pipeline.export.bundle import Bundle
from pipeline.models import Endpoint, RunSpec, RunStatus
from pipeline.settings import Settings
from pipeline.store import database_file, database_url, sqlite
from tests.engine.conftest import MakeRuntime, StartRuntime
from tests.engine.scripted import AGENTS, ScriptedPipeline

pytestmark = pytest.mark.slow

SPEC = RunSpec(topic="Tidal power")
KEY = Endpoint("http://127.0.0.1:9/v1", "sk-typed-canary")


def status_after(runtime: Runtime, run_id: str) -> RunStatus:
    record = runtime.wait(run_id, 10)
    assert record is not None
    return record.status


def held_run(runtime: Runtime, pipeline: ScriptedPipeline, agent: str) -> str:
    """A run that stands in `agent`."""
    pipeline.held.add(agent)
    run_id = runtime.submit(SPEC)
    assert pipeline.reached[agent].wait(10)
    return run_id


def test_a_run_is_executed_and_everything_of_it_is_stored(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    pipeline.outcome = RunOutcome(RunStatus.DEGRADED, ("unedited",), makespan_s=2.5)

    run_id = runtime.submit(SPEC)

    record = runtime.wait(run_id, 10)
    assert record is not None
    assert (record.status, record.degraded, record.makespan_s) == ("degraded", ("unedited",), 2.5)
    assert tuple(runtime.checkpoints(run_id)) == AGENTS
    stored = runtime.events(run_id)
    assert [event.seq for event in stored] == list(range(1, 2 + 2 * len(AGENTS) + 1))
    assert isinstance(stored[-1], RunFinished)
    assert [run.id for run in runtime.runs()] == [run_id]
    assert runtime.count() == 1


def test_the_journal_is_live_while_the_run_executes_and_stays_a_while(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    run_id = held_run(runtime, pipeline, "writer")

    live = runtime.journal(run_id)
    assert live is not None
    assert not live.finished
    assert list(live.checkpoints) == ["planner"]

    runtime.cancel(run_id)
    runtime.wait(run_id, 10)
    assert runtime.journal(run_id) is live
    assert live.finished


def test_the_text_of_an_agent_that_did_not_finish_is_kept(
    runtime: Runtime, pipeline: ScriptedPipeline, start: StartRuntime
) -> None:
    run_id = held_run(runtime, pipeline, "writer")
    live = runtime.journal(run_id)
    assert live is not None
    live.add_text("writer", "Half a ")
    live.add_text("writer", "sentence")

    runtime.cancel(run_id)
    record = runtime.wait(run_id, 10)

    assert record is not None
    assert runtime.texts(run_id) == {"writer": "Half a sentence"}
    assert start(ScriptedPipeline()).texts(run_id) == {"writer": "Half a sentence"}  # elsewhere
    assert runtime.texts("unknown") == {}
    roster = [replace(ROSTER[0], name=name, needs=()) for name in AGENTS]
    events, checkpoints = runtime.events(run_id), runtime.checkpoints(run_id)
    bundle = Bundle(record, events, checkpoints, roster, texts=runtime.texts(run_id))
    texts = {agent["agent"]: agent["text"] for agent in bundle.report["agents"]}
    assert texts == {"planner": "planner in epoch 1", "writer": "Half a sentence", "editor": ""}
    partial = {agent["agent"]: agent["text_is_partial"] for agent in bundle.report["agents"]}
    assert partial == {"planner": False, "writer": True, "editor": False}


@pytest.mark.parametrize("agent", AGENTS)
def test_cancel_reaches_any_stage_at_once_and_keeps_what_is_finished(
    runtime: Runtime, pipeline: ScriptedPipeline, agent: str
) -> None:
    run_id = held_run(runtime, pipeline, agent)

    assert runtime.cancel(run_id)

    assert status_after(runtime, run_id) is RunStatus.CANCELLED
    assert tuple(runtime.checkpoints(run_id)) == AGENTS[: AGENTS.index(agent)]
    last_two = runtime.events(run_id)[-2:]
    assert isinstance(last_two[0], AgentFinished)
    assert (last_two[0].agent, last_two[0].state) == (agent, "cancelled")
    assert isinstance(last_two[1], RunFinished)
    assert last_two[1].status == "cancelled"
    assert not runtime.cancel(run_id)


def test_a_queued_run_is_cancelled_before_it_ever_starts(tmp_path: Path) -> None:
    pipeline = ScriptedPipeline()
    settings = Settings(data_dir=tmp_path, database_url=None, max_concurrent_runs=1)
    with Runtime(settings, pipeline) as runtime:
        first = held_run(runtime, pipeline, "planner")
        second = runtime.submit(SPEC)

        assert runtime.cancel(second)
        runtime.cancel(first)

        assert status_after(runtime, second) is RunStatus.CANCELLED
        assert status_after(runtime, first) is RunStatus.CANCELLED
        assert pipeline.worked == ["planner"]
        assert runtime.events(second) == []


def test_no_more_runs_execute_at_once_than_the_settings_allow(tmp_path: Path) -> None:
    pipeline = ScriptedPipeline()
    settings = Settings(data_dir=tmp_path, database_url=None, max_concurrent_runs=2)
    with Runtime(settings, pipeline) as runtime:
        run_ids = [runtime.submit(SPEC) for _ in range(6)]

        assert {status_after(runtime, run_id) for run_id in run_ids} == {RunStatus.DONE}
        assert pipeline.most_at_once <= 2


def test_a_cancelled_run_continues_from_its_last_finished_agent(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    run_id = held_run(runtime, pipeline, "writer")
    runtime.cancel(run_id)
    pipeline.held.clear()

    runtime.resume(run_id, allow_unsourced=True)

    assert status_after(runtime, run_id) is RunStatus.DONE
    assert pipeline.worked == ["planner", "writer", "writer", "editor"]
    assert pipeline.specs[-1].allow_unsourced
    times = [event.at_s for event in runtime.events(run_id)]
    assert times == sorted(times)
    assert {event.epoch for event in runtime.events(run_id)} == {1, 2}


def test_a_run_continued_while_its_calls_still_close_is_told_as_what_it_was(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    run_id = held_run(runtime, pipeline, "writer")
    pipeline.closing.clear()
    runtime.cancel(run_id)
    pipeline.held.clear()

    runtime.resume(run_id)
    runtime.call(let_go(pipeline))

    assert status_after(runtime, run_id) is RunStatus.DONE
    ends = [event for event in runtime.events(run_id) if isinstance(event, RunFinished)]
    assert [(end.epoch, end.status) for end in ends] == [(2, "done")]


async def let_go(pipeline: ScriptedPipeline) -> None:
    pipeline.closing.set()


def test_a_bug_fails_the_run_with_its_words_and_the_run_can_be_continued(
    runtime: Runtime, pipeline: ScriptedPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.bugs["editor"] = ZeroDivisionError("half a bug")
    run_id = runtime.submit(SPEC)

    record = runtime.wait(run_id, 10)

    assert record is not None
    assert (record.status, record.error_code) == (RunStatus.FAILED, "internal")
    assert "half a bug" in record.error
    assert "half a bug" in caplog.text
    finished = runtime.events(run_id)[-1]
    assert isinstance(finished, RunFinished)
    assert finished.status == "failed"
    pipeline.bugs.clear()
    runtime.resume(run_id)
    assert status_after(runtime, run_id) is RunStatus.DONE
    assert pipeline.worked == ["planner", "writer", "editor", "editor"]


@pytest.mark.parametrize("grouped", [False, True])
def test_an_error_raised_on_purpose_keeps_its_code_and_hint(
    runtime: Runtime, pipeline: ScriptedPipeline, grouped: bool
) -> None:
    error = PlanError("No way.", "Take another.")
    pipeline.bugs["planner"] = ExceptionGroup("agents", [error]) if grouped else error

    record = runtime.wait(runtime.submit(SPEC), 10)

    assert record is not None
    assert (record.error, record.error_code) == ("No way. Take another.", "bad_plan")


def test_a_run_taken_over_elsewhere_is_left_alone(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    pipeline.bugs["writer"] = ExceptionGroup("agents", [Superseded("epoch 1 is over")])
    run_id = runtime.submit(SPEC)
    assert pipeline.reached["writer"].wait(10)
    pipeline.bugs.clear()

    assert status_after(runtime, run_id) is RunStatus.DONE
    assert not any(
        isinstance(event, RunFinished) and event.status == "failed"
        for event in runtime.events(run_id)
    )


def test_a_running_run_can_be_deleted(runtime: Runtime, pipeline: ScriptedPipeline) -> None:
    run_id = held_run(runtime, pipeline, "writer")

    assert runtime.delete(run_id)

    assert runtime.run(run_id) is None
    assert runtime.events(run_id) == []
    assert runtime.checkpoints(run_id) == {}
    assert runtime.journal(run_id) is None
    assert not runtime.delete(run_id)


def test_a_foreign_run_can_neither_be_seen_nor_touched(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    run_id = held_run(runtime, pipeline, "writer")

    assert runtime.run(run_id, "mallory") is None
    assert not runtime.cancel(run_id, "mallory")
    assert not runtime.delete(run_id, "mallory")
    with pytest.raises(SpecError, match="no such run"):
        runtime.resume(run_id, "mallory")
    still = runtime.run(run_id)
    assert still is not None
    assert still.status is RunStatus.RUNNING


def test_the_same_submission_twice_is_one_run(runtime: Runtime) -> None:
    first = runtime.submit(SPEC, run_id="form-1")
    second = runtime.submit(SPEC, run_id="form-1")

    assert first == second == "form-1"
    assert status_after(runtime, first) is RunStatus.DONE
    assert runtime.count() == 1


@pytest.mark.embedded
def test_a_typed_key_reaches_its_run_and_is_stored_nowhere(
    runtime: Runtime, pipeline: ScriptedPipeline, settings: Settings
) -> None:
    run_id = runtime.submit(SPEC, typed_endpoint=KEY)

    assert status_after(runtime, run_id) is RunStatus.DONE
    assert pipeline.contexts[0].typed_endpoint == KEY
    record = runtime.run(run_id)
    assert record is not None
    assert (record.spec.key_source, record.spec.base_url) == ("typed", KEY.base_url)
    assert KEY.api_key not in repr(pipeline.contexts[0])
    runtime.close()
    stored = b"".join(path.read_bytes() for path in settings.data_dir.iterdir() if path.is_file())
    assert b"Tidal power" in stored
    assert KEY.api_key.encode() not in stored


def test_a_run_whose_typed_key_is_gone_waits_for_it(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    first = start(pipeline)
    pipeline.held.add("writer")
    run_id = first.submit(SPEC, typed_endpoint=KEY)
    assert pipeline.reached["writer"].wait(10)
    first.close()
    pipeline.held.clear()

    second = start(pipeline)

    assert status_after(second, run_id) is RunStatus.NEEDS_KEY
    with pytest.raises(SpecError, match="key of this run is gone"):
        second.resume(run_id)
    with pytest.raises(SpecError, match=r"does not use http://other\.example/v1"):
        second.resume(run_id, typed_endpoint=Endpoint("http://other.example/v1", KEY.api_key))
    second.resume(run_id, typed_endpoint=KEY)
    assert status_after(second, run_id) is RunStatus.DONE
    assert pipeline.worked == ["planner", "writer", "writer", "editor"]


@pytest.mark.parametrize(
    "url", ["http://user:CANARY@host/v1", "http://host/v1?api-key=CANARY", "CANARY@host"]
)
@pytest.mark.parametrize("typed", [True, False])
def test_an_address_that_holds_a_secret_is_refused_and_not_stored(
    runtime: Runtime, settings: Settings, url: str, typed: bool
) -> None:
    spec = SPEC.model_copy(update={"provider": "openai", "base_url": None if typed else url})

    with pytest.raises(SpecError, match="base URL") as caught:
        runtime.submit(spec, typed_endpoint=Endpoint(url, "sk-typed") if typed else None)

    assert "CANARY" not in str(caught.value)
    runtime.close()
    stored = b"".join(path.read_bytes() for path in settings.data_dir.iterdir() if path.is_file())
    assert b"CANARY" not in stored


def test_a_typed_key_serves_the_same_address_only(
    runtime: Runtime, pipeline: ScriptedPipeline
) -> None:
    status_after(runtime, runtime.submit(SPEC, typed_endpoint=KEY))
    same = SPEC.model_copy(update={"key_source": "typed", "base_url": f"{KEY.base_url}/"})
    other = SPEC.model_copy(update={"key_source": "typed", "base_url": "http://other.example/v1"})

    assert status_after(runtime, runtime.submit(same)) is RunStatus.DONE
    assert status_after(runtime, runtime.submit(other)) is RunStatus.NEEDS_KEY
    assert pipeline.contexts[-1].typed_endpoint == KEY


def test_an_approval_after_a_restart_asks_for_the_key_that_is_gone(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    pipeline.outcome = RunOutcome(RunStatus.WAITING_APPROVAL)
    first = start(pipeline)
    run_id = first.submit(SPEC, typed_endpoint=KEY)
    assert status_after(first, run_id) is RunStatus.WAITING_APPROVAL
    first.close()
    second = start(pipeline)

    second.approve(run_id)

    assert status_after(second, run_id) is RunStatus.NEEDS_KEY
    pipeline.outcome = RunOutcome(RunStatus.DONE)
    second.resume(run_id, typed_endpoint=KEY)
    assert status_after(second, run_id) is RunStatus.DONE
    assert pipeline.specs[-1].outline_approved
    assert pipeline.contexts[-1].typed_endpoint == KEY


def test_a_run_derived_from_one_on_a_typed_key_goes_to_the_same_place_with_a_key(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    first = start(pipeline)
    run_id = first.submit(SPEC, typed_endpoint=KEY)
    assert status_after(first, run_id) is RunStatus.DONE
    first.close()
    second = start(pipeline)

    with pytest.raises(SpecError, match="key of this run is gone"):
        second.rerun(run_id, {})
    with pytest.raises(SpecError, match="does not use"):
        second.rerun(run_id, {}, typed_endpoint=replace(KEY, base_url="http://127.0.0.1:8/v1"))
    assert second.count() == 1
    child = second.rerun(run_id, {}, typed_endpoint=KEY)

    assert status_after(second, child) is RunStatus.DONE
    assert pipeline.contexts[-1].typed_endpoint == KEY
    assert pipeline.worked == list(AGENTS)  # the parent's: nothing was done again


def test_closing_leaves_runs_running_and_the_next_start_continues_them(
    make: MakeRuntime, pipeline: ScriptedPipeline
) -> None:
    with make(pipeline) as first:
        run_id = held_run(first, pipeline, "writer")
    pipeline.held.clear()

    with make(pipeline) as second:
        assert status_after(second, run_id) is RunStatus.DONE
        assert pipeline.worked == ["planner", "writer", "writer", "editor"]
        record = second.run(run_id)
        assert record is not None
        assert record.epoch == 2
        assert second.checkpoints(run_id)["planner"].epoch == 1


def test_closing_is_quick_and_leaves_no_thread(make: MakeRuntime) -> None:
    before = set(threading.enumerate())
    pipeline = ScriptedPipeline()
    runtime = make(pipeline)
    runtime.start()
    held_run(runtime, pipeline, "planner")
    tasks = runtime.call(tasks_left())

    began = time.monotonic()
    runtime.close()
    runtime.close()

    assert any(name.startswith("run:") for name in tasks)
    assert time.monotonic() - began < 10
    assert set(threading.enumerate()) == before


async def tasks_left() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks()]


def test_no_task_is_left_of_runs_that_ended(runtime: Runtime) -> None:
    runtime.wait(runtime.submit(SPEC), 10)
    before = sorted(runtime.call(idle_tasks()))
    for run_id in [runtime.submit(SPEC) for _ in range(10)]:
        runtime.wait(run_id, 10)

    assert sorted(runtime.call(idle_tasks())) == before


async def idle_tasks() -> list[str]:
    """What runs when nothing does; unnamed tasks are the queue's own comings and goings."""
    return [n for n in await tasks_left() if not n.startswith("Task-")]


def test_a_handler_that_ignores_the_end_does_not_keep_the_process(make: MakeRuntime) -> None:
    stubborn = threading.Event()

    async def never(spec: RunSpec, journal: object, context: object) -> RunOutcome:
        stubborn.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if (asyncio.get_running_loop().time()) > ends_at:
                    raise

    ends_at = time.monotonic() + 2
    runtime = make(never)
    runtime.start()
    runtime.submit(SPEC)
    assert stubborn.wait(10)

    began = time.monotonic()
    runtime.close(timeout_s=1)

    assert time.monotonic() - began < 5


def test_hooks_run_in_the_loop_before_the_first_and_after_the_last_run(
    make: MakeRuntime, pipeline: ScriptedPipeline
) -> None:
    told: list[tuple[str, str, int]] = []

    async def on_start() -> None:
        told.append(("start", threading.current_thread().name, len(pipeline.worked)))

    async def on_stop() -> None:
        told.append(("stop", threading.current_thread().name, len(pipeline.worked)))

    with make(pipeline, on_start=on_start, on_stop=on_stop) as runtime:
        runtime.wait(runtime.submit(SPEC), 10)

    assert told == [("start", "gantry-runtime", 0), ("stop", "gantry-runtime", 3)]


def test_a_data_folder_that_cannot_be_used_is_said_at_the_start(
    tmp_path: Path, pipeline: ScriptedPipeline
) -> None:
    before = set(threading.enumerate())
    (tmp_path / "file").write_text("in the way")
    runtime = Runtime(Settings(data_dir=tmp_path / "file", database_url=None), pipeline)

    with pytest.raises(StoreError, match="GANTRY_DATA_DIR"):
        runtime.start()

    assert set(threading.enumerate()) == before
    with pytest.raises(GantryError, match="not running"):
        runtime.runs()


def test_a_call_that_takes_too_long_is_given_up(runtime: Runtime) -> None:
    with pytest.raises(NoAnswer, match=r"within 0\.05 s") as caught:
        runtime.call(asyncio.Event().wait(), 0.05)

    assert "try again" in caught.value.hint


@pytest.mark.embedded
def test_a_locked_database_is_said_in_words_and_the_run_is_not_stored(
    settings: Settings, pipeline: ScriptedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    with Runtime(settings, pipeline) as runtime:
        other = sqlite3.connect(
            database_file(database_url(settings)), isolation_level=None, timeout=10
        )
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another program"):
            runtime.submit(SPEC)
        other.execute("ROLLBACK")
        other.close()

        runtime.call(runtime._running.store.writer.flush())
        assert runtime.count() == 0


@pytest.mark.embedded
def test_a_run_left_for_later_is_logged_once_and_executed_when_it_can_be(
    runtime: Runtime,
    pipeline: ScriptedPipeline,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage = sqlite3.connect(database_file(database_url(settings)), timeout=10)
    run_id = held_run(runtime, pipeline, "writer")
    damage.execute(
        "CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    damage.commit()
    second = runtime.submit(SPEC)
    started = threading.Event()
    while caplog.text.count(f"{second} is left for later") < 1:
        started.wait(0.05)
    started.wait(2.5 * WATCH_S)  # it has been tried again meanwhile
    damage.execute("DROP TRIGGER full")
    damage.commit()
    damage.close()
    pipeline.held.clear()

    assert status_after(runtime, second) is RunStatus.DONE
    assert caplog.text.count(f"{second} is left for later") == 1
    runtime.cancel(run_id)


def test_a_time_out_inside_a_call_is_its_own(runtime: Runtime) -> None:
    async def gives_up() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        runtime.call(gives_up())
