"""The Gantt: numbers on the bars, not pixels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from pipeline.agents.roster import ROSTER
from pipeline.events import AgentFinished, AgentStarted, RunFinished, RunStarted
from pipeline.export.gantt_svg import gantt_svg
from pipeline.journal import Journal
from pipeline.models import Mode
from pipeline.plan import make_plan
from pipeline.spans import Gap, Segment
from pipeline.timing import run_timing
from pipeline.views.bars import (
    PHASE_PALETTE,
    SEGMENT_WORDS,
    ChartClock,
    gantt_bars,
    gap_lanes,
    phase_colours,
    row_labels,
    said_s,
    strip_bars,
)
from pipeline.views.gantt import gantt_figure
from tests.unit.simulated import Attempt, Script, Simulation, plans, simulations, unhurried

ROOT = Path(__file__).parents[3]
PLAN = make_plan(ROSTER, Mode.PHASES)


def finished(mode: Mode = Mode.PHASES, **scripts: Script) -> Simulation:
    plan = make_plan(ROSTER, mode)
    simulation = Simulation(plan, {name: scripts.get(name, Script()) for name in plan.names})
    simulation.run()
    return simulation


def figure_of(simulation: Simulation) -> Any:
    return gantt_figure(simulation.plan, run_timing(simulation.plan, simulation.events))


def texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_in(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts_in(item)]
    return []


@unhurried
@given(simulations(epochs=3))
def test_an_agents_bars_cover_its_row_without_overlap(simulation: Simulation) -> None:
    timing = run_timing(simulation.plan, simulation.events)
    rows: dict[str, float] = {}

    for bar in gantt_bars(timing):
        assert bar.start_s >= rows.get(bar.agent, 0.0) - 1e-6
        assert bar.duration_s >= 0
        rows[bar.agent] = bar.end_s

    assert set(rows) <= set(simulation.plan.names)


@unhurried
@given(simulations(epochs=2))
def test_the_strip_is_end_to_end_and_as_long_as_the_sequential_time(
    simulation: Simulation,
) -> None:
    timing = run_timing(simulation.plan, simulation.events)
    end_s = 0.0

    for bar in strip_bars(timing):
        assert bar.start_s == pytest.approx(end_s)
        end_s = bar.start_s + bar.duration_s

    assert end_s == pytest.approx(timing.sequential_s)


def test_every_agent_has_a_row_in_roster_order_and_the_first_is_on_top() -> None:
    figure = figure_of(finished())

    labels = list(row_labels(PLAN).values())
    assert list(figure.layout.yaxis.tickvals) == labels
    top, bottom = figure.layout.yaxis.range[1], figure.layout.yaxis.range[0]
    assert top < bottom


@pytest.mark.parametrize(
    ("mode", "kind"), [(Mode.PHASES, "replayed"), (Mode.SEQUENTIAL, "measured")]
)
def test_the_strip_says_whether_it_was_measured(mode: Mode, kind: str) -> None:
    figure = figure_of(finished(mode))

    strip = next(trace for trace in figure.data if trace.yaxis == "y2")
    assert kind in strip.y[0]
    assert sum(strip.x) == pytest.approx(15.0)


def test_the_bound_is_drawn_where_it_is_and_labelled() -> None:
    simulation = finished()
    bound_s = run_timing(simulation.plan, simulation.events).bound_s

    figure = figure_of(simulation)

    assert [shape.x0 for shape in figure.layout.shapes] == [bound_s]
    assert [note.text for note in figure.layout.annotations] == [f"bound {bound_s:.1f} s"]


def test_a_discarded_attempt_is_marked() -> None:
    tries = (Attempt(0.0, 1.0, 2.0, backoff_s=1.0), Attempt())
    with_failure = figure_of(finished(editor=Script(calls=(tries,))))

    discarded = [t for t in with_failure.data if t.name == "discarded" and t.customdata]
    assert [list(trace.y) for trace in discarded] == [["Editor", "Editor"]]
    assert not [t for t in figure_of(finished()).data if t.name == "discarded"]


def test_the_critical_path_is_marked_at_the_end_of_its_agents() -> None:
    simulation = finished(kb_researcher=Script(calls=((Attempt(0, 1, 9),),)))
    timing = run_timing(simulation.plan, simulation.events)

    trace = next(t for t in figure_of(simulation).data if t.name == "critical path")

    assert "KB researcher" in trace.y
    assert "Web researcher" not in trace.y
    assert trace.x[-1] == timing.makespan_s


def test_a_long_pause_takes_little_room_and_is_labelled() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    simulation = Simulation(plan, dict.fromkeys(plan.names, Script()))
    simulation.run(2.0, told=False)
    simulation.now_s += 8 * 3600
    simulation.run()

    figure = figure_of(simulation)

    assert figure.layout.xaxis.range[1] < 30
    assert "paused 8 h 00 min" in [note.text for note in figure.layout.annotations]


def test_the_label_of_a_pause_stands_clear_of_bars_and_diamonds() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    simulation = Simulation(plan, dict.fromkeys(plan.names, Script()))
    simulation.run(2.0, told=False)
    simulation.now_s += 600
    simulation.run()
    timing = run_timing(simulation.plan, simulation.events)

    label = next(n for n in figure_of(simulation).layout.annotations if "paused" in n.text)

    assert (label.xshift, label.xanchor) == (9, "left")  # a diamond is 9 pixels wide
    lane = next(name for name, text in row_labels(plan).items() if text == label.y)
    work = [b for b in gantt_bars(timing) if b.agent == lane and b.segment is not Segment.WAITING]
    assert all(bar.end_s <= label.x or bar.start_s >= label.x + 1 for bar in work)


def test_labels_of_several_pauses_stand_in_rows_of_their_own() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    simulation = Simulation(plan, dict.fromkeys(plan.names, Script()))
    for _ in range(3):
        simulation.run(1.0, told=False)
        simulation.now_s += 60
    simulation.run()

    lanes = gap_lanes(run_timing(simulation.plan, simulation.events))

    assert len(lanes) == len(set(lanes)) == 3


def test_pauses_do_not_count_in_the_runs_own_time() -> None:
    clock = ChartClock([Gap(10, 110), Gap(120, 120.5)])

    assert [clock.at(s) for s in (5, 10, 60, 110, 115, 130)] == [5, 10, 10, 10, 15, 29.5]
    assert clock.paused_s == 100.5
    assert [(mark.at_s, mark.duration_s) for mark in clock.marks()] == [(10, 100), (20, 0.5)]


def test_no_text_of_a_model_or_provider_is_in_the_figure() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    simulation = finished()
    plain = texts_in(figure_of(simulation).to_plotly_json())
    for index, event in enumerate(simulation.events):
        if event.kind == "agent_finished":
            changes = {"mark": hostile, "error": hostile, "hint": hostile}
            simulation.events[index] = type(event)(**{**_fields(event), **changes})

    assert texts_in(figure_of(simulation).to_plotly_json()) == plain


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_a_run_without_facts_draws_an_empty_chart() -> None:
    figure = gantt_figure(PLAN, run_timing(PLAN, []))

    assert figure.layout.xaxis.range[1] > 0


def test_labels_are_short_enough_for_a_phone_and_differ() -> None:
    labels = row_labels(PLAN)

    assert labels["kb_researcher"] == "KB researcher"
    assert labels["seo_specialist"] == "SEO specialist"
    assert max(len(label) for label in labels.values()) <= 17
    assert len(set(labels.values())) == len(labels)


@unhurried
@given(plans())
def test_every_phase_has_a_colour(plan: Any) -> None:
    assert list(phase_colours(plan)) == list(plan.phases)
    assert set(phase_colours(plan).values()) <= set(PHASE_PALETTE)


def test_durations_are_said_as_people_say_them() -> None:
    assert [said_s(s) for s in (0.44, 59.94, 125, 28_680)] == [
        "0.4 s",
        "59.9 s",
        "2 min 05 s",
        "7 h 58 min",
    ]


def test_the_legend_names_only_the_kinds_of_time_that_occur() -> None:
    simple = {t.name for t in figure_of(finished()).data if t.showlegend}
    slow = {
        t.name for t in figure_of(finished(editor=Script(((Attempt(1.0),),)))).data if t.showlegend
    }

    assert "waiting for admission" not in simple
    assert {"waiting for admission", "waiting for inputs"} <= slow


def test_the_live_chart_says_it_in_the_same_words() -> None:
    script = (ROOT / "pipeline" / "web" / "live_view" / "gantt.js").read_text("utf-8")
    block = script.split("const SEGMENT_WORDS = {")[1].split("};")[0]
    live = dict(re.findall(r'(\w+): "([^"]+)"', block))

    words = {kind.value: word for kind, word in SEGMENT_WORDS.items()} | {"discarded": "discarded"}
    assert live == {kind: word for kind, word in words.items() if kind != "waiting"}


def test_a_run_without_a_call_of_use_has_no_empty_strip() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    run = Journal("run")
    run.record(RunStarted, wall_at="")
    run.record(AgentStarted, agent="topic_planner")
    run.record(AgentFinished, agent="topic_planner", state="failed")
    run.record(RunFinished, status="failed")

    figure = gantt_figure(plan, run_timing(plan, run.events))

    assert "one after another" not in [trace.name for trace in figure.data]
    assert figure.layout.yaxis2.visible is False
    assert "one after another" not in gantt_svg(run_timing(plan, run.events))
