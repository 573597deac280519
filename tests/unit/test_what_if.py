"""What-if: questions to a run that is known, and what the answer looks like."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.roster import ROSTER
from pipeline.errors import PlanError
from pipeline.models import AgentSpec, AgentState, Mode, RunOptions
from pipeline.plan import Plan, make_plan
from pipeline.schedule import Release
from pipeline.simulate import Limits, simulate
from pipeline.timing import run_timing
from pipeline.what_if import (
    SECTION_COUNTS,
    Question,
    answer,
    concurrency_curve,
    facts,
    in_sections,
    plan_of,
    schedule_timing,
    width,
)
from pipeline.workload import Call, Workload, workloads_of
from tests.unit.simulated import Script, Simulation, plans, rosters, scripts, unhurried
from tests.unit.test_simulate import limits, work

RUN = make_plan(ROSTER, Mode.PHASES)
WRITER = "content_writer"

# tokens of the issue's fixed workload, at 60 tokens/s after 0.4 s
TOKENS = (250, 350, 250, 900, 900, 250, 180, 150, 250, 300)
FIXED = {
    agent.name: Workload((Call(0.4, tokens / 60, 100, tokens),))
    for agent, tokens in zip(ROSTER, TOKENS, strict=True)
}


def without_waits(script: Script) -> Script:
    """The attempts that are used, admitted at once."""
    calls = tuple((replace(attempts[-1], admission_s=0.0),) for attempts in script.calls)
    return replace(script, calls=calls)


@unhurried
@given(rosters(), st.data())
def test_a_run_in_one_mode_predicts_every_other(
    roster: list[AgentSpec], data: st.DataObject
) -> None:
    done = {a.name: without_waits(data.draw(scripts(states=False))) for a in roster}
    runs = []
    for mode in Mode:
        plan = make_plan(roster, mode)
        runs.append((plan, run_timing(plan, Simulation(plan, done).run())))

    for (plan, source), (mode, (_, target)) in product(runs, zip(Mode, runs, strict=True)):
        predicted_s = answer(plan, workloads_of(source), Question(mode)).makespan_s
        assert predicted_s == pytest.approx(target.makespan_s, abs=1e-4)


@given(work(), limits())
def test_the_facts_of_a_schedule_say_what_the_schedule_says(
    given: tuple[Plan, dict[str, Workload]], limits: Limits
) -> None:
    plan, loads = given
    schedule = simulate(plan, loads, limits)

    timing = run_timing(plan, facts(schedule))

    assert timing.makespan_s == schedule.makespan_s
    assert timing.bound_s == pytest.approx(schedule.bound_s)
    for agent in timing.agents:
        placed = schedule.agent(agent.agent)
        assert agent.state is AgentState.DONE
        assert (agent.ready_s, agent.finished_s) == (placed.started_s, placed.settled_s)
        assert agent.service_s == pytest.approx(loads[agent.agent].service_s)
        assert agent.segments.admission_s == pytest.approx(placed.admission_s)
    assert workloads_of(timing).keys() == loads.keys()


def test_every_figure_of_a_schedule_is_replayed_and_none_measured() -> None:
    timing = schedule_timing(answer(RUN, FIXED, Question(Mode.SEQUENTIAL)))

    assert timing.sequential_kind == "replayed"
    assert timing.makespan_s == pytest.approx(timing.sequential_s)
    assert timing.saved_s == pytest.approx(0.0)


def test_the_fixed_workload_in_every_mode() -> None:
    took = {mode: answer(RUN, FIXED, Question(mode)).makespan_s for mode in Mode}

    assert took == {
        Mode.SEQUENTIAL: pytest.approx(67.0),
        Mode.PHASES: pytest.approx(54.47, abs=0.01),
        Mode.DATAFLOW: pytest.approx(49.07, abs=0.01),
    }


def test_switches_of_phases_that_have_none_are_left_out() -> None:
    """A stored run may know switches of options that this question does not take."""
    question = Question(Mode.PHASES, {"writing": False, "research": False})

    schedule = answer(RUN, FIXED, question)

    assert schedule.plan.switches["research"] is False
    assert "writing" not in schedule.plan.switches


def test_sections_shorten_the_writing_by_their_number() -> None:
    whole = answer(RUN, FIXED, Question(Mode.DATAFLOW))
    divided = answer(RUN, FIXED, Question(Mode.DATAFLOW, sections=6))

    # 900 tokens become 6 × 150, the time to the first token stays
    assert whole.makespan_s - divided.makespan_s == pytest.approx(750 / 60)
    assert divided.plan.switches["writing"] is True
    assert divided.peak_in_flight == 6
    assert divided.agent(WRITER).steps == ()


def test_sections_in_sequence_cost_their_first_tokens() -> None:
    whole = answer(RUN, FIXED, Question(Mode.SEQUENTIAL))
    divided = answer(RUN, FIXED, Question(Mode.SEQUENTIAL, sections=6))

    assert divided.makespan_s - whole.makespan_s == pytest.approx(5 * 0.4)


def grown(sections: int, *, editing: bool = False) -> tuple[Plan, dict[str, Workload]]:
    """A run that wrote, or wrote and edited, by section, grown as the orchestrator grows it."""
    options = RunOptions(section_writing=True, section_editing=editing)
    parts = tuple((position,) for position in range(sections))
    plan = make_plan(ROSTER, Mode.PHASES, options=options).grown_by("topic_planner", parts)
    _, loads = in_sections(RUN, FIXED, sections, editing=editing)
    return plan, loads


@pytest.mark.parametrize("editing", [False, True])
def test_a_question_about_sections_is_about_the_plan_that_would_have_grown(editing: bool) -> None:
    plan, loads = grown(4, editing=editing)

    asked = plan_of(RUN, FIXED, Question(Mode.PHASES, sections=4, edit_sections=editing))

    assert asked.names == plan.names
    assert (asked.data_edges, asked.order_edges) == (plan.data_edges, plan.order_edges)
    assert loads.keys() == set(plan.names)


@pytest.mark.parametrize("sections", [None, *SECTION_COUNTS])
@pytest.mark.parametrize("editing", [False, True])
def test_a_run_that_grew_can_be_divided_otherwise(sections: int | None, editing: bool) -> None:
    plan, loads = grown(6, editing=editing)

    for mode in Mode:
        anew = answer(plan, loads, Question(mode, sections=sections, edit_sections=editing))
        at_first = answer(RUN, FIXED, Question(mode, sections=sections or 6, edit_sections=editing))
        assert anew.plan.names == at_first.plan.names
        assert anew.makespan_s == pytest.approx(at_first.makespan_s)


def test_the_issue_s_aim_for_sections_on_its_fixed_workload() -> None:
    phases_s = answer(RUN, FIXED, Question(Mode.PHASES)).makespan_s

    def share(*, editing: bool) -> float:
        question = Question(Mode.DATAFLOW, sections=6, edit_sections=editing)
        return answer(RUN, FIXED, question).makespan_s / phases_s

    assert share(editing=False) == pytest.approx(0.67, abs=0.01)
    assert share(editing=True) == pytest.approx(0.44, abs=0.01)


def test_a_run_with_a_forerunner_has_no_sequential_answer() -> None:
    plan = make_plan(ROSTER, Mode.PHASES, options=RunOptions(speculative_research=True))
    loads = {name: FIXED.get(name, FIXED["web_researcher"]) for name in plan.names}

    modes = {p.mode for p in concurrency_curve(plan, loads, Question(Mode.PHASES), (1, 2))}

    assert modes == {Mode.PHASES, Mode.DATAFLOW}
    with pytest.raises(PlanError, match="sequential"):
        answer(plan, loads, Question(Mode.SEQUENTIAL))


def test_a_faster_agent_shortens_the_run_only_on_the_critical_path() -> None:
    as_it_was = answer(RUN, FIXED, Question(Mode.DATAFLOW)).makespan_s

    def faster(name: str) -> float:
        question = Question(Mode.DATAFLOW, faster={name: 2.0})
        return answer(RUN, FIXED, question).makespan_s

    assert faster("kb_researcher") == as_it_was
    assert as_it_was - faster("editor") == pytest.approx(15.4 / 2)


def test_requests_per_minute_become_the_critical_path() -> None:
    limits = Limits(requests_per_minute=6)

    schedule = answer(RUN, FIXED, Question(Mode.DATAFLOW, limits=limits))

    assert {link.release for link in schedule.critical} >= {Release.REQUESTS}
    assert schedule.makespan_s > 9 * 10.0  # ten calls, ten seconds apart


def test_the_curve_falls_to_the_unlimited_makespan_of_each_mode() -> None:
    points = concurrency_curve(RUN, FIXED, Question(Mode.PHASES), range(1, 13))

    for mode in Mode:
        own = [point for point in points if point.mode is mode]
        assert [point.max_in_flight for point in own] == list(range(1, 13))
        assert own[0].makespan_s == pytest.approx(67.0)
        assert own[-1].makespan_s == answer(RUN, FIXED, Question(mode)).makespan_s


@given(plans())
def test_the_width_is_the_largest_set_of_agents_that_do_not_wait_for_each_other(
    plan: Plan,
) -> None:
    def waits(name: str) -> set[str]:
        before = set(plan.predecessors(name))
        return before.union(*(waits(n) for n in before))

    all_before = {name: waits(name) for name in plan.names}
    largest = max(
        size
        for size in range(1, len(plan.names) + 1)
        for group in combinations(plan.names, size)
        if all(b not in all_before[a] and a not in all_before[b] for a, b in combinations(group, 2))
    )

    assert width(plan) == largest


def test_the_ten_agents_are_four_wide_and_with_sections_wider() -> None:
    divided = plan_of(RUN, FIXED, Question(Mode.DATAFLOW, sections=6))

    assert width(make_plan(ROSTER, Mode.DATAFLOW)) == 4
    assert width(make_plan(ROSTER, Mode.PHASES)) == 2
    assert width(make_plan(ROSTER, Mode.SEQUENTIAL)) == 1
    assert width(make_plan(ROSTER, Mode.SEQUENTIAL), data_only=True) == 4
    assert width(divided) == 6
    # the join of the writers would be a seventh beside six editors, but makes no call
    edited = Question(Mode.DATAFLOW, sections=6, edit_sections=True)
    assert width(plan_of(RUN, FIXED, edited)) == 6
