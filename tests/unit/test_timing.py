"""Timing against simulated runs whose true durations are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings

from pipeline.agents.roster import ROSTER
from pipeline.events import (
    AdmissionQueued,
    AgentFinished,
    AgentStarted,
    BackoffStarted,
    CallAdmitted,
    CallFinished,
    CallHedged,
    CallSent,
    Event,
    FirstToken,
    RunFinished,
    RunStarted,
    UsageUpdated,
    decode,
    encode,
)
from pipeline.models import AgentState, Mode, Usage
from pipeline.plan import make_plan
from pipeline.timing import AgentTiming, RunTiming, Segment, run_timing
from pipeline.views.bars import gantt_bars, strip_bars
from tests.unit.simulated import Attempt, Script, Simulation, roster_of, simulations, unhurried


def simulated(scripts: dict[str, Script], mode: Mode = Mode.PHASES) -> Simulation:
    """Agents without needs, all in one phase."""
    roster = roster_of(dict.fromkeys(scripts, ()), dict.fromkeys(scripts, "p"))
    return Simulation(make_plan(roster, mode), scripts)


def timing(simulation: Simulation, now_s: float | None = None) -> RunTiming:
    return run_timing(simulation.plan, simulation.events, now_s)


def gaps_before(run: RunTiming, end_s: float) -> float:
    return sum(g.duration_s for g in run.gaps if g.end_s <= end_s + 1e-9)


@unhurried
@given(simulations(epochs=3))
def test_segments_and_gaps_add_up_to_the_time_of_settling(simulation: Simulation) -> None:
    run = timing(simulation)

    for agent in run.agents:
        assert agent.finished_s is not None
        wall_s = agent.segments.total_s + gaps_before(run, agent.finished_s)
        assert wall_s == pytest.approx(agent.finished_s, abs=1e-6)


@unhurried
@given(simulations(epochs=3))
def test_an_agents_spans_follow_each_other_without_overlap(simulation: Simulation) -> None:
    for agent in timing(simulation).agents:
        for before, after in zip(agent.spans, agent.spans[1:], strict=False):
            assert before.end_s <= after.start_s
            assert before.duration_s > 0


@unhurried
@given(simulations())
def test_service_time_is_what_was_used_and_nothing_else(simulation: Simulation) -> None:
    for agent in timing(simulation).agents:
        script = simulation.scripts[agent.agent]
        known_s = script.service_s if script.state is AgentState.DONE else 0.0
        assert agent.service_s == pytest.approx(known_s, abs=1e-5)


@unhurried
@given(simulations(states=False, epochs=3))
def test_service_time_is_the_same_for_a_run_that_was_interrupted(simulation: Simulation) -> None:
    for agent in timing(simulation).agents:
        known_s = simulation.scripts[agent.agent].service_s
        assert agent.service_s == pytest.approx(known_s, abs=1e-5)


@unhurried
@given(simulations())
def test_no_saving_exceeds_what_the_bound_leaves(simulation: Simulation) -> None:
    run = timing(simulation)

    assert run.makespan_s is not None
    assert run.bound_s is not None
    assert run.saved_s is not None
    assert run.makespan_s >= run.bound_s - 1e-5
    assert run.saved_s <= run.sequential_s - run.bound_s + 1e-5


@unhurried
@given(simulations(epochs=3))
def test_replaying_the_stored_facts_gives_the_same_gantt(simulation: Simulation) -> None:
    stored = [event for e in simulation.events if (event := decode(encode(e))) is not None]

    again = run_timing(simulation.plan, stored)

    assert again == timing(simulation)
    assert gantt_bars(again) == gantt_bars(timing(simulation))


@pytest.mark.slow
@settings(unhurried, max_examples=25)  # each run is cut off after every fact
@given(simulations(epochs=3))
def test_every_figure_is_a_number_or_none(simulation: Simulation) -> None:
    for count in range(len(simulation.events) + 1):
        run = run_timing(simulation.plan, simulation.events[:count])
        figures = [run.makespan_s, run.sequential_s, run.bound_s, run.saved_s, run.saved_share]
        figures += [phase.overlap_share for phase in run.phases]
        assert all(figure is None or math.isfinite(figure) for figure in figures)
        assert all(0 <= phase.overlap_share <= 1 for phase in run.phases)


@unhurried
@given(simulations(mode=Mode.SEQUENTIAL))
def test_a_sequential_run_is_measured_and_never_overlaps(simulation: Simulation) -> None:
    run = timing(simulation)

    assert run.sequential_kind == "measured"
    assert run.sequential_s == run.makespan_s
    assert run.saved_s == 0
    assert sum(bar.duration_s for bar in strip_bars(run)) == pytest.approx(run.makespan_s)
    for phase in run.phases:
        assert phase.overlap_share == pytest.approx(0.0, abs=1e-4)
        assert phase.peak_in_flight <= 1


def test_a_retried_call_is_cut_into_all_its_segments() -> None:
    tries = (Attempt(0.5, 1.0, 2.0, backoff_s=3.0), Attempt(0.25, 0.75, 4.0))
    run = timing_of_one(Script(calls=(tries,), commit_s=0.5))
    agent = run.agent("a")

    assert [(s.segment, s.duration_s, s.used) for s in agent.spans] == [
        (Segment.ADMISSION, 0.5, True),
        (Segment.FIRST_TOKEN, 1.0, False),
        (Segment.GENERATION, 2.0, False),
        (Segment.BACKOFF, 3.0, True),
        (Segment.ADMISSION, 0.25, True),
        (Segment.FIRST_TOKEN, 0.75, True),
        (Segment.GENERATION, 4.5, True),
    ]
    assert agent.service_s == 5.25
    assert agent.attempts == 2
    assert [call.outcome for call in agent.calls] == ["discarded", "used"]
    assert (agent.admitted_s, agent.started_s, agent.first_token_s) == (0.5, 0.5, 1.5)


def timing_of_one(script: Script) -> RunTiming:
    simulation = simulated({"a": script})
    simulation.run()
    return timing(simulation)


def test_tools_count_as_service_and_conversations_are_not_retries() -> None:
    run = timing_of_one(Script(calls=((Attempt(),), (Attempt(),)), tools_s=2.0))

    assert run.agent("a").segments.tools_s == 2.0
    assert run.agent("a").service_s == 5.0
    assert run.agent("a").attempts == 1
    assert run.agent("a").usage == Usage(20, 40)


def test_two_equal_agents_side_by_side_overlap_fully_and_save_half() -> None:
    simulation = simulated({"a": Script(), "b": Script()})
    simulation.run()

    run = timing(simulation)

    assert run.phases[0].overlap_share == 1.0
    assert run.phases[0].peak_in_flight == 2
    assert (run.phases[0].wall_s, run.phases[0].summed_s) == (1.5, 3.0)
    assert (run.makespan_s, run.sequential_s, run.bound_s) == (1.5, 3.0, 1.5)
    assert (run.saved_s, run.saved_share) == (1.5, 0.5)
    assert run.sequential_kind == "replayed"


def test_an_interrupted_run_shows_its_gap_and_no_saving() -> None:
    simulation = simulated({"a": Script(), "b": Script(calls=((Attempt(0, 1.0, 3.0),),))})
    simulation.run(2.0, told=False)
    last_s = simulation.now_s
    simulation.now_s = 10.0
    simulation.run()

    run = timing(simulation)

    assert [(gap.start_s, gap.end_s) for gap in run.gaps] == [(last_s, 10.0)]
    assert run.makespan_s == pytest.approx(last_s + 4.0)
    assert (run.saved_s, run.saved_share) == (None, None)
    assert run.agent("a").reused
    assert run.agent("a").finished_s == 1.5
    assert run.agent("b").service_s == pytest.approx(4.0)
    assert not any(
        s.used for s in run.agent("b").spans if s.segment is Segment.FIRST_TOKEN and s.end_s < 10
    )


def test_a_checkpoint_whose_last_fact_was_lost_keeps_its_earlier_work() -> None:
    simulation = simulated({"a": Script(commit_s=0.5)})
    simulation.run(1.8, told=False)
    simulation.done.add("a")  # committed, but the process died before it said so
    simulation.now_s = 10.0
    simulation.run()

    agent = timing(simulation).agent("a")

    assert (agent.state, agent.reused) == (AgentState.DONE, True)
    assert agent.service_s == pytest.approx(1.5)
    assert agent.finished_s == pytest.approx(1.5)


def test_an_agent_asked_again_after_settling_waits_in_between() -> None:
    simulation = simulated({"a": Script()})
    simulation.run()
    simulation.done.clear()  # its output was edited away: it works anew
    simulation.now_s = 5.0
    simulation.run()

    agent = timing(simulation).agent("a")

    assert agent.finished_s == 6.5
    assert agent.service_s == 1.5
    assert agent.segments.total_s == pytest.approx(3.0)  # 1.5 void, the gap is out, 1.5 used


def test_a_running_run_closes_open_spans_at_now() -> None:
    simulation = simulated({"a": Script(calls=((Attempt(0, 1.0, 9.0),),))})
    simulation.run(2.0, told=False)

    run = timing(simulation, now_s=4.0)

    assert run.running
    assert run.makespan_s is None
    assert run.bound_s is None
    assert run.critical == ()
    last = run.agent("a").spans[-1]
    assert (last.segment, last.end_s, last.open) == (Segment.GENERATION, 4.0, True)
    assert run.agent("a").service_s == 4.0


def test_a_failed_run_has_a_makespan_and_no_saving() -> None:
    simulation = simulated({"a": Script(calls=((Attempt(0, 1.0, 9.0),),))})
    simulation.run(2.0, told=True)

    run = timing(simulation)

    assert (run.makespan_s, run.saved_s) == (1.0, None)
    assert run.sequential_kind == "replayed"


def test_the_critical_path_is_the_chain_that_settled_last() -> None:
    slow = Script(calls=((Attempt(0, 1.0, 9.0),),))
    roster = roster_of({"a": [], "b": [], "c": ["a", "b"]}, {"a": "p", "b": "p", "c": "q"})
    simulation = Simulation(
        make_plan(roster, Mode.DATAFLOW), {"a": Script(), "b": slow, "c": Script()}
    )
    simulation.run()

    assert timing(simulation).critical == ("b", "c")


def test_usage_that_comes_late_replaces_what_was_told() -> None:
    simulation = simulated({"a": Script()})
    simulation.run()
    simulation.record(9.0, UsageUpdated, agent="a", call=1, input_tokens=7, output_tokens=None)

    assert timing(simulation).agent("a").usage == Usage(7, None)


def test_a_run_without_facts_has_no_figures() -> None:
    run = run_timing(make_plan(ROSTER, Mode.PHASES), [])

    assert (run.makespan_s, run.sequential_s, run.bound_s, run.saved_s) == (None, 0.0, None, None)
    assert [agent.state for agent in run.agents] == [AgentState.WAITING] * len(ROSTER)


def test_facts_of_agents_that_are_not_in_the_plan_are_skipped() -> None:
    events = [
        RunStarted(epoch=1, seq=1, at_s=0.0, wall_at=""),
        AgentFinished(epoch=1, seq=2, at_s=1.0, agent="from_the_future", state="done"),
    ]

    assert run_timing(make_plan(ROSTER, Mode.PHASES), events).horizon_s == 1.0


# Two attempts of one call in flight


def hedged_run(*steps: tuple[float, type[Event], dict[str, Any]]) -> AgentTiming:
    """One agent that is asked at 1 s and asked again at 4 s; then `steps`."""
    names = {"agent": "a", "call": 1}
    facts: list[tuple[float, type[Event], dict[str, Any]]] = [
        (0.0, RunStarted, {"wall_at": ""}),
        (0.0, AgentStarted, {"agent": "a"}),
        (0.0, AdmissionQueued, {**names, "attempt": 1}),
        (1.0, CallSent, {**names, "attempt": 1}),
        (4.0, CallHedged, {**names, "attempt": 2, "of": 1, "waited_s": 3.0}),
        (4.0, CallAdmitted, {**names, "attempt": 2}),
        (4.0, CallSent, {**names, "attempt": 2}),
        *((at_s, kind, {**names, **fields}) for at_s, kind, fields in steps),
        (9.0, AgentFinished, {"agent": "a", "state": "done"}),
        (9.0, RunFinished, {"status": "done"}),
    ]
    events: list[Any] = [
        kind(epoch=1, seq=seq, at_s=at_s, **fields)
        for seq, (at_s, kind, fields) in enumerate(facts, 1)
    ]
    plan = make_plan(roster_of({"a": ()}, {"a": "p"}), Mode.PHASES)
    return run_timing(plan, events).agent("a")


FIRST = {"attempt": 1}
SECOND = {"attempt": 2}
LOST = {"outcome": "discarded", "error_code": "hedged"}
USED = {"outcome": "used", "input_tokens": 3, "output_tokens": 7}


def test_when_the_second_request_wins_the_first_ones_time_is_not_service() -> None:
    agent = hedged_run(
        (5.0, FirstToken, SECOND),
        (5.0, CallFinished, {**FIRST, **LOST}),
        (8.0, CallFinished, {**SECOND, **USED}),
    )

    assert [(s.segment, s.start_s, s.end_s, s.attempt, s.used) for s in agent.spans] == [
        (Segment.ADMISSION, 0.0, 1.0, 1, True),
        (Segment.FIRST_TOKEN, 1.0, 4.0, 1, False),
        (Segment.FIRST_TOKEN, 4.0, 5.0, 2, True),
        (Segment.GENERATION, 5.0, 9.0, 2, True),
    ]
    assert agent.service_s == 5.0
    assert [(c.attempt, c.outcome, c.first_token_s) for c in agent.calls] == [
        (1, "discarded", None),
        (2, "used", 5.0),
    ]
    assert agent.usage == Usage(3, 7)


def test_when_the_first_request_wins_after_all_nothing_changes_but_the_count() -> None:
    agent = hedged_run(
        (5.0, FirstToken, FIRST),
        (5.0, CallFinished, {**SECOND, **LOST}),
        (8.0, CallFinished, {**FIRST, **USED}),
        (8.5, UsageUpdated, {"input_tokens": 3, "output_tokens": 8}),
    )

    assert agent.service_s == 8.0
    assert agent.segments.first_token_s == 4.0
    assert all(span.used for span in agent.spans)
    assert [c.outcome for c in agent.calls] == ["used", "discarded"]
    assert agent.usage == Usage(3, 8)


def test_when_the_first_request_fails_the_second_goes_on() -> None:
    agent = hedged_run(
        (5.0, CallFinished, {**FIRST, "outcome": "discarded", "error_code": "server_failed"}),
        (7.0, FirstToken, SECOND),
        (8.0, CallFinished, {**SECOND, **USED}),
    )

    assert agent.service_s == 5.0
    assert [s.used for s in agent.spans] == [True, False, True, True]


def test_when_both_fail_neither_is_service() -> None:
    failed = {"outcome": "discarded", "error_code": "server_failed"}
    agent = hedged_run(
        (5.0, CallFinished, {**SECOND, **failed}),
        (6.0, CallFinished, {**FIRST, **failed}),
        (6.0, BackoffStarted, {**FIRST, "delay_s": 1.0, "error": "down"}),
        (7.0, AdmissionQueued, {"attempt": 3}),
        (7.0, CallSent, {"attempt": 3}),
        (8.0, FirstToken, {"attempt": 3}),
        (9.0, CallFinished, {"attempt": 3, **USED}),
    )

    assert agent.service_s == 2.0
    assert sum(s.duration_s for s in agent.spans) == 9.0


def test_a_second_request_that_fails_leaves_the_first_alone() -> None:
    agent = hedged_run(
        (5.0, CallFinished, {**SECOND, "outcome": "discarded", "error_code": "rate_limited"}),
        (6.0, FirstToken, FIRST),
        (9.0, CallFinished, {**FIRST, **USED}),
    )

    assert agent.service_s == 8.0
