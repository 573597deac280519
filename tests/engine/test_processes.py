"""Several processes on one data folder: crashes, viewers, takeover."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.cli.following import let_others_finish
from pipeline.engine import Runtime
from pipeline.errors import EngineBusy
from pipeline.events import AgentStarted
from pipeline.models import Endpoint, RunSpec, RunStatus
from pipeline.settings import Settings
from tests.engine.conftest import StartRuntime
from tests.engine.scripted import ScriptedPipeline

pytestmark = pytest.mark.slow

SPEC = RunSpec(topic="Tidal power")
ROOT = Path(__file__).parents[2]


@contextmanager
def child_holding(agent: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process whose run stands in `agent`; and that run's id."""
    command = [sys.executable, "-m", "tests.engine.scripted", str(folder), agent]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            run_id = process.stdout.readline().strip()
            assert run_id, "the child did not start"
            yield process, run_id
        finally:
            process.kill()


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("killed_in", "worked_after"),
    [("planner", ["planner", "writer", "editor"]), ("editor", ["editor"])],
)
def test_after_kill_9_the_next_start_runs_only_what_was_not_finished(
    settings: Settings, pipeline: ScriptedPipeline, killed_in: str, worked_after: list[str]
) -> None:
    with child_holding(killed_in, settings.data_dir) as (process, run_id):
        process.kill()
        process.wait(10)

    with Runtime(settings, pipeline) as runtime:
        record = runtime.wait(run_id, 10)
        facts = runtime.events(run_id)

    assert record is not None
    assert (record.status, record.epoch) == (RunStatus.DONE, 2)
    assert pipeline.worked == worked_after
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    began = [fact.agent for fact in facts if isinstance(fact, AgentStarted) and fact.epoch == 2]
    assert began == worked_after


@pytest.mark.embedded
def test_a_viewer_in_another_process_takes_over_when_the_engine_dies(
    settings: Settings, pipeline: ScriptedPipeline
) -> None:
    with (
        child_holding("writer", settings.data_dir) as (process, run_id),
        Runtime(settings, pipeline) as viewer,
    ):
        assert not viewer.is_engine
        assert viewer.journal(run_id) is None
        process.kill()
        process.wait(10)

        record = viewer.wait(run_id, 10)

        assert viewer.is_engine
    assert record is not None
    assert record.status is RunStatus.DONE
    assert pipeline.worked == ["writer", "editor"]


def test_a_viewer_submits_and_the_engine_executes(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    engine, viewers_own = start(pipeline), ScriptedPipeline()
    viewer = start(viewers_own)
    assert (engine.is_engine, viewer.is_engine) == (True, False)

    run_id = viewer.submit(SPEC)

    record = viewer.wait(run_id, 10)
    assert record is not None
    assert record.status is RunStatus.DONE
    assert pipeline.worked == ["planner", "writer", "editor"]
    assert viewers_own.worked == []


def test_a_viewer_cancels_what_the_engine_executes(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    engine, viewer = start(pipeline), start(ScriptedPipeline())
    pipeline.held.add("writer")
    run_id = engine.submit(SPEC)
    assert pipeline.reached["writer"].wait(10)

    assert viewer.cancel(run_id)

    record = engine.wait(run_id, 10)
    assert record is not None
    assert record.status is RunStatus.CANCELLED
    assert pipeline.at_once == 0


def test_a_viewer_deletes_what_the_engine_executes(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    engine, viewer = start(pipeline), start(ScriptedPipeline())
    pipeline.held.add("writer")
    run_id = engine.submit(SPEC)
    assert pipeline.reached["writer"].wait(10)

    assert viewer.delete(run_id)

    assert engine.wait(run_id, 10) is None
    assert pipeline.at_once == 0


@pytest.mark.embedded
def test_a_key_typed_into_a_viewer_is_refused_with_the_reason(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    start(pipeline)
    viewer = start(ScriptedPipeline())

    with pytest.raises(EngineBusy, match="Another Gantry process"):
        viewer.submit(SPEC, typed_endpoint=Endpoint(None, "sk-typed"))

    assert viewer.count() == 0


@pytest.mark.embedded
def test_an_engine_that_drains_ends_what_it_executes_and_leaves_the_rest_to_the_next(
    start: StartRuntime, pipeline: ScriptedPipeline
) -> None:
    engine, viewers_own = start(pipeline), ScriptedPipeline()
    viewer = start(viewers_own)
    pipeline.held.add("writer")
    executing = viewer.submit(SPEC)
    assert pipeline.reached["writer"].wait(10)

    assert engine.drain() == {executing}
    queued = viewer.submit(SPEC)
    late = engine.submit(SPEC)
    engine.call(pipeline.release("writer"))
    done = engine.wait(executing, 10)
    assert engine.drain() == frozenset()
    engine.close()

    for run_id in (queued, late):
        record = viewer.wait(run_id, 10)
        assert record is not None
        assert (record.status, record.epoch) == (RunStatus.DONE, 1)
    assert done is not None
    assert (done.status, done.epoch) == (RunStatus.DONE, 1)
    assert pipeline.worked == ["planner", "writer", "editor"]
    assert sorted(viewers_own.worked) == sorted(["planner", "writer", "editor"] * 2)


@pytest.mark.embedded
def test_the_command_line_waits_for_the_runs_of_others_and_says_so(
    start: StartRuntime, pipeline: ScriptedPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = start(pipeline)
    pipeline.held.add("writer")
    run_id = engine.submit(SPEC)
    assert pipeline.reached["writer"].wait(10)
    waiting = threading.Thread(target=let_others_finish, args=(engine,))
    waiting.start()
    said = ""
    while run_id not in said:
        assert waiting.is_alive()
        said += capsys.readouterr().err

    engine.call(pipeline.release("writer"))
    waiting.join(10)

    assert not waiting.is_alive()
    record = engine.run(run_id)
    assert record is not None
    assert (record.status, record.epoch) == (RunStatus.DONE, 1)
    assert said.count("waiting for run") == 1
