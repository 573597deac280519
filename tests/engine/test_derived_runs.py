"""Derived runs and approvals from end to end: real tables, the real pipeline, the demo's sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.agents.edited_output import edited_fields
from pipeline.agents.roster import ROSTER
from pipeline.assembly import build_runtime
from pipeline.derived import Edit
from pipeline.engine import Runtime
from pipeline.errors import SpecError
from pipeline.events import AgentStarted, CallSent, PlanGrown, RunDerived, RunFinished
from pipeline.export.bundle import Bundle
from pipeline.models import AgentOutput, Mode, RunOptions, RunRecord, RunSpec, RunStatus
from pipeline.settings import Settings

pytestmark = pytest.mark.slow

WAIT_S = 60.0
APPROVING = RunOptions(approve_outline=True, section_writing=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=None, demo_speed="instant", openai_api_key=None)


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    with build_runtime(settings) as runtime:
        yield runtime


def spec(**over: object) -> RunSpec:
    return RunSpec(topic="Heat pumps in old buildings", speed="instant", **over)


def rests(runtime: Runtime, run_id: str) -> RunRecord:
    record = runtime.wait(run_id, WAIT_S)
    assert record is not None
    return record


def calls(runtime: Runtime, run_id: str, epoch: int | None = None) -> list[str]:
    """Who was asked, once per call."""
    return [
        event.agent
        for event in runtime.events(run_id)
        if isinstance(event, CallSent) and epoch in (None, event.epoch)
    ]


def outline(runtime: Runtime, run_id: str, *headings: str) -> AgentOutput:
    """The run's outline with other headings, as a person would edit it."""
    before = runtime.checkpoints(run_id)["topic_planner"].output
    assert before.data is not None
    sections = before.data["outline"]
    changed = [{**sections[n], "heading": heading} for n, heading in enumerate(headings)]
    return edited_fields(ROSTER[0], before, {**before.data, "outline": changed})


def test_a_derived_run_is_a_new_run_and_its_parent_stays_as_it_is(runtime: Runtime) -> None:
    parent = runtime.submit(spec())
    rests(runtime, parent)
    before = (runtime.run(parent), runtime.events(parent), runtime.checkpoints(parent))

    child = runtime.rerun(parent, {"summary_writer": Edit(addition="Name the city of Lyon.")})

    record = rests(runtime, child)
    assert (record.status, record.parent_id, record.epoch) == (RunStatus.DONE, parent, 1)
    assert set(calls(runtime, child)) == {"summary_writer"}
    first = runtime.events(child)[0]
    assert isinstance(first, RunDerived) and first.parent == parent
    assert [e.seq for e in runtime.events(child)] == list(range(1, len(runtime.events(child)) + 1))
    assert (runtime.run(parent), runtime.events(parent), runtime.checkpoints(parent)) == before
    assert set(runtime.checkpoints(child)) == set(before[2])
    assert record.saved_share is None


def test_a_parent_may_be_deleted_and_its_child_lives_on(runtime: Runtime) -> None:
    parent = runtime.submit(spec())
    rests(runtime, parent)
    child = runtime.rerun(parent, {"publisher": Edit()})
    rests(runtime, child)

    assert runtime.delete(parent)

    record = runtime.run(child)
    assert record is not None and record.parent_id == parent
    assert runtime.checkpoints(child)["editor"].output.text
    grandchild = runtime.rerun(child, {"publisher": Edit()})
    assert rests(runtime, grandchild).status is RunStatus.DONE
    assert set(calls(runtime, grandchild)) == {"publisher"}


def test_only_an_owner_derives_and_only_from_what_is_over(runtime: Runtime) -> None:
    parent = runtime.submit(spec(options=APPROVING))
    assert rests(runtime, parent).status is RunStatus.WAITING_APPROVAL

    with pytest.raises(SpecError, match="not over"):
        runtime.rerun(parent, {"topic_planner": Edit()})
    with pytest.raises(SpecError, match="no such run"):
        runtime.rerun(parent, {"topic_planner": Edit()}, owner="somebody else")
    with pytest.raises(SpecError, match="no such run"):
        runtime.approve(parent, owner="somebody else")


