"""Where the time went: headline figures, the finished Gantt, small and large, and the same in tables.

Every figure says whether it was measured, replayed or is a bound; `pipeline/timing.py` defines them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages._text import escaped, seconds, share
from pipeline.export.bundle import Bundle
from pipeline.export.gantt_html import gantt_html
from pipeline.timing import RunTiming
from pipeline.views.gantt import gantt_figure
from pipeline.views.tables import (
    Headline,
    Row,
    agent_rows,
    cost_line,
    explanations,
    figure_help,
    phase_rows,
    speculation_line,
)


def draw_headline(bundle: Bundle, figures: Sequence[Headline]) -> None:
    """Figures side by side, each with its kind, and what the run cost."""
    with st.grid(len(figures), key="headline"):
        for figure in figures:
            st.metric(
                f"{figure.label} ({figure.kind})",
                _value(figure),
                border=True,
                help=figure_help(figure, bundle.timing),
            )
    with st.container(key="cost"):
        st.caption(escaped(cost_line(bundle.cost)))


def draw_small_chart(bundle: Bundle) -> None:
    """The chart above the article. On a phone it is folded: `look.css` shows one of the two."""
    chart = gantt_html(bundle.plan, bundle.timing, _alt(bundle.timing))
    with st.container(key="gantt", border=True, gap="xxsmall"):
        st.html(chart)
        st.caption("Legend, explanations and every number: the Timing tab.")
    with st.expander("Gantt chart", key="gantt_fold"):
        st.html(chart)


def draw_timing(bundle: Bundle) -> None:
    """The Timing tab: the chart with its legend, what the figures mean, and the tables."""
    with st.container(key="gantt_full"):
        st.plotly_chart(
            gantt_figure(bundle.plan, bundle.timing),
            key="gantt_chart",
            config={"displayModeBar": False},
            alt=_alt(bundle.timing),
        )
    st.caption(" ".join(escaped(line) for line in explanations(bundle.timing)))
    draw_timing_tables(bundle)


def draw_timing_tables(bundle: Bundle) -> None:
    st.caption("Agents, in seconds. The six kinds of time add up to the total.")
    _table(agent_rows(bundle.timing), "timing_agents")
    if line := speculation_line(bundle.timing):
        st.caption(escaped(line))
    st.caption(
        "Phases, in seconds: how much of what could overlap did, and the most calls at once."
    )
    _table(phase_rows(bundle.timing), "timing_phases")


def _value(figure: Headline) -> str:
    if figure.value_s is None:
        return "–"
    value = seconds(figure.value_s)
    return value if figure.share is None else f"{value} · {share(figure.share)}"


def _alt(timing: RunTiming) -> str:
    return (
        f"Gantt chart of {len(timing.agents)} agents: the run took {seconds(timing.makespan_s)}, "
        f"one after another the same calls take {seconds(timing.sequential_s)}. "
        "The Timing tab holds every figure."
    )


def _table(rows: list[Row], key: str) -> None:
    """A real table: readable without a mouse, and by screen readers. Wide ones scroll by themselves.

    The caption above says that figures are seconds, so that the heads need not.
    """
    shown = [{head.removesuffix(" (s)"): _cell(cell) for head, cell in row.items()} for row in rows]
    with st.container(key=key):
        st.table(pd.DataFrame(shown), border="horizontal", hide_index=True)


def _cell(value: str | float | int | None) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return escaped(value)
