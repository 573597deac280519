"""Draw a run's Gantt with Plotly, for finished runs (`st.plotly_chart`, theme "streamlit").

What is drawn where comes from `bars.py`; here is how it looks. On top the sequential strip, below
it one row per agent on the same axis of seconds. Colour is the phase, texture the kind of time.
Colours are explicit where they mean something and left to the theme elsewhere, so the figure fits
light and dark pages. Labels and hover texts hold names from the roster and numbers, never text
that a model wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pipeline.plan import Plan
from pipeline.spans import Segment
from pipeline.timing import RunTiming
from pipeline.views.bars import (
    DISCARDED_WORD,
    PHASE_PALETTE,
    SEGMENT_WORDS,
    Bar,
    ChartClock,
    ToolBar,
    axis_end_s,
    gantt_bars,
    gap_lanes,
    legend_segments,
    origin_words,
    phase_colours,
    row_labels,
    said_s,
    strip_bars,
    tool_bars,
    tool_result_words,
)

__all__ = ["PHASE_PALETTE", "Bar", "gantt_bars", "gantt_figure"]

NEUTRAL = "#8B8D98"  # reads on white and on near black
ALERT = "#F2555A"
ROW_PX = 27
STRIP_PX = 34
FRAME_PX = 190  # axis, legend, margins
GAP_LABEL_PX = 9  # right of the line, clear of the diamond that may stand on it
TOOLS_HEIGHT, TOOL_FILL = 0.56, 0.72  # of a row; of a call's share of it
STRIP_GAP_PX = 30  # holds the label of the bound


@dataclass(frozen=True, slots=True)
class _Look:
    """How one kind of time is drawn. `colour` None: the phase's."""

    words: str
    width: float
    opacity: float
    colour: str | None = None
    pattern: str = ""


_LOOKS: Mapping[Segment, _Look] = {
    Segment.WAITING: _Look(SEGMENT_WORDS[Segment.WAITING], 0.06, 0.3, NEUTRAL),
    Segment.ADMISSION: _Look(SEGMENT_WORDS[Segment.ADMISSION], 0.22, 0.75, NEUTRAL),
    Segment.BACKOFF: _Look(SEGMENT_WORDS[Segment.BACKOFF], 0.5, 0.8, NEUTRAL, "/"),
    Segment.FIRST_TOKEN: _Look(SEGMENT_WORDS[Segment.FIRST_TOKEN], 0.62, 0.42),
    Segment.GENERATION: _Look(SEGMENT_WORDS[Segment.GENERATION], 0.62, 1.0),
    Segment.TOOLS: _Look(SEGMENT_WORDS[Segment.TOOLS], 0.62, 0.75, None, "x"),
}
_DISCARDED = _Look(DISCARDED_WORD, 0.62, 0.55, ALERT, "\\")
_EXPLAINED = {
    Segment.WAITING,
    Segment.ADMISSION,
    Segment.BACKOFF,
    Segment.FIRST_TOKEN,
    Segment.TOOLS,
}  # in the legend
_WAITS = {Segment.WAITING, Segment.ADMISSION, Segment.BACKOFF}


def gantt_figure(
    plan: Plan, timing: RunTiming, chain: Sequence[tuple[str, float]] | None = None
) -> go.Figure:
    """The Gantt of a run. Height follows the number of agents, width the page.

    `chain` says where the critical path passes, as agents and seconds; without it, at the end of
    each agent of `timing.critical`.
    """
    bars = gantt_bars(timing)
    figure = go.Figure()
    figure.add_traces(_row_traces(plan, timing, bars))
    if calls := tool_bars(timing):
        figure.add_trace(_tools_trace(plan, calls))
    if strip_bars(timing):  # without a call that was of use there is nothing to lay end to end
        figure.add_trace(_strip_trace(plan, timing))
    if chain is None:
        chain = [(name, timing.agent(name).finished_s or 0.0) for name in timing.critical]
    if chain:
        figure.add_trace(_critical_trace(plan, timing, chain))
    figure.add_traces(_keys(plan, bars))
    figure.update_layout(_layout(plan, timing))
    _mark_gaps(figure, plan, timing)
    _mark_origins(figure, plan, timing)
    _mark_bound(figure, timing, _rows_share(plan, timing))
    return figure


def _row_traces(plan: Plan, timing: RunTiming, bars: Sequence[Bar]) -> list[go.Bar]:
    groups: dict[_Look, list[Bar]] = {look: [] for look in (*_LOOKS.values(), _DISCARDED)}
    for bar in bars:
        if bar.duration_s > 0:
            groups[_LOOKS[bar.segment] if bar.used else _DISCARDED].append(bar)
    return [_row_trace(plan, look, group) for look, group in groups.items() if group]


