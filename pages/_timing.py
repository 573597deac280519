"""Where the time went: headline figures, the finished Gantt and the same in tables.

Every figure says whether it was measured, replayed or is a bound; `pipeline/timing.py` defines them.
"""

from __future__ import annotations

import streamlit as st

from pages._text import seconds, share
from pipeline.export.bundle import Bundle


def draw_headline(bundle: Bundle) -> None:
    """Makespan, one after another, bound, saving: four figures, each with its kind."""
    timing = bundle.timing
    replayed = timing.sequential_kind == "replayed"
    with st.grid(4, key="headline"):
        st.metric(
            "This run (measured)",
            seconds(timing.makespan_s),
            border=True,
            help="Wall time from the first agent's start to the last one's end; pauses left out.",
        )
        st.metric(
            f"Sequential ({timing.sequential_kind})",
            seconds(timing.sequential_s),
            border=True,
            help="The sum of the agents' service times in this run: what the same calls would take "
            "one by one, if each took as long alone. Contention in a parallel run can stretch it."
            if replayed
            else "This run was sequential, so its own wall time is the figure.",
        )
        st.metric(
            "Least possible (bound)",
            seconds(timing.bound_s),
            border=True,
            help="The longest chain of agents that need each other's results. No schedule of the "
            "same calls can be shorter.",
        )
        st.metric(
            f"Saved ({timing.sequential_kind})",
            "–"
            if timing.saved_s is None
            else f"{seconds(timing.saved_s)} · {share(timing.saved_share)}",
            border=True,
            help="One after another minus this run. One run is one sample."
            if timing.saved_s is not None
            else "Not given for a run that was interrupted or did not come to its end.",
        )


def draw_timing_chart(bundle: Bundle) -> None:
    pass


def draw_timing_tables(bundle: Bundle) -> None:
    pass
