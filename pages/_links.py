"""The links to a run: the owner's own, and the one that shows it to others until it is withdrawn."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import streamlit as st

from pages._owner import owner
from pages._runtime import get_runtime
from pages._state import RUN_PARAM, SHARED_PARAM, set_share_token, share_token
from pipeline.models import RunRecord


def draw_links(run: RunRecord) -> None:
    with st.popover("Share", icon=":material/link:", key="share", type="tertiary"):
        st.markdown("**Your link**")
        st.caption("Shows you this run in any tab, while it goes on and afterwards.")
        st.code(_address(RUN_PARAM, run.id), language=None, wrap_lines=True)
        st.markdown("**A link for others**")
        _for_others(run)


def _for_others(run: RunRecord) -> None:
    shared = get_runtime().is_shared(run.id, owner())
    token = share_token(run.id) if shared else ""
    if not shared:
        st.caption(
            "Whoever has it can read this run: its text, prompts and times. They cannot change it, "
            "and do not see your other runs."
        )
    elif token:
        st.caption("Copy it now: it is shown this once. It works until you stop sharing.")
        st.code(_address(SHARED_PARAM, token), language=None, wrap_lines=True)
    else:
        st.caption(
            "This run is shared. The link was shown when it was made and is kept nowhere; a new one "
            "replaces it."
        )
    with st.container(horizontal=True, key="share_actions"):
        if not token:
            st.button(
                "Make a new link" if shared else "Share",
                key="share_make",
                icon=":material/add_link:",
                on_click=_share,
                args=(run.id,),
            )
        if shared:
            st.button(
                "Stop sharing",
                key="share_stop",
                icon=":material/link_off:",
                on_click=_stop,
                args=(run.id,),
            )


def _share(run_id: str) -> None:
    set_share_token(run_id, get_runtime().share(run_id, owner()))


def _stop(run_id: str) -> None:
    get_runtime().unshare(run_id, owner())
    set_share_token(run_id, "")


def _address(parameter: str, value: str) -> str:
    scheme, host, *_rest = urlsplit(st.context.url or "")
    return urlunsplit((scheme, host, "/", f"{parameter}={value}", ""))
