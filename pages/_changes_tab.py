"""The Changes tab: from the edited text to the published one, and what became of the advice.

Draws what `pipeline.content.changes` found. Added and removed words are told by line and by colour;
every word of a model is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from pages._text import clipped, escaped
from pipeline.content.changes import Advice, Changes, EditMade, Outcome
from pipeline.export.changes_html import OUTCOME_WORDS, difference_html

READING_WIDTH: Final = 760  # pixels, as the article
SHOWN_CHARS: Final = 400  # of a passage in the table of edits
SIGNS: Final[dict[Outcome, str]] = {
    "applied": "✓",
    "refused": "✕",
    "not_followed": "○",
    "not_mentioned": "·",
}


def draw_changes(changes: Changes | None, *, substituted: bool = False) -> None:
    """`changes` is None without a publisher; `substituted`: code stood in for it."""
    if changes is None:
        st.caption("This run has no publisher's changes. The Agents tab says why.")
        return
    if substituted:
        st.caption("The publisher gave no result: the article is the edited text, unchanged.")
        return
    st.caption(
        "From the editor's text to the article. The publisher names edits; code applies those that are "
        "unambiguous and keep every citation and address."
    )
    _counts(changes)
    with st.container(key="changes_text", width=READING_WIDTH):
        _headline(changes)
        _text(changes)
    _edits(changes.edits)
    _advice(changes.advice)
    if changes.left:
        with st.container(key="changes_left"):
            st.markdown("**Also not followed, in the publisher's words**")
            st.markdown("\n".join(f"- {escaped(line)}" for line in changes.left))


def _counts(changes: Changes) -> None:
    refused = len(changes.edits) - changes.applied
    taken = sum(advice.outcome == "applied" for advice in changes.advice)
    with st.container(horizontal=True, key="changes_counts"):
        st.badge(
            f"{changes.applied} {'edit' if changes.applied == 1 else 'edits'} applied",
            color="green",
            icon=":material/check:",
        )
        if refused:
            st.badge(f"{refused} refused", color="orange", icon=":material/block:")
        st.badge(
            f"{changes.text.words('added')} words added, {changes.text.words('removed')} removed",
            color="gray",
        )
        if changes.advice:
            st.badge(f"{taken} of {len(changes.advice)} pieces of advice taken", color="gray")


def _headline(changes: Changes) -> None:
    if changes.headline != changes.headline_before:
        st.markdown(
            f"**Headline** {escaped(changes.headline)}\n\n"
            f"Before: {escaped(changes.headline_before)}"
        )
    if changes.standfirst:
        st.markdown(f"**Standfirst, new** {escaped(changes.standfirst)}")


def _text(changes: Changes) -> None:
    st.markdown("**Text**")
    if not changes.text.blocks:
        st.caption("No word of the text changed.")
        return
    st.html(difference_html(changes.text))
    st.caption("Added words are underlined, removed words are struck through.")


def _edits(edits: Sequence[EditMade]) -> None:
    with st.container(key="changes_edits"):
        st.markdown("**Edits the publisher proposed**")
        if not edits:
            st.caption("None.")
            return
        st.table(
            pd.DataFrame(
                {
                    "Result": ["✕\u00a0refused" if e.refused else "✓\u00a0applied" for e in edits],
                    "Passage": [escaped(clipped(e.find, SHOWN_CHARS)) for e in edits],
                    "Becomes": [
                        escaped(clipped(e.replace, SHOWN_CHARS)) or "(nothing)" for e in edits
                    ],
                    "Why": [_why(edit) for edit in edits],
                }
            ),
            border="horizontal",
            hide_index=True,
        )


def _why(edit: EditMade) -> str:
    why = ": ".join(filter(None, (edit.advice, escaped(edit.why))))
    refused = f":orange[Refused: {escaped(edit.refused)}.]" if edit.refused else ""
    return " ".join(filter(None, (why, refused)))


def _advice(advice: Sequence[Advice]) -> None:
    with st.container(key="changes_advice"):
        st.markdown("**What became of the advice**")
        st.caption(
            "Title, description and slug for search are taken over by code. Of the rest the publisher "
            "decides, and says what it did."
        )
        if not advice:
            st.caption("There was none.")
            return
        st.table(
            pd.DataFrame(
                {
                    "Advice": [one.name.replace(" ", "\u00a0") for one in advice],
                    "What": [escaped(one.text) for one in advice],
                    "Result": [
                        f"{SIGNS[one.outcome]}\u00a0{OUTCOME_WORDS[one.outcome]}" for one in advice
                    ],
                    "Why": [escaped(one.said) for one in advice],
                }
            ),
            border="horizontal",
            hide_index=True,
        )
