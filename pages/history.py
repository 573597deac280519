"""History: own runs, newest first; open one, run it again with other switches, or delete it."""

from __future__ import annotations

import math
from typing import Final

import streamlit as st

from pages._confirm import draw_delete_or_keep
from pages._form import prefill
from pages._owner import owner
from pages._result import STATUS_LOOK, how_it_ran, is_over
from pages._runtime import get_runtime
from pages._state import close_run, forget_run, open_run, set_form_note
from pages._text import clipped, escaped, seconds, share
from pages._when import when
from pipeline.models import Mode, RunRecord

PAGE_SIZE: Final = 20
STUDIO: Final = "studio.py"


def history() -> None:
    st.title("History", anchor=False)
    text = st.text_input(
        "Search topics",
        key="history_search",
        icon=":material/search:",
        placeholder="Part of a topic",
        live=True,
    )
    runtime = get_runtime()
    found = runtime.count(owner(), text or "")
    if not found:
        _nothing(text or "")
        return
    pages = math.ceil(found / PAGE_SIZE)
    st.caption(f"{found:,} {'run' if found == 1 else 'runs'}, newest first")
    rows = st.container(key="runs", gap="small")
    page = 1
    if pages > 1:
        page = min(st.pagination(pages, key="history_page"), pages)
    with rows:
        for run in runtime.runs(owner(), PAGE_SIZE, (page - 1) * PAGE_SIZE, text or ""):
            _row(run)


def _nothing(text: str) -> None:
    if text:
        st.info(f"No run's topic contains “{escaped(text)}”.", icon=":material/search_off:")
        return
    st.info("There are no runs yet. Every run you start is kept here.", icon=":material/inbox:")
    st.page_link(STUDIO, label="Start the first one", icon=":material/bolt:")


def _row(run: RunRecord) -> None:
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"run_{run.id}"
    ):
        with st.container(width="stretch", gap="xsmall", key=f"about_{run.id}"):
            st.markdown(f"**{escaped(clipped(run.spec.topic, 110))}**")
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                word, colour, icon = STATUS_LOOK[run.status]
                st.badge(word, color=colour, icon=icon)
                st.caption(_facts(run), width="content")
        _actions(run)


def _facts(run: RunRecord) -> str:
    """One line: how it ran, times with what kind of figure they are, provider, when."""
    facts = how_it_ran(run)
    if run.makespan_s is not None:
        facts.append(f"took {seconds(run.makespan_s)} (measured)")
    if run.saved_share is not None and run.spec.mode is not Mode.SEQUENTIAL:
        facts.append(_saved(run.saved_share))
    if run.parent_id:
        facts.append("began with an earlier run")
    facts.append("offline demo" if run.spec.is_demo else escaped(run.spec.model or "own endpoint"))
    facts.append(when(run.created_at))
    return " · ".join(facts)


def _saved(saved_share: float) -> str:
    """Against the same calls one after another; what is below a percent is nothing."""
    if abs(saved_share) < 0.01:
        return "saved nothing (replayed)"
    return f"{'saved' if saved_share > 0 else 'lost'} {share(abs(saved_share))} (replayed)"


def _actions(run: RunRecord) -> None:
    # The words are read out; sighted people tell rows apart by where the button stands.
    about = escaped(clipped(run.spec.topic, 60))  # a tooltip is Markdown too
    if st.button("Open", key=f"open_{run.id}", icon=":material/open_in_new:", help=about):
        open_run(run.id)
        st.switch_page(STUDIO, query_params={"run": run.id})
    if st.button(
        "Run again",
        key=f"again_{run.id}",
        icon=":material/replay:",
        help="Puts this brief into the form, to run it with other switches.",
    ):
        close_run()
        set_form_note(prefill(run.spec))
        st.switch_page(STUDIO)
    if st.button("Delete", key=f"delete_{run.id}", icon=":material/delete:", help=about):
        _confirm_delete(run)


@st.dialog("Delete this run?", icon=":material/delete:")
def _confirm_delete(run: RunRecord) -> None:
    st.markdown(f"**{escaped(clipped(run.spec.topic, 140))}**")
    if not is_over(run):
        st.warning(
            "This run is still under way. Deleting it stops it at once.",
            icon=":material/play_circle:",
        )
    st.write("Its article, figures and prompts are removed for good. There is no undo.")
    draw_delete_or_keep("delete", _delete, run.id)


def _delete(run_id: str) -> None:
    get_runtime().delete(run_id, owner())
    forget_run(run_id)


history()
