"""What the Plan lab shows: a simulated schedule as a Gantt, a curve, rows and sentences.

Pure. Everything here is simulated from one run and says so; figures that were measured come from
`timing.py` and are named as measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from pipeline.models import AgentState, Mode
from pipeline.plan import Plan
from pipeline.schedule import Release, Schedule
from pipeline.simulate import Limits
from pipeline.timing import AgentTiming, RunTiming
from pipeline.views.gantt import gantt_figure
from pipeline.views.tables import Row
from pipeline.what_if import CurvePoint, Question, schedule_timing, width

ENOUGH = 0.01  # a makespan this share above the least counts as reaching it
CURVE_PX = 320
_GRID = "rgba(139,141,152,0.22)"
# colour, dash and marker tell the modes apart, so that one of them may fail
_MODE_LOOKS: dict[Mode, tuple[str, str, str]] = {
    Mode.SEQUENTIAL: ("#8B8D98", "dot", "square"),
    Mode.PHASES: ("#0091FF", "dash", "circle"),
    Mode.DATAFLOW: ("#12A594", "solid", "diamond"),
}
_RELEASED: dict[Release, str] = {
    Release.START: "",
    Release.PREDECESSOR: "settled before it",
    Release.SLOT: "gave its slot back",
    Release.REQUESTS: "requests per minute",
    Release.TOKENS: "tokens per minute",
}


@dataclass(frozen=True, slots=True)
class LabFigure:
    """One number of the lab, with what kind of figure it is."""

    key: str
    label: str
    kind: Literal["measured", "simulated", "bound", "replayed"]
    value_s: float | None
    share: float | None = None
    note: str = ""


def origin(run_id: str) -> str:
    """The label of everything simulated."""
    return f"Simulated from run {run_id[:8]}, not measured"


def lab_gantt(schedule: Schedule, run_id: str) -> go.Figure:
    """The simulated run, drawn as real ones are, with its label in the picture itself."""
    figure = gantt_figure(schedule.plan, schedule_timing(schedule), chain_points(schedule))
    figure.update_layout(
        title={"text": origin(run_id), "font": {"size": 12}, "x": 0.01, "xref": "container"},
        margin={"t": 44},
    )
    return figure


def chain_points(schedule: Schedule) -> list[tuple[str, float]]:
    """Where the critical chain leaves each agent; stretches without length are left out."""
    links = [link for link in schedule.critical if link.end_s > link.start_s]
    return [(link.agent, link.end_s) for link in links]


def chain_words(schedule: Schedule) -> str:
    """The critical chain in words: who had it in hand, and what they waited for but agents."""
    words: list[str] = []
    for link in schedule.critical:
        if link.end_s <= link.start_s:
            continue
        title = schedule.plan.agent(link.agent).title
        if link.release in (Release.SLOT, Release.REQUESTS, Release.TOKENS):
            why = "a slot" if link.release is Release.SLOT else _RELEASED[link.release]
            title = f"{title} (after waiting for {why})"
        words.append(title)
    return " → ".join(words) or "no agent takes any time"


def lab_figures(schedule: Schedule, measured: RunTiming) -> tuple[LabFigure, ...]:
    """Measured, simulated, their difference, the bound and the replayed sequential time."""
    took_s = measured.makespan_s
    difference_s = None if took_s is None else schedule.makespan_s - took_s
    return (
        LabFigure("measured", "This run", "measured", took_s, note=_pauses(measured)),
        LabFigure("simulated", "This plan", "simulated", schedule.makespan_s),
        LabFigure(
            "difference",
            "Shorter" if difference_s is None or difference_s < 0 else "Longer",
            "simulated",
            None if difference_s is None else abs(difference_s),
            abs(difference_s) / took_s if difference_s is not None and took_s else None,
            note="This plan against the run as it was measured.",
        ),
        LabFigure("bound", "Least possible", "bound", schedule.bound_s),
        LabFigure("sequential", "Sequential", "replayed", schedule.sequential_s),
    )


def _pauses(measured: RunTiming) -> str:
    return "Pauses are left out: the run was interrupted." if measured.gaps else ""


def lab_rows(schedule: Schedule) -> list[Row]:
    """One row per agent: the accessible twin of the simulated Gantt."""
    timing = schedule_timing(schedule)
    critical = {link.agent for link in schedule.critical if link.end_s > link.start_s}
    return [
        {
            "Agent": agent.title,
            "Phase": agent.phase,
            "Starts (s)": _rounded(agent.ready_s),
            "Settles (s)": _rounded(agent.finished_s),
            "Waits for admission (s)": _rounded(agent.segments.admission_s),
            "First token (s)": _rounded(agent.segments.first_token_s),
            "Generation (s)": _rounded(agent.segments.generation_s),
            "Tools (s)": _rounded(agent.segments.tools_s),
            "Service (s)": _rounded(agent.service_s),
            "Critical path": "yes" if agent.agent in critical else "",
        }
        for agent in timing.agents
    ]


def assumptions(question: Question) -> str:
    """What has to hold for the simulated figures to come true."""
    words = (
        "Each call takes as long as it took there; a provider that slows calls side by side, and "
        "calls that fail, are not in it."
    )
    if question.sections is not None:
        words += (
            " Sections are an estimate: equal parts of the tokens, at the rate and with the time "
            "to the first token of the whole, each reading the whole input."
        )
    return words


def left_out(measured: RunTiming) -> str:
    """What the run spent that no simulation of it holds; empty when that is next to nothing."""
    waits_s = sum(a.segments.admission_s + a.segments.backoff_s for a in measured.agents)
    wasted_s = sum(s.duration_s for a in measured.agents for s in a.spans if not s.used)
    unused = [
        a.title
        for a in measured.agents
        if a.finished_s is not None and not a.service_s and not _is_join(a)
    ]
    parts = []
    if waits_s + wasted_s >= 0.1:
        parts.append(
            f"The agents of the run also spent {waits_s:.1f} s waiting for admission and in "
            f"backoff, and {wasted_s:.1f} s on attempts that were discarded: left out here."
        )
    if unused:
        parts.append(
            f"Without their own output, and so without any time here: {', '.join(unused)}."
        )
    return " ".join(parts)


def _is_join(agent: AgentTiming) -> bool:
    """Code that put parts together: done without having asked anybody."""
    return agent.state is AgentState.DONE and not agent.calls


def curve_figure(points: Sequence[CurvePoint], now: Schedule, limits: Limits) -> go.Figure:
    """Makespan against calls at once, one line per mode; the current setting is ringed."""
    figure = go.Figure([_curve(mode, points) for mode in Mode if _of_mode(mode, points)])
    last = max(point.max_in_flight for point in points)
    figure.add_trace(
        go.Scatter(
            name="as set" if limits.max_in_flight else "as set, no limit",
            x=[min(limits.max_in_flight or last, last)],
            y=[now.makespan_s],
            mode="markers",
            marker={"symbol": "circle-open", "size": 16, "color": "#6E6ADE", "line": {"width": 2}},
            hovertemplate="as set: %{y:.2f} s<extra></extra>",
        )
    )
    axis = {"fixedrange": True, "zeroline": False, "gridcolor": _GRID, "automargin": True}
    figure.update_layout(
        height=CURVE_PX,
        margin={"l": 8, "r": 14, "t": 10, "b": 10},
        font={"size": 12},
        hovermode="x unified",
        xaxis={**axis, "title": "calls at once", "dtick": 1, "range": [0.5, last + 0.5]},
        yaxis={**axis, "title": "makespan", "ticksuffix": " s", "rangemode": "tozero"},
        legend={"orientation": "h", "x": 0, "y": -0.28, "yanchor": "top"},
    )
    return figure


def _of_mode(mode: Mode, points: Sequence[CurvePoint]) -> list[CurvePoint]:
    return [point for point in points if point.mode is mode]


def _curve(mode: Mode, points: Sequence[CurvePoint]) -> go.Scatter:
    colour, dash, symbol = _MODE_LOOKS[mode]
    own = _of_mode(mode, points)
    return go.Scatter(
        name=mode.value.capitalize(),
        x=[point.max_in_flight for point in own],
        y=[point.makespan_s for point in own],
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": symbol, "size": 7, "color": colour},
        hovertemplate="%{y:.2f} s",
    )


def enough_calls(points: Sequence[CurvePoint], mode: Mode) -> int:
    """The fewest calls at once that come within 1 % of the least makespan on the curve."""
    own = _of_mode(mode, points)
    least_s = min(point.makespan_s for point in own)
    return next(p.max_in_flight for p in own if p.makespan_s <= least_s * (1 + ENOUGH))


def curve_words(points: Sequence[CurvePoint], plan: Plan, other: Plan, how: str) -> tuple[str, str]:
    """Where the flat end of the curve comes from, and when it does not hold.

    Both plans are in dataflow: `plan` as it is set, `other` with its writing done as `how` says.
    """
    enough = enough_calls(points, Mode.DATAFLOW)
    return (
        f"At most {width(plan)} agents of this plan can ever be at work at once, because the "
        f"others wait for their results; with the times of this run {_calls(enough)} at once "
        f"already come within {ENOUGH:.0%} of the least makespan.",
        f"That holds for this plan only: with {how} at most {width(other)} can be at work at "
        "once; several runs at the same gate have use for more calls, and a rate limit can make "
        "fewer enough.",
    )


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
