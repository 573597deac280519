"""A run as its link shows it to whoever has the link: to read, nothing to change.

Draws what the Studio draws for the owner, without what acts on the run and without the address
its calls went to.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from pages._result import draw_ended, draw_header, is_over, tab_title
from pages._runtime import get_runtime
from pages._state import SHARED_PARAM, next_live_round
from pages._text import clipped, escaped
from pages._watch import watch
from pipeline.export.public import public_run
from pipeline.models import RunRecord
from pipeline.owners import is_share_token, share_hash

FINISH_WAIT_S: Final = 5.0


def asked_token() -> str | None:
    """What the address asks for; None when it asks for no shared run."""
    return st.query_params.get(SHARED_PARAM)


def shared_page(token: str) -> None:
    """The run of that link. One that was withdrawn looks like one that never was."""
    known = share_hash(token) if is_share_token(token) else ""
    run = get_runtime().shared_run(known) if known else None
    if run is None:
        _nothing()
        return
    with st.container(key="run_panel"):
        st.caption(
            ":material/visibility: Shared with you to read. The link works until it is withdrawn."
        )
        if is_over(run):
            st.set_page_config(page_title=tab_title(run))
            draw_header(public_run(run), read_only=True)
            runtime = get_runtime()
            draw_ended(run, lambda: runtime.shared_run(known) is not None, read_only=True)
        else:
            _live(run, known)


def _live(run: RunRecord, known: str) -> None:
    st.title(escaped(clipped(run.spec.topic, 140)), anchor=False)
    draw_header(public_run(run), read_only=True)
    if watch(run, share=known):
        ended = get_runtime().wait(run.id, FINISH_WAIT_S)
        if ended is not None and not is_over(ended):
            next_live_round()
        st.rerun()


def _nothing() -> None:
    st.title("Gantry", anchor=False)
    st.warning(
        "This link shows nothing. It was withdrawn, the run was deleted, or the link is incomplete.",
        icon=":material/link_off:",
    )
