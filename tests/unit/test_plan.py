"""Properties of the plan: what may start when, in every mode, for rosters nobody thought of."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.roster import ROSTER
from pipeline.errors import PlanError
from pipeline.events import AgentFinished, AgentStarted
from pipeline.models import AgentOutput, AgentSpec, AgentState, Mode, Need, OnFailure, Settlement
from pipeline.plan import (
    Plan,
    bound_s,
    critical_path,
    dependants,
    make_plan,
    missing_need,
    ready,
    settle,
    switchable_phases,
    waiting_for,
)
from tests.unit.simulated import Attempt, Script, Simulation, plans, rosters, unhurried

DURATIONS = st.lists(st.integers(1, 50).map(lambda n: n / 10), min_size=7, max_size=7)


def schedule(plan: Plan, durations_s: list[float]) -> Simulation:
    """An unlimited schedule: every agent works exactly as long as it is said to."""
    scripts = {
        name: Script(calls=((Attempt(0.0, 0.0, duration_s),),))
        for name, duration_s in zip(plan.names, durations_s, strict=False)
    }
    simulation = Simulation(plan, scripts)
    simulation.run()
    return simulation


def times(
    simulation: Simulation, kind: type[AgentStarted] | type[AgentFinished]
) -> dict[str, float]:
    return {e.agent: e.at_s for e in simulation.events if isinstance(e, kind)}


def done(name: str, *, empty: bool = False) -> Settlement:
    return Settlement(name, AgentState.DONE, AgentOutput("x"), empty=empty)


@unhurried
@given(plans(), DURATIONS)
def test_no_agent_starts_before_its_predecessors_have_settled(
    plan: Plan, durations_s: list[float]
) -> None:
    simulation = schedule(plan, durations_s)

    started, ended = times(simulation, AgentStarted), times(simulation, AgentFinished)
    assert set(started) == set(plan.names)
    for before, after in plan.data_edges | plan.order_edges:
        assert ended[before] <= started[after]


@unhurried
@given(rosters(), DURATIONS)
def test_phases_with_all_switches_off_equals_sequential(
    roster: list[AgentSpec], durations_s: list[float]
) -> None:
    off = dict.fromkeys(switchable_phases(roster), False)

    phases = schedule(make_plan(roster, Mode.PHASES, off), durations_s)
    sequential = schedule(make_plan(roster, Mode.SEQUENTIAL), durations_s)

    assert times(phases, AgentStarted) == times(sequential, AgentStarted)
    assert times(phases, AgentFinished) == times(sequential, AgentFinished)


@unhurried
@given(rosters(), DURATIONS)
def test_the_bound_is_below_every_schedule(
    roster: list[AgentSpec], durations_s: list[float]
) -> None:
    for mode in Mode:
        plan = make_plan(roster, mode)
        least_s = bound_s(plan, dict(zip(plan.names, durations_s, strict=False)))
        assert least_s <= schedule(plan, durations_s).now_s + 1e-6


@unhurried
@given(plans(), DURATIONS)
def test_the_critical_path_adds_up_to_the_makespan_of_an_unlimited_schedule(
    plan: Plan, durations_s: list[float]
) -> None:
    durations = dict(zip(plan.names, durations_s, strict=False))

    chain = critical_path(plan, durations)

    assert sum(durations[n] for n in chain) == pytest.approx(schedule(plan, durations_s).now_s)
    for before, after in itertools.pairwise(chain):
        assert before in plan.predecessors(after)


@unhurried
@given(plans())
def test_what_is_ready_waits_for_nobody_and_the_rest_does(plan: Plan) -> None:
    settled: dict[str, Settlement] = {}
    while len(settled) < len(plan.agents):
        now = ready(plan, settled)
        assert now, "a valid plan never gets stuck"
        for name in plan.names:
            if name not in settled:
                assert (name in now) == (not waiting_for(plan, name, settled.keys()))
        settled[now[0]] = done(now[0])
    assert ready(plan, settled) == ()


def test_started_agents_are_not_offered_again() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW)

    assert ready(plan, {}) == ("topic_planner", "kb_researcher")
    assert ready(plan, {}, {"topic_planner"}) == ("kb_researcher",)


def test_a_cycle_is_refused_naming_both_agents() -> None:
    planner = replace(ROSTER[0], needs=(Need("web_researcher"),))

    with pytest.raises(PlanError) as refused:
        make_plan((planner, ROSTER[1]), Mode.DATAFLOW)

    assert "topic_planner" in str(refused.value)
    assert "web_researcher" in str(refused.value)


def test_a_need_against_the_order_of_a_mode_is_refused_naming_both_agents() -> None:
    first = replace(ROSTER[0], name="first", needs=(Need("second"),))
    second = replace(ROSTER[0], name="second")
    make_plan((first, second), Mode.DATAFLOW)  # fine without order edges

    with pytest.raises(PlanError, match=r"`first` and `second`|`second` and `first`"):
        make_plan((first, second), Mode.SEQUENTIAL)


def test_a_missing_need_is_refused_naming_both_agents() -> None:
    with pytest.raises(PlanError, match="`web_researcher` needs `topic_planner`"):
        make_plan(ROSTER[1:], Mode.PHASES)


@pytest.mark.parametrize(
    ("roster", "switches", "words"),
    [
        ((), {}, "no agents"),
        ((ROSTER[0], ROSTER[0]), {}, "`topic_planner` stands in the roster twice"),
        (ROSTER, {"writing": True}, "`writing` has no switch"),
        (ROSTER, {"nonsense": True}, "`nonsense` has no switch"),
        ((*ROSTER[:2], replace(ROSTER[0], name="late")), {}, "`late` returns to phase `planning`"),
    ],
)
def test_a_bad_plan_is_refused_with_what_is_wrong(
    roster: tuple[AgentSpec, ...], switches: dict[str, bool], words: str
) -> None:
    with pytest.raises(PlanError, match=words):
        make_plan(roster, Mode.PHASES, switches)


def test_a_path_without_a_duration_is_refused() -> None:
    with pytest.raises(PlanError, match="`topic_planner` has no duration"):
        critical_path(make_plan(ROSTER, Mode.PHASES), {})


def test_switches_are_off_in_sequential_mode_whatever_is_asked() -> None:
    plan = make_plan(ROSTER, Mode.SEQUENTIAL, {"research": True})

    assert set(plan.switches.values()) == {False}


def test_the_writer_needs_one_researcher_who_found_something() -> None:
    writer = make_plan(ROSTER, Mode.PHASES).agent("content_writer")
    planned = {"topic_planner": done("topic_planner")}
    empty = {n: done(n, empty=True) for n in ("web_researcher", "kb_researcher")}

    assert "none of" in missing_need(writer, planned | empty)
    assert missing_need(writer, planned | empty | {"kb_researcher": done("kb_researcher")}) == ""
    assert "`topic_planner`" in missing_need(writer, empty)


def test_dependants_follow_data_not_order() -> None:
    plan = make_plan(ROSTER, Mode.SEQUENTIAL)

    assert dependants(plan, "seo_specialist") == ("publisher",)
    assert "social_promoter" in dependants(plan, "editor")


@pytest.mark.parametrize(
    ("rule", "substitute", "state"),
    [
        (OnFailure.STOP, None, AgentState.FAILED),
        (OnFailure.ABSENT, None, AgentState.ABSENT),
        (OnFailure.SUBSTITUTE, AgentOutput("draft", mark="unedited"), AgentState.SUBSTITUTED),
        (OnFailure.SUBSTITUTE, None, AgentState.ABSENT),
    ],
)
def test_a_failed_agent_settles_by_its_rule(
    rule: OnFailure, substitute: AgentOutput | None, state: AgentState
) -> None:
    agent = replace(ROSTER[0], on_failure=rule)

    settlement = settle(agent, PlanError("It broke."), substitute)

    assert settlement.state is state
    assert settlement.error == "It broke."
    assert settlement.has_value is (state is AgentState.SUBSTITUTED)
