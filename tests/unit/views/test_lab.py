"""What the Plan lab shows: labelled as simulated, and the same in picture, rows and words."""

from __future__ import annotations

import pytest
from hypothesis import given

from pipeline.agents.roster import ROSTER
from pipeline.models import Mode
from pipeline.plan import Plan, make_plan
from pipeline.simulate import Limits, simulate
from pipeline.timing import run_timing
from pipeline.views.lab import (
    assumptions,
    chain_points,
    chain_words,
    curve_figure,
    curve_words,
    enough_calls,
    lab_figures,
    lab_gantt,
    lab_rows,
    left_out,
)
from pipeline.what_if import Question, answer, concurrency_curve, plan_of
from pipeline.workload import Workload, workloads_of
from tests.unit.simulated import Simulation, simulations, unhurried
from tests.unit.test_simulate import limits, work
from tests.unit.test_what_if import FIXED

RUN = "abcdefghijklmnop"
PLAN = make_plan(ROSTER, Mode.PHASES)


@given(work(), limits())
def test_rows_and_chain_hold_the_schedule(
    given: tuple[Plan, dict[str, Workload]], limits: Limits
) -> None:
    schedule = simulate(*given, limits)

    rows = lab_rows(schedule)
    points = chain_points(schedule)

    assert [row["Agent"] for row in rows] == [agent.title for agent in schedule.plan.agents]
    assert max(float(row["Settles (s)"] or 0) for row in rows) == pytest.approx(
        schedule.makespan_s, abs=0.006
    )
    assert [at_s for _, at_s in points] == sorted(at_s for _, at_s in points)
    assert not points or points[-1][1] == schedule.makespan_s


def test_the_picture_says_where_it_comes_from() -> None:
    schedule = answer(PLAN, FIXED, Question(Mode.DATAFLOW, sections=4))

    figure = lab_gantt(schedule, RUN)

    assert figure.layout.title.text == "Simulated from run abcdefgh, not measured"
    chain = next(trace for trace in figure.data if trace.name == "critical path")
    assert chain.x[-1] == schedule.makespan_s
    assert len(figure.layout.yaxis.categoryarray) == 10 + 4


@unhurried
@given(simulations(states=False))
def test_only_what_the_run_took_is_called_measured(simulation: Simulation) -> None:
    measured = run_timing(simulation.plan, simulation.events)
    schedule = simulate(simulation.plan, workloads_of(measured))

    figures = {figure.key: figure for figure in lab_figures(schedule, measured)}

    assert [f.key for f in figures.values() if f.kind == "measured"] == ["measured"]
    assert figures["measured"].value_s == measured.makespan_s
    assert figures["simulated"].value_s == schedule.makespan_s
    assert measured.makespan_s is not None
    shorter_s = measured.makespan_s - schedule.makespan_s
    assert figures["difference"].value_s == abs(shorter_s)
    assert figures["difference"].label == ("Shorter" if shorter_s > 0 else "Longer")


@unhurried
@given(simulations())
def test_what_is_left_out_of_the_run_is_said(simulation: Simulation) -> None:
    measured = run_timing(simulation.plan, simulation.events)

    words = left_out(measured)

    waited_s = sum(a.segments.admission_s + a.segments.backoff_s for a in measured.agents)
    assert waited_s < 0.1 or f"{waited_s:.1f} s waiting" in words
    joins = {agent.name for agent in simulation.plan.agents if agent.join is not None}
    missed = [a.title for a in measured.agents if not a.service_s and a.agent not in joins]
    said = words.partition("without any time here: ")[2].removesuffix(".")
    assert said == ", ".join(missed)


def test_an_estimate_is_called_one() -> None:
    assert "estimate" not in assumptions(Question(Mode.PHASES))
    assert "estimate" in assumptions(Question(Mode.PHASES, sections=3))


def test_the_chain_names_what_else_was_waited_for() -> None:
    narrow = answer(PLAN, FIXED, Question(Mode.DATAFLOW, limits=Limits(1)))
    slow = answer(PLAN, FIXED, Question(Mode.DATAFLOW, limits=Limits(requests_per_minute=3)))

    assert "after waiting for a slot" in chain_words(narrow)
    assert "after waiting for requests per minute" in chain_words(slow)
    assert "waiting" not in chain_words(answer(PLAN, FIXED, Question(Mode.DATAFLOW)))


def test_the_words_under_the_curve_follow_from_the_plan() -> None:
    question = Question(Mode.DATAFLOW)
    points = concurrency_curve(PLAN, FIXED, question, range(1, 13))
    divided = plan_of(PLAN, FIXED, Question(Mode.DATAFLOW, sections=6))

    first, second = curve_words(points, plan_of(PLAN, FIXED, question), divided, "six sections")

    assert "At most 4 agents" in first
    assert f"{enough_calls(points, Mode.DATAFLOW)} calls at once" in first
    assert "with six sections at most 6" in second


def test_enough_calls_are_the_fewest_within_a_hundredth_of_the_least() -> None:
    points = concurrency_curve(PLAN, FIXED, Question(Mode.PHASES), range(1, 13))

    assert enough_calls(points, Mode.SEQUENTIAL) == 1
    assert enough_calls(points, Mode.PHASES) == 2
    assert enough_calls(points, Mode.DATAFLOW) in (3, 4)


def test_the_curve_rings_the_setting_and_starts_at_zero() -> None:
    question = Question(Mode.PHASES, limits=Limits(3))
    points = concurrency_curve(PLAN, FIXED, question, range(1, 13))
    schedule = answer(PLAN, FIXED, question)

    figure = curve_figure(points, schedule, question.limits)

    assert [trace.name for trace in figure.data] == ["Sequential", "Phases", "Dataflow", "as set"]
    assert (figure.data[-1].x[0], figure.data[-1].y[0]) == (3, schedule.makespan_s)
    assert figure.layout.yaxis.rangemode == "tozero"
