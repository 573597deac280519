"""Studio: say what is wanted, watch it being made, read the result."""

from __future__ import annotations

import streamlit as st

from pages._form import SAMPLE_TOPICS, brief_form, is_new_session, prefill, start_run
from pages._owner import owner
from pages._result import draw_ended, draw_header, is_over, tab_title
from pages._runtime import get_runtime
from pages._state import close_run, current_run_id, is_link, next_live_round
from pages._watch import watch
from pipeline.models import RunRecord, RunStatus
from pipeline.web.live_view import preload

NO_WORKER_EVERY_S = 2.0  # how often it is looked whether one has come
FINISH_WAIT_S = 5.0  # the last fact reaches the browser before the row says so


def studio() -> None:
    run_id = current_run_id()
    run = _settled_run(run_id) if run_id else None
    if run is not None and is_new_session():  # a reload or a link: the form says what is on screen
        prefill(run.spec)
    under_way = run is not None and not _form_is_free(run)
    if run is None or not is_over(run):  # a run that is over has its topic for a title
        st.title("Content studio", anchor=False)
    if run is None:  # else the screen is the agents', or the result's
        st.caption(
            "Ten agents in seven phases turn a topic into a sourced article. "
            "Choose what runs in parallel and see where the time goes."
        )
    _form(run, is_free=not under_way)
    if run is not None:
        _run_panel(run)
    elif run_id or is_link():
        _unknown_run()
    else:
        _invitation()


def _form_is_free(run: RunRecord) -> bool:
    """False while the screen is the run's: its agents', or the outline's that waits."""
    return is_over(run) and run.status is not RunStatus.WAITING_APPROVAL


def _settled_run(run_id: str) -> RunRecord | None:
    """The run. One that was cancelled a moment ago has closed its calls and told its last fact."""
    runtime = get_runtime()
    run = runtime.run(run_id, owner())
    if run is not None and run.status.is_final:
        return runtime.wait(run.id, FINISH_WAIT_S)
    return run


@st.fragment
def _form(run: RunRecord | None, *, is_free: bool) -> None:
    """A fragment: flipping a switch redraws the form, not the run below it."""
    if brief_form(run, is_free=is_free):
        st.rerun()


def _run_panel(run: RunRecord) -> None:
    with st.container(key="run_panel"):
        if is_over(run):
            st.set_page_config(page_title=tab_title(run))
            draw_header(run)
            runtime, who = get_runtime(), owner()
            draw_ended(run, lambda: runtime.run(run.id, who) is not None)
            return
        draw_header(run)
        if run.status is RunStatus.QUEUED and get_runtime().workers() == 0:
            _no_worker()
        if watch(run):
            ended = get_runtime().wait(run.id, FINISH_WAIT_S)
            if ended is not None and not is_over(ended):
                next_live_round()  # the view has seen an end, the run goes on: a new view
            st.rerun()


@st.fragment(run_every=NO_WORKER_EVERY_S)
def _no_worker() -> None:
    """In a team: nobody would ever begin, and the page would not say why."""
    if get_runtime().workers() != 0:
        st.rerun()
    st.warning(
        "No worker is running, so this run waits. Start one with `python -m pipeline worker`.",
        icon=":material/engineering:",
    )


def _unknown_run() -> None:
    st.warning(
        "This run is not known here. It may have been deleted, or the link is incomplete.",
        icon=":material/link_off:",
    )
    st.button("Start a new one", key="forget_run", on_click=close_run)


def _invitation() -> None:
    """Nothing is on screen yet: one click is enough to see everything."""
    preload(key="preload")
    with st.container(key="empty_state", gap="small"):
        st.header("Start with a sample", anchor=False)
        with st.container(horizontal=True, key="samples"):
            for number, topic in enumerate(SAMPLE_TOPICS, 1):
                st.button(
                    topic,
                    key=f"sample_{number}",
                    icon=":material/play_circle:",
                    on_click=start_run,
                    args=(topic,),
                )
        st.caption(
            "You will see every agent's text as it is written, a Gantt chart that draws itself, "
            "and what the same calls would have taken one after another. "
            "The run goes on when you close the tab; its link brings you back."
        )


studio()