@pytest.mark.parametrize("mode", list(Mode))
def test_a_run_stops_after_planning_and_nothing_is_left_running(
    runtime: Runtime, mode: Mode
) -> None:
    run_id = runtime.submit(spec(options=APPROVING, mode=mode))

    record = rests(runtime, run_id)

    assert record.status is RunStatus.WAITING_APPROVAL
    assert (record.finished_at, record.makespan_s, record.saved_share) == (None, None, None)
    events = runtime.events(run_id)
    assert isinstance(events[-1], RunFinished) and events[-1].status == "waiting_approval"
    began = {event.agent for event in events if isinstance(event, AgentStarted)}
    beside = {"kb_researcher"} if mode is Mode.DATAFLOW else set()
    assert began == set(runtime.checkpoints(run_id)) == {"topic_planner"} | beside


def test_waiting_survives_a_restart_and_what_was_approved_is_written(settings: Settings) -> None:
    with build_runtime(settings) as before:
        run_id = before.submit(spec(options=APPROVING, mode=Mode.DATAFLOW))
        rests(before, run_id)
    with build_runtime(settings) as after:
        assert rests(after, run_id).status is RunStatus.WAITING_APPROVAL
        changed = outline(after, run_id, "Why now", "What it costs", "How to begin")

        after.approve(run_id, outline=changed)

        record = rests(after, run_id)
        events, checkpoints = after.events(run_id), after.checkpoints(run_id)
        asked = calls(after, run_id)
        second = calls(after, run_id, epoch=2)
        with pytest.raises(SpecError, match="does not wait"):
            after.approve(run_id)
    assert (record.status, record.epoch) == (RunStatus.DONE, 2)
    assert asked.count("topic_planner") == 1
    assert "kb_researcher" not in second
    grown = [event.parts for event in events if isinstance(event, PlanGrown)]
    assert grown[-1] == [[0], [1], [2]]
    assert checkpoints["topic_planner"].edited
    assert "## What it costs" in checkpoints["content_writer"].output.text
    bundle = Bundle(record, events, checkpoints)
    assert bundle.edited == ("topic_planner",)
    assert len(bundle.timing.gaps) == 1
    assert bundle.timing.saved_s is None


def test_an_outline_approved_as_it_is_goes_on_without_being_made_again(runtime: Runtime) -> None:
    run_id = runtime.submit(spec(options=APPROVING))
    rests(runtime, run_id)

    runtime.approve(run_id)

    assert rests(runtime, run_id).status is RunStatus.DONE
    assert calls(runtime, run_id).count("topic_planner") == 1
    assert not runtime.checkpoints(run_id)["topic_planner"].edited


def test_a_run_cancelled_while_it_waits_stays_so_and_continued_it_asks_again(
    runtime: Runtime,
) -> None:
    run_id = runtime.submit(spec(options=APPROVING))
    rests(runtime, run_id)

    assert runtime.cancel(run_id)
    assert rests(runtime, run_id).status is RunStatus.CANCELLED
    with pytest.raises(SpecError, match="does not wait"):
        runtime.approve(run_id)
    runtime.resume(run_id)

    assert rests(runtime, run_id).status is RunStatus.WAITING_APPROVAL
    assert calls(runtime, run_id).count("topic_planner") == 1


def test_a_derived_run_with_the_outline_edited_does_not_ask_for_approval_again(
    runtime: Runtime,
) -> None:
    parent = runtime.submit(spec(options=APPROVING))
    rests(runtime, parent)
    runtime.approve(parent)
    rests(runtime, parent)

    edited = {"topic_planner": Edit(output=outline(runtime, parent, "One", "Two", "Three"))}
    child = runtime.rerun(parent, edited)
    asked_again = runtime.rerun(parent, {"topic_planner": Edit()})

    assert rests(runtime, child).status is RunStatus.DONE
    assert rests(runtime, asked_again).status is RunStatus.WAITING_APPROVAL
