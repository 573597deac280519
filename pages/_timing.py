"""Where the time went: headline figures, the finished Gantt and the same in tables.

Every figure says whether it was measured, replayed or is a bound; `pipeline/timing.py` defines them.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages._text import escaped, seconds, share
from pipeline.export.bundle import Bundle
from pipeline.timing import RunTiming
from pipeline.views.gantt import gantt_figure
from pipeline.views.tables import (
    Headline,
    Row,
    agent_rows,
    explanations,
    headlines,
    phase_rows,
    speculation_line,
)


def draw_headline(bundle: Bundle) -> None:
    """Makespan, one after another, bound, saving: four figures, each with its kind."""
    with st.grid(4, key="headline"):
        for figure in headlines(bundle.timing):
            st.metric(
                f"{figure.label} ({figure.kind})",
                _value(figure),
                border=True,
                help=figure.note or None,
            )
    st.caption(" ".join(escaped(line) for line in explanations(bundle.timing)))


def draw_timing_chart(bundle: Bundle) -> None:
    with st.container(key="gantt", border=True):
        st.plotly_chart(
            gantt_figure(bundle.plan, bundle.timing),
            key="gantt_chart",
            config={"displayModeBar": False},
            alt=_alt(bundle.timing),
        )
        st.caption("The same in numbers: the Timing tab.")


def draw_timing_tables(bundle: Bundle) -> None:
    st.caption("Agents, in seconds. The six kinds of time add up to the total.")
    _table(agent_rows(bundle.timing), "timing_agents")
    if line := speculation_line(bundle.timing):
        st.caption(escaped(line))
    st.caption("Phases: how much of what could overlap did, and the most calls at once.")
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
    """A real table: readable without a mouse, and by screen readers. Wide ones scroll by themselves."""
    with st.container(key=key):
        st.table(pd.DataFrame(rows).map(_cell), border="horizontal", hide_index=True)


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN: a missing number in a column of numbers
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else escaped(str(value))
