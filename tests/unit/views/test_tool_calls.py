"""Each call of a tool is a span of its own: on the Gantt, on the card and in the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.roster import ROSTER
from pipeline.events import (
    AgentFinished,
    AgentStarted,
    CallSent,
    Event,
    RunFinished,
    RunStarted,
    ToolCallFinished,
    ToolCallStarted,
    ToolsFinished,
    ToolsStarted,
)
from pipeline.models import Mode
from pipeline.plan import make_plan
from pipeline.spans import ToolSpan
from pipeline.timing import RunTiming, run_timing
from pipeline.views.bars import ChartClock, tool_bars, tool_bars_of
from pipeline.views.cards import ToolLine, card_states
from pipeline.views.gantt import gantt_figure
from tests.unit.simulated import Simulation, simulations

PLAN = make_plan(ROSTER, Mode.DATAFLOW)
AGENT = "kb_researcher"


def facts(*steps: tuple[float, type[Event], dict[str, Any]], epoch: int = 1) -> list[Any]:
    return [
        kind(epoch=epoch, seq=number, at_s=at_s, **fields)
        for number, (at_s, kind, fields) in enumerate(steps, 1)
    ]


def began(at_s: float, number: int, tool: str = "kb_search") -> tuple[float, type[Event], Any]:
    fields = {"agent": AGENT, "number": number, "tool": tool, "about": f"words {number}"}
    return at_s, ToolCallStarted, fields


def ended(at_s: float, number: int, **more: Any) -> tuple[float, type[Event], Any]:
    return at_s, ToolCallFinished, {"agent": AGENT, "number": number, **more}


BEFORE: tuple[tuple[float, type[Event], dict[str, Any]], ...] = (
    (0.0, RunStarted, {"wall_at": ""}),
    (1.0, AgentStarted, {"agent": AGENT}),
    (1.0, CallSent, {"agent": AGENT, "call": 1, "attempt": 1}),
    (2.0, ToolsStarted, {"agent": AGENT, "calls": []}),
)
TWO_AT_ONCE = (
    *BEFORE,
    began(2.0, 1),
    began(2.0, 2),
    ended(3.0, 1, passages=5),
    ended(4.0, 2, error="There is no such document."),
    (4.0, ToolsFinished, {"agent": AGENT}),
)


def timing_of(*steps: tuple[float, type[Event], dict[str, Any]]) -> RunTiming:
    return run_timing(PLAN, facts(*steps))


def lines_of(steps: Sequence[tuple[float, type[Event], dict[str, Any]]]) -> tuple[ToolLine, ...]:
    return next(c.tools for c in card_states(PLAN, facts(*steps)) if c.agent == AGENT)


def test_each_call_has_its_own_time_and_result() -> None:
    first, second = timing_of(*TWO_AT_ONCE).agent(AGENT).tools

    assert (first.start_s, first.end_s, first.passages, first.error) == (2.0, 3.0, 5, "")
    assert (second.start_s, second.end_s, second.passages) == (2.0, 4.0, 0)
    assert second.error


def test_calls_side_by_side_count_once_in_the_figures() -> None:
    assert timing_of(*TWO_AT_ONCE).agent(AGENT).segments.tools_s == 2.0


def test_tools_before_the_first_call_are_work_too() -> None:
    steps = (
        *BEFORE[:2],
        BEFORE[3],
        began(2.0, 1),
        ended(3.5, 1),
        (3.5, ToolsFinished, {"agent": AGENT}),
    )

    assert (
        timing_of(*steps, (3.5, AgentFinished, {"agent": AGENT, "state": "done"}))
        .agent(AGENT)
        .service_s
        == 1.5
    )


def test_a_card_has_a_line_for_each_call() -> None:
    running = lines_of(TWO_AT_ONCE[:-2])
    done = lines_of(TWO_AT_ONCE)

    assert running[1] == ToolLine("kb_search", "words 2", "running")
    assert done[0] == ToolLine("kb_search", "words 1", "done", "5 passages, 1.0 s")
    assert done[1].state == "failed"
    assert "no such document" in done[1].detail


def test_a_call_cut_off_ends_with_its_agent() -> None:
    steps = (*BEFORE, began(2.0, 1), (3.0, AgentFinished, {"agent": AGENT, "state": "failed"}))

    assert timing_of(*steps).agent(AGENT).tools[0].end_s == 3.0


def test_calls_of_an_interrupted_epoch_are_void_and_leave_the_card() -> None:
    first = facts(*BEFORE, began(2.0, 1))
    again = facts((60.0, RunStarted, {"wall_at": "", "resumed": True}), epoch=2)
    events = [*first, *again]

    (call,) = run_timing(PLAN, events).agent(AGENT).tools
    (card,) = (c for c in card_states(PLAN, events) if c.agent == AGENT)

    assert (call.used, call.end_s) == (False, 2.0)
    assert card.tools == ()


def test_the_figure_draws_each_call_and_no_word_of_a_model() -> None:
    hostile = "<a href=javascript:alert(1)>x</a>"
    steps = (
        *BEFORE,
        began(2.0, 1),
        began(2.0, 2, tool=hostile),
        ended(3.0, 1, passages=1),
        ended(3.0, 2, error=hostile),
        (3.0, ToolsFinished, {"agent": AGENT}),
        (4.0, RunFinished, {"status": "done"}),
    )

    figure = gantt_figure(PLAN, timing_of(*steps))

    (trace,) = (t for t in figure.data if t.name == "tool calls")
    assert list(trace.x) == [1.0, 1.0]
    assert trace.offset[0] != trace.offset[1]
    assert "1 passage" in trace.customdata[0]
    said = "".join(trace.customdata)
    assert "href" not in said
    assert "words" not in said


TOOLS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 8)).map(
        lambda pair: ToolSpan("a", 0, "t", "", float(pair[0]), float(pair[0] + pair[1]))
    ),
    max_size=12,
)


@given(TOOLS)
def test_bars_in_one_lane_never_overlap_and_lanes_are_no_more_than_needed(
    tools: list[ToolSpan],
) -> None:
    bars = tool_bars_of("research", tools, ChartClock(), 100.0)

    assert len(bars) == len(tools)
    for bar in bars:
        assert 0 <= bar.lane < bar.lanes
        if bar.duration_s > 0:  # what took no time shares no lane with anybody
            at_once = sum(o.start_s <= bar.start_s < o.end_s for o in bars)
            assert bar.lanes >= at_once
    for one in bars:
        for other in bars:
            if one is not other and one.lane == other.lane:
                assert one.end_s <= other.start_s or other.end_s <= one.start_s
    most = max((bar.lanes for bar in bars), default=0)
    peak = max((sum(o.start_s <= b.start_s <= o.end_s for o in bars) for b in bars), default=0)
    assert most <= peak


@given(simulations())
def test_calls_lie_within_the_tools_pieces_of_their_agent(simulation: Simulation) -> None:
    simulation.run()
    timing = run_timing(simulation.plan, simulation.events)

    for bar in tool_bars(timing):
        assert 0 <= bar.start_s <= bar.end_s <= ChartClock(timing.gaps).at(timing.horizon_s)
