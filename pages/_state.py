"""What a browser session remembers beside the widgets, each key named once.

The run on screen is an id in the address (`?run=…`), so a reload, a second tab and a link show the
same; the session remembers it because Streamlit drops the query when pages are switched.
"""

from __future__ import annotations

import re
from typing import Final

import streamlit as st

RUN_PARAM: Final = "run"
SHARED_PARAM: Final = "shared"
_CURRENT_RUN: Final = "_current_run"
_FORM_ERROR: Final = "_form_error"
_FORM_NOTE: Final = "_form_note"
_RUN_ERROR: Final = "_run_error"
_EDITED_AGENT: Final = "_edited_agent"
_EDITED_VOICE: Final = "_edited_voice"
_LIVE_ROUND: Final = "_live_round"
_SHARE_LINK: Final = "_share_link"
_PAGE_CHANGE: Final = "_page_change"
_OPENED_TABS: Final = "_opened_tabs"
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def current_run_id() -> str | None:
    """The run on screen: from the address, else the one shown before a visit to another page."""
    asked = st.query_params.get(RUN_PARAM)
    if asked is not None and not _RUN_ID.fullmatch(asked):
        return None
    if asked is None and (remembered := st.session_state.get(_CURRENT_RUN)):
        st.query_params[RUN_PARAM] = remembered
        return str(remembered)
    st.session_state[_CURRENT_RUN] = asked
    return asked


def is_link() -> bool:
    """True when the address asks for a run, in whatever form."""
    return bool(st.query_params.get(RUN_PARAM))


def asked_run_id() -> str | None:
    """The run a page that shows finished runs was asked for: in the address, else the one on screen.

    Leaves the run on screen as it is.
    """
    asked = st.query_params.get(RUN_PARAM) or st.session_state.get(_CURRENT_RUN)
    return asked if isinstance(asked, str) and _RUN_ID.fullmatch(asked) else None


def open_run(run_id: str) -> None:
    st.session_state[_CURRENT_RUN] = run_id
    st.query_params[RUN_PARAM] = run_id


def close_run() -> None:
    st.session_state.pop(_CURRENT_RUN, None)
    st.query_params.pop(RUN_PARAM, None)


def forget_run(run_id: str) -> None:
    """The run was deleted: do not come back to it."""
    if st.session_state.get(_CURRENT_RUN) == run_id:
        close_run()


def set_form_error(message: str) -> None:
    st.session_state[_FORM_ERROR] = message


def clear_form_error() -> None:
    st.session_state.pop(_FORM_ERROR, None)
    st.session_state.pop(_FORM_NOTE, None)


def form_error() -> str:
    """Why the last start was refused; stays until the next try."""
    return str(st.session_state.get(_FORM_ERROR, ""))


def set_form_note(message: str) -> None:
    """What a person must still do before the form can be run; empty: nothing."""
    st.session_state[_FORM_NOTE] = message


def form_note() -> str:
    return str(st.session_state.get(_FORM_NOTE, ""))


def note_page_change() -> None:
    """A callback in a fragment changed what the whole page shows."""
    st.session_state[_PAGE_CHANGE] = True


def take_page_change() -> bool:
    return bool(st.session_state.pop(_PAGE_CHANGE, False))


def set_run_error(run_id: str, message: str) -> None:
    """Why a run could not be continued; empty takes it back."""
    st.session_state[_RUN_ERROR] = (run_id, message)


def run_error(run_id: str) -> str:
    of_run, message = st.session_state.get(_RUN_ERROR, ("", ""))
    return str(message) if of_run == run_id else ""


def set_share_token(run_id: str, token: str) -> None:
    """The link just made: it is stored nowhere else. Empty takes it back."""
    st.session_state[_SHARE_LINK] = (run_id, token)


def share_token(run_id: str) -> str:
    of_run, token = st.session_state.get(_SHARE_LINK, ("", ""))
    return str(token) if of_run == run_id else ""


def edit_agent(run_id: str, agent: str) -> None:
    """Open the editor of one agent; an empty name closes it."""
    st.session_state[_EDITED_AGENT] = (run_id, agent)


def edited_agent(run_id: str) -> str:
    """The agent whose editor is open, of this run; empty: none."""
    of_run, agent = st.session_state.get(_EDITED_AGENT, ("", ""))
    return str(agent) if of_run == run_id else ""


def edit_voice(voice_id: str) -> None:
    """Open the editor of a brand voice; an empty id closes it."""
    st.session_state[_EDITED_VOICE] = voice_id


def edited_voice() -> str:
    """The brand voice whose editor is open; empty: none."""
    return str(st.session_state.get(_EDITED_VOICE, ""))


def note_opened_tab(run_id: str, title: str) -> None:
    """Remember a tab of the result; those of another run are forgotten."""
    st.session_state[_OPENED_TABS] = (run_id, opened_tabs(run_id) | {title})


def opened_tabs(run_id: str) -> frozenset[str]:
    of_run, titles = st.session_state.get(_OPENED_TABS, ("", frozenset()))
    return frozenset(titles) if of_run == run_id else frozenset()


def live_round() -> int:
    """Part of the live view's key: another number is another view, with a socket of its own."""
    return int(st.session_state.get(_LIVE_ROUND, 0))


def next_live_round() -> None:
    st.session_state[_LIVE_ROUND] = live_round() + 1