def _row_trace(plan: Plan, look: _Look, bars: Sequence[Bar]) -> go.Bar:
    colours, labels = phase_colours(plan), row_labels(plan)
    return go.Bar(
        name=look.words,
        orientation="h",
        y=[labels[bar.agent] for bar in bars],
        base=[bar.start_s for bar in bars],
        x=[bar.duration_s for bar in bars],
        width=look.width,
        customdata=[_hover(plan, bar, look) for bar in bars],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        marker=_marker(look, [look.colour or colours[bar.phase] for bar in bars]),
    )


def _tools_trace(plan: Plan, bars: Sequence[ToolBar]) -> go.Bar:
    """Each call of a tool as a bar of its own; side by side where they ran so."""
    colours, labels = phase_colours(plan), row_labels(plan)
    heights = [TOOLS_HEIGHT / bar.lanes for bar in bars]
    return go.Bar(
        name="tool calls",
        orientation="h",
        y=[labels[bar.agent] for bar in bars],
        base=[bar.start_s for bar in bars],
        x=[bar.duration_s for bar in bars],
        offset=[
            height * bar.lane - TOOLS_HEIGHT / 2 for height, bar in zip(heights, bars, strict=True)
        ],
        width=[height * TOOL_FILL for height in heights],
        customdata=[_tool_hover(plan, bar) for bar in bars],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        marker={
            "color": [ALERT if bar.failed else colours[bar.phase] for bar in bars],
            "opacity": [1.0 if bar.used else 0.4 for bar in bars],
            "line": {"width": 0},
            "cornerradius": 1,
        },
    )


def _tool_hover(plan: Plan, bar: ToolBar) -> str:
    tool = bar.tool if bar.tool.isidentifier() else "another tool"  # a model wrote it
    result = tool_result_words(bar.passages, "failed" if bar.failed else "")
    return (
        f"<b>{plan.agent(bar.agent).title}</b> · tool call {bar.number}<br>"
        f"{tool}: {bar.duration_s:.2f} s, {result}<br>"
        f"from {bar.start_s:.2f} s to {bar.end_s:.2f} s"
    )


def _marker(look: _Look, colours: str | list[str]) -> dict[str, Any]:
    marker: dict[str, Any] = {
        "color": colours,
        "opacity": look.opacity,
        "line": {"width": 0},
        "cornerradius": 2,
    }
    if look.pattern:
        # "replace" draws the texture in the bar's colour on the page's own background
        marker["pattern"] = {
            "shape": look.pattern,
            "fillmode": "replace",
            "size": 6,
            "solidity": 0.45,
        }
    return marker


def _hover(plan: Plan, bar: Bar, look: _Look) -> str:
    kind = look.words if bar.used else f"{_LOOKS[bar.segment].words}, discarded"
    lines = [
        f"<b>{plan.agent(bar.agent).title}</b> · {bar.phase}",
        f"{kind}: {bar.duration_s:.2f} s",
        f"from {bar.start_s:.2f} s to {bar.end_s:.2f} s",
    ]
    if bar.call and bar.segment not in _WAITS:
        lines.append(f"call {bar.call}, attempt {bar.attempt}")
    return "<br>".join(lines)


def _strip_trace(plan: Plan, timing: RunTiming) -> go.Bar:
    colours, bars = phase_colours(plan), strip_bars(timing)
    return go.Bar(
        name="one after another",
        orientation="h",
        y=[_strip_label(timing)] * len(bars),
        base=[bar.start_s for bar in bars],
        x=[bar.duration_s for bar in bars],
        yaxis="y2",
        width=0.7,
        customdata=[
            f"<b>{plan.agent(bar.agent).title}</b> · {bar.phase}<br>"
            f"one after another ({timing.sequential_kind}): {bar.duration_s:.2f} s"
            for bar in bars
        ],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
        marker={
            "color": [colours[bar.phase] for bar in bars],
            "line": {"width": 1.5, "color": "rgba(139,141,152,0.55)"},
            "cornerradius": 2,
        },
    )


def _strip_label(timing: RunTiming) -> str:
    return f"<b>Sequential</b><br><i>{timing.sequential_kind}</i>"


def _critical_trace(
    plan: Plan, timing: RunTiming, chain: Sequence[tuple[str, float]]
) -> go.Scatter:
    """A diamond where the critical path leaves each agent on it."""
    clock, labels = ChartClock(timing.gaps), row_labels(plan)
    return go.Scatter(
        name="critical path",
        mode="lines+markers",
        x=[clock.at(end_s) for _, end_s in chain],
        y=[labels[name] for name, _ in chain],
        line={"color": NEUTRAL, "width": 1, "dash": "dot", "shape": "vh"},
        marker={
            "symbol": "diamond",
            "size": 9,
            "color": "#FFFFFF",
            "line": {"color": "#3A3D4A", "width": 1.5},
        },
        customdata=[
            f"<b>{plan.agent(name).title}</b><br>on the critical path until {clock.at(end_s):.2f} s"
            for name, end_s in chain
        ],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=True,
        legendrank=2_000,
        cliponaxis=False,
    )


