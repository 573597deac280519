"""The Evidence tab: every statement of the article with the passage it rests on.

Draws what `pipeline.content.evidence` found. Every word of a model or a page is escaped text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from pages._text import escaped
from pipeline.content.evidence import PROMISE, Evidence, evidence_counts, evidence_headline
from pipeline.export.evidence_html import evidence_html

READING_WIDTH: Final = 760  # pixels, as the article
ALL: Final = "All"
LOOK: Final = "Needs a look"
FLAGGED: Final = "Flagged"


@st.fragment
def draw_evidence(rows: Sequence[Evidence] | None) -> None:
    """`rows` is None when the run has no article."""
    if rows is None:
        st.caption("This run made no article to check. The Agents tab says why.")
        return
    counts = evidence_counts(rows)
    with st.container(width=READING_WIDTH, key="evidence"):
        st.caption(PROMISE)
        _counts(counts)
        titles = {
            ALL: f"{ALL} ({len(rows)})",
            LOOK: f"{LOOK} ({counts['needs_a_look']})",
            FLAGGED: f"{FLAGGED} ({counts['flagged']})",
        }
        shown = st.segmented_control(
            "Show",
            list(titles),
            default=LOOK if counts["needs_a_look"] else ALL,
            required=True,
            format_func=lambda name: titles[name],
            key="evidence_filter",
            label_visibility="collapsed",
        )
        chosen = [row for row in rows if _is_shown(row, shown)]
        if chosen:
            st.html(evidence_html(chosen))
        else:
            st.caption("Nothing of that kind.")


def _is_shown(row: Evidence, shown: str | None) -> bool:
    return row.needs_a_look if shown == LOOK else bool(row.flags) if shown == FLAGGED else True


def _counts(counts: dict[str, int]) -> None:
    with st.container(key="evidence_counts", gap="xsmall"):
        st.markdown(f"**{escaped(evidence_headline(counts))}**")
        if counts["needs_a_look"]:
            look = f"{counts['needs_a_look']} to look at"
            st.badge(look, color="orange", icon=":material/visibility:")
        else:
            st.badge("Nothing to look at", color="green", icon=":material/check:")
