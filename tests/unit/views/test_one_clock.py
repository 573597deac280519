"""Pauses count nowhere: live clock, cards, chart, tables and exports tell the same time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given

from pipeline.export.gantt_svg import gantt_svg
from pipeline.models import RunRecord, RunSpec, RunStatus
from pipeline.timing import run_timing
from pipeline.views.cards import card_states
from pipeline.views.gantt import gantt_bars, gantt_figure
from pipeline.views.live import snapshot
from pipeline.views.tables import agent_rows
from tests.unit.simulated import Simulation, simulations, unhurried

pytestmark = pytest.mark.slow

RUN = RunRecord(
    "run", "local", RunStatus.RUNNING, 1, RunSpec(topic="Bees"), datetime(2026, 1, 1, tzinfo=UTC)
)


@unhurried
@given(simulations(epochs=3))
def test_every_place_ends_when_the_run_does(simulation: Simulation) -> None:
    timing = run_timing(simulation.plan, simulation.events)
    total_s = timing.makespan_s
    assert total_s is not None
    at_most = total_s + 1e-6

    assert snapshot(RUN, simulation.plan, simulation.events, {})["now_s"] == pytest.approx(total_s)
    assert max((bar.end_s for bar in gantt_bars(timing)), default=0) <= at_most
    for row in agent_rows(timing):
        started = row["Started (s)"]
        assert started is None or float(started) <= at_most + 0.01
    for card in card_states(simulation.plan, simulation.events):
        agent = timing.agent(card.agent)
        if card.finished_s is not None:
            assert card.finished_s == pytest.approx(agent.segments.total_s)
            assert card.finished_s <= at_most
        assert card.elapsed_s is None or card.elapsed_s <= at_most


@unhurried
@given(simulations(epochs=3))
def test_every_chart_says_each_pause(simulation: Simulation) -> None:
    timing = run_timing(simulation.plan, simulation.events)

    figure = gantt_figure(simulation.plan, timing)
    live = snapshot(RUN, simulation.plan, simulation.events, {})["gantt"]

    said = [n.text for n in figure.layout.annotations if n.text.startswith("paused ")]
    assert len(said) == len(live["gaps"]) == len(timing.gaps)
    drawn = gantt_svg(timing)
    assert not drawn or drawn.count(">paused ") == len(timing.gaps)
    for gap, mark in zip(timing.gaps, live["gaps"], strict=True):
        assert mark["duration_s"] == gap.duration_s
