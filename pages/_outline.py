"""An outline as a form: plain fields that a keyboard and a screen reader reach one after another.

What is typed lives in the widgets; `typed_outline` puts it back into the planner's fields. Whether
it can be used is decided by the planner's own output type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

NEW_WORDS: Final = 150
WORDS_MOST: Final = 3_000
KEEP: Final = "session"  # what was typed survives a visit to another page


def outline_form(key: str, plan: Mapping[str, Any]) -> None:
    """Title, then one box per section. `key` tells this form's widgets from others'."""
    _begin(key, plan)
    st.text_input("Title of the article", key=f"{key}_title", persist_state=KEEP)
    rows = st.session_state[_rows(key)]
    for number, row in enumerate(rows, 1):
        with st.container(border=True, key=f"{key}_{row}", gap="small"):
            _section(key, row, number, of=len(rows))
    st.button(
        "Add a section",
        key=f"{key}_add",
        icon=":material/add:",
        on_click=_add,
        args=(key,),
    )


def typed_outline(key: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The planner's fields with what the form says; not checked."""
    state = st.session_state
    if _rows(key) not in state:
        return dict(plan)
    before = list(plan["outline"])
    outline = []
    for row in state[_rows(key)]:
        own = dict(before[row]) if row < len(before) else {"id": f"added-{row}"}
        own["heading"] = _text(key, row, "heading")
        own["goal"] = _text(key, row, "goal")
        own["key_questions"] = [
            line.strip() for line in _text(key, row, "points").splitlines() if line.strip()
        ]
        own["word_budget"] = int(state.get(_key(key, row, "words")) or 0)
        outline.append(own)
    return {**plan, "title": str(state.get(f"{key}_title") or "").strip(), "outline": outline}


def _begin(key: str, plan: Mapping[str, Any]) -> None:
    state = st.session_state
    state.setdefault(_rows(key), list(range(len(plan["outline"]))))
    state.setdefault(f"{key}_title", plan["title"])
    for row in state[_rows(key)]:
        section = plan["outline"][row] if row < len(plan["outline"]) else _NEW
        state.setdefault(_key(key, row, "heading"), section["heading"])
        state.setdefault(_key(key, row, "goal"), section["goal"])
        state.setdefault(_key(key, row, "points"), "\n".join(section["key_questions"]))
        state.setdefault(_key(key, row, "words"), section["word_budget"])


_NEW: Mapping[str, Any] = {
    "heading": "",
    "goal": "",
    "key_questions": [],
    "word_budget": NEW_WORDS,
}


def _section(key: str, row: int, number: int, *, of: int) -> None:
    st.text_input(f"Heading of section {number}", key=_key(key, row, "heading"), persist_state=KEEP)
    st.text_input(f"Goal of section {number}", key=_key(key, row, "goal"), persist_state=KEEP)
    st.text_area(f"Points of section {number}, one a line", key=_key(key, row, "points"), height=90)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input(
            f"Words of section {number}",
            min_value=0,
            max_value=WORDS_MOST,
            step=10,
            key=_key(key, row, "words"),
            width=180,
            persist_state=KEEP,
        )
        st.button(
            f"Move section {number} up",
            key=_key(key, row, "up"),
            icon=":material/arrow_upward:",
            type="tertiary",
            disabled=number == 1,
            on_click=_move_up,
            args=(key, row),
        )
        st.button(
            f"Remove section {number}",
            key=_key(key, row, "remove"),
            icon=":material/delete:",
            type="tertiary",
            disabled=of == 1,
            on_click=_remove,
            args=(key, row),
        )


def _add(key: str) -> None:
    used = st.session_state.setdefault(f"{key}_used", max(st.session_state[_rows(key)]))
    st.session_state[f"{key}_used"] = used + 1  # a row that was removed never comes back as another
    st.session_state[_rows(key)].append(used + 1)


def _remove(key: str, row: int) -> None:
    rows = st.session_state[_rows(key)]
    st.session_state.setdefault(f"{key}_used", max(rows))
    rows.remove(row)


def _move_up(key: str, row: int) -> None:
    rows = st.session_state[_rows(key)]
    at = rows.index(row)
    rows[at - 1 : at + 1] = [row, rows[at - 1]]


def _rows(key: str) -> str:
    return f"{key}_rows"


def _key(key: str, row: int, field: str) -> str:
    return f"{key}_{row}_{field}"


def _text(key: str, row: int, field: str) -> str:
    return str(st.session_state.get(_key(key, row, field)) or "").strip()