def _keys(plan: Plan, bars: Sequence[Bar]) -> list[go.Bar]:
    """Entries of the legend: the colours, then the kinds of time that occur."""
    colours = [
        _key(phase.capitalize(), {"color": colour}) for phase, colour in phase_colours(plan).items()
    ]
    looks = [_LOOKS[segment] for segment in legend_segments(bars) if segment in _EXPLAINED]
    if any(not bar.used for bar in bars):
        looks.append(_DISCARDED)
    return colours + [
        _key(look.words, _marker(look, _faded(look.colour or NEUTRAL, look.opacity)))
        for look in looks
    ]


def _faded(colour: str, opacity: float) -> str:
    """A legend's swatch ignores the opacity of its marker."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _key(name: str, marker: dict[str, Any]) -> go.Bar:
    return go.Bar(
        name=name,
        x=[None],
        y=[None],
        orientation="h",
        marker=marker,
        showlegend=True,
        hoverinfo="skip",
    )


def _strip_px(timing: RunTiming) -> int:
    return STRIP_PX if strip_bars(timing) else 0


def _rows_share(plan: Plan, timing: RunTiming) -> float:
    rows_px = ROW_PX * len(plan.agents)
    return rows_px / (rows_px + STRIP_GAP_PX + _strip_px(timing))


def _layout(plan: Plan, timing: RunTiming) -> dict[str, Any]:
    labels = list(row_labels(plan).values())
    rows, height_px = _rows_share(plan, timing), ROW_PX * len(labels) + STRIP_GAP_PX
    strip_px = _strip_px(timing)
    strip = 1 - STRIP_PX / (height_px + STRIP_PX)
    still = {"fixedrange": True, "showgrid": False, "zeroline": False, "automargin": True}
    return {
        "barmode": "overlay",
        "height": height_px + strip_px + FRAME_PX,
        "margin": {"l": 8, "r": 14, "t": 10, "b": 10},
        "font": {"size": 12},
        "hovermode": "closest",
        "xaxis": {
            "range": [0, axis_end_s(timing) * 1.02],
            "ticksuffix": " s",
            "fixedrange": True,
            "zeroline": False,
            "showgrid": True,
            "gridcolor": "rgba(139,141,152,0.22)",
            "nticks": 9,
            "automargin": True,
        },
        "yaxis": {
            **still,
            "domain": [0, rows],
            "type": "category",
            "categoryorder": "array",
            "categoryarray": labels,
            "tickmode": "array",
            "tickvals": labels,
            "range": [len(labels) - 0.5, -0.5],
        },
        "yaxis2": {
            **still,
            "domain": [strip, 1],
            "type": "category",
            "range": [-0.5, 0.5],
            "visible": bool(strip_px),
        },
        "legend": {
            "orientation": "h",
            "xref": "container",  # from the edge, not from the axis: a phone has no width to spare
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "font": {"size": 11},
            "itemclick": False,
            "itemdoubleclick": False,
        },
    }


def _mark_gaps(figure: go.Figure, plan: Plan, timing: RunTiming) -> None:
    """A line where the run was paused; its label in a row whose agent had finished by then."""
    labels = row_labels(plan)
    marks = ChartClock(timing.gaps).marks()
    for mark, lane in zip(marks, gap_lanes(timing), strict=True):
        figure.add_shape(
            type="line",
            xref="x",
            yref="y domain",
            x0=mark.at_s,
            x1=mark.at_s,
            y0=0,
            y1=1,
            line={"width": 2, "dash": "dash", "color": NEUTRAL},
        )
        figure.add_annotation(
            x=mark.at_s,
            y=labels[lane],
            xshift=GAP_LABEL_PX,
            xref="x",
            yref="y",
            xanchor="left",
            yanchor="middle",
            text=f"paused {said_s(mark.duration_s)}",
            font={"size": 11},
            showarrow=False,
        )


def _mark_origins(figure: go.Figure, plan: Plan, timing: RunTiming) -> None:
    """Say on its row whose an output is that nobody wrote in this run."""
    clock, labels, end_s = ChartClock(timing.gaps), row_labels(plan), axis_end_s(timing)
    for agent in timing.agents:
        if words := origin_words(agent):
            at_s = clock.at(agent.finished_s or 0.0)
            is_left = at_s < 0.7 * end_s
            figure.add_annotation(
                x=at_s,
                y=labels[agent.agent],
                xref="x",
                yref="y",
                xanchor="left" if is_left else "right",
                xshift=8 if is_left else -8,
                text=words,
                font={"size": 10},
                showarrow=False,
            )


def _mark_bound(figure: go.Figure, timing: RunTiming, rows: float) -> None:
    if not timing.bound_s:
        return
    figure.add_shape(
        type="line",
        xref="x",
        yref="paper",
        x0=timing.bound_s,
        x1=timing.bound_s,
        y0=0,
        y1=rows + 0.012,
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
    )
    figure.add_annotation(
        x=timing.bound_s,
        y=rows + 0.012,
        xref="x",
        yref="paper",
        xanchor="center",
        yanchor="bottom",
        text=f"bound {timing.bound_s:.1f} s",
        font={"size": 11},
        showarrow=False,
    )
