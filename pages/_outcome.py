"""What a reader must know before the result: gaps, failures, and what can be done about them."""

from __future__ import annotations

import streamlit as st

from pages._owner import owner
from pages._provider import (
    KEY_LIVE,
    endpoint_to_continue,
    key_field,
    model_to_continue,
    resume_key,
)
from pages._runtime import get_runtime
from pages._state import note_page_change, run_error, set_run_error
from pages._text import escaped, told
from pipeline.base_url import address
from pipeline.errors import BudgetExceeded, GantryError, NothingFound
from pipeline.export.bundle import Bundle
from pipeline.models import RunRecord, RunStatus
from pipeline.views.tables import fallback_lines


def draw_outcome(bundle: Bundle, *, read_only: bool = False) -> None:
    """`read_only`: say what happened, offer nothing that acts on the run."""
    run = bundle.run
    if message := run_error(run.id):
        st.error(escaped(message), icon=":material/error:")
    match run.status:
        case RunStatus.DEGRADED:
            _gaps(run)
        case RunStatus.FAILED:
            st.error(f"**The run stopped.** {told(run.error)}", icon=":material/error:")
        case RunStatus.CANCELLED:
            kept = "What was finished before is kept below." if bundle.checkpoints else ""
            st.info(
                f"This run was cancelled. {kept or 'No agent had finished.'}",
                icon=":material/stop_circle:",
            )
    if lines := fallback_lines(bundle.events):
        st.info(
            "**Another model took over:**\n\n" + "\n".join(f"- {escaped(line)}" for line in lines),
            icon=":material/swap_horiz:",
        )
    if read_only:
        return
    if run.status is RunStatus.NEEDS_KEY:
        _ask_for_key(run)
    elif run.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        _ways_on(run, keeps=bool(bundle.checkpoints))


def _gaps(run: RunRecord) -> None:
    marks = "\n".join(f"- {told(mark)}" for mark in run.degraded)
    st.warning(f"**The run came to its end with gaps:**\n\n{marks}", icon=":material/rule:")


def _ways_on(run: RunRecord, *, keeps: bool) -> None:
    if _may_change_model(run):
        _model_field(run)
    if run.error_code == BudgetExceeded.code:
        _budget_fields(run)
    if run.spec.key_source == "typed":
        key_field(run)
    nothing_found = run.error_code == NothingFound.code  # asking again would find as little
    with st.container(horizontal=True, vertical_alignment="center", key="ways_on"):
        st.button(
            "Continue from here",
            key="continue",
            type="secondary" if nothing_found else "primary",
            icon=":material/resume:",
            on_click=_resume,
            args=(run,),
        )
        if nothing_found:
            st.button(
                "Write an unsourced, labelled draft",
                key="continue_unsourced",
                type="primary",
                icon=":material/edit_note:",
                on_click=_resume,
                args=(run, True),
            )
        if keeps:
            st.caption("Finished agents are kept and not paid for again.", width="content")


def _ask_for_key(run: RunRecord) -> None:
    where = escaped(address(run.spec.base_url))
    st.warning(
        f"This run was started with a key typed for {where}. Keys are never stored, so it is gone "
        "with the process that knew it. Type it again to go on.",
        icon=":material/key:",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="key_again"):
        st.text_input("API key", key=resume_key(run.id), type="password", live=KEY_LIVE, width=360)
        st.button(
            "Continue",
            key="continue",
            type="primary",
            icon=":material/resume:",
            on_click=_resume,
            args=(run,),
        )


def _model_field(run: RunRecord) -> None:
    """Let a run that failed, perhaps on its model, go on with another one."""
    st.text_input(
        "Model for what is left",
        key=_model_key(run),
        placeholder=model_to_continue(run) or "Name of a model",
        width=360,
        help="Empty: the model that is shown, which is the provider panel's while the panel names "
        "the endpoint of this run. Agents that have finished keep what they wrote.",
    )


def _budget_fields(run: RunRecord) -> None:
    """A run that stopped at its budget goes on with a larger one."""
    with st.container(horizontal=True, key="budget_again"):
        if run.spec.max_tokens is not None:
            st.number_input(
                "Budget of the whole run, in tokens",
                min_value=1,
                value=run.spec.max_tokens,
                step=1000,
                width=240,
                key=f"resume_tokens_{run.id}",
            )
        if run.spec.max_cost_usd is not None:
            st.number_input(
                "Budget of the whole run, in US dollars",
                min_value=0.0001,
                value=run.spec.max_cost_usd,
                format="%.4g",
                width=240,
                key=f"resume_cost_{run.id}",
            )


def _model_to_ask(run: RunRecord) -> str | None:
    if not _may_change_model(run):
        return None
    typed = str(st.session_state.get(_model_key(run)) or "").strip()
    return typed or model_to_continue(run) or None


def _may_change_model(run: RunRecord) -> bool:
    return not run.spec.is_demo and run.status is RunStatus.FAILED


def _model_key(run: RunRecord) -> str:
    return f"resume_model_{run.id}"


def _resume(run: RunRecord, allow_unsourced: bool | None = None) -> None:
    """Continue (callback). A refusal is said where the outcome stands."""
    try:
        endpoint = endpoint_to_continue(run) if run.spec.key_source == "typed" else None
        get_runtime().resume(
            run.id,
            owner(),
            allow_unsourced=allow_unsourced,
            typed_endpoint=endpoint,
            model=_model_to_ask(run),
            max_tokens=st.session_state.get(f"resume_tokens_{run.id}"),
            max_cost_usd=st.session_state.get(f"resume_cost_{run.id}"),
        )
        set_run_error(run.id, "")
        note_page_change()
    except GantryError as error:
        set_run_error(run.id, str(error))
