"""The stop after planning: the outline as a form, and what can be decided about it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages._outline import outline_form, typed_outline
from pages._owner import owner
from pages._runtime import get_runtime
from pages._state import note_page_change, set_run_error
from pages._text import escaped
from pipeline.agents.edited_output import edited_fields
from pipeline.errors import GantryError
from pipeline.export.bundle import Bundle
from pipeline.models import RunRecord


def draw_approval(bundle: Bundle) -> None:
    """Approve the outline, approve it with changes, or cancel the run."""
    plan = _planned(bundle)
    if plan is None:  # the row says it waits, so its planner is done: only a deleted row has none
        st.error("This run waits for approval but has no outline. Cancel it and start again.")
        return
    key = _form_key(bundle.run)
    with st.container(key="approval", border=True):
        st.header("Approve the outline", anchor=False)
        st.caption(
            "The run stands still until you decide: nothing is spent, and it waits through a restart. "
            "You may close this page; the history and the link bring you back."
        )
        if plan.get("angle"):
            st.markdown(f"**Angle** {escaped(str(plan['angle']))}")
        outline_form(key, plan)
        changed = typed_outline(key, plan) != plan
        if changed:
            st.caption("You have changed the outline. “Approve” alone would drop the changes.")
        with st.container(horizontal=True, key="approval_actions"):
            st.button(
                "Approve",
                key="approve",
                type="secondary" if changed else "primary",
                icon=":material/check:",
                help="Goes on with the outline as the planner made it.",
                on_click=_approve,
                args=(bundle.run,),
            )
            st.button(
                "Approve with changes",
                key="approve_changes",
                type="primary" if changed else "secondary",
                icon=":material/edit_note:",
                help="Goes on with the outline as it stands in this form.",
                on_click=_approve_changes,
                args=(bundle, plan),
            )
            st.button(
                "Cancel the run",
                key="cancel_waiting",
                icon=":material/stop_circle:",
                on_click=_cancel,
                args=(bundle.run,),
            )


def _planned(bundle: Bundle) -> dict[str, Any] | None:
    checkpoint = bundle.checkpoints.get(bundle.plan.outliner)
    return checkpoint.output.data if checkpoint else None


def _form_key(run: RunRecord) -> str:
    return f"approve_{run.id}"


def _approve(run: RunRecord) -> None:
    try:
        get_runtime().approve(run.id, owner())
        _decided(run)
    except GantryError as error:
        set_run_error(run.id, str(error))


def _approve_changes(bundle: Bundle, plan: dict[str, Any]) -> None:
    typed = typed_outline(_form_key(bundle.run), plan)
    name = bundle.plan.outliner
    try:
        before = bundle.checkpoints[name].output
        outline = edited_fields(bundle.plan.agent(name), before, typed)
        get_runtime().approve(
            bundle.run.id, owner(), outline=outline if outline.data != plan else None
        )
        _decided(bundle.run)
    except GantryError as error:
        set_run_error(bundle.run.id, str(error))


def _cancel(run: RunRecord) -> None:
    try:
        get_runtime().cancel(run.id, owner())
        _decided(run)
    except GantryError as error:
        set_run_error(run.id, str(error))


def _decided(run: RunRecord) -> None:
    set_run_error(run.id, "")
    note_page_change()
