"""The frame around every page: browser tab, navigation, and what to say when nothing works yet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import streamlit as st

from pages._owner import is_known
from pages._runtime import get_runtime
from pages._shared import asked_token, shared_page
from pages._text import told
from pages._visitor import draw_account, draw_door, may_look_around
from pipeline.errors import GantryError

_HERE = Path(__file__).parent
_NEVER = timedelta(days=1)
_PAGES = [
    st.Page(_HERE / "studio.py", title="Studio", icon=":material/bolt:", default=True),
    st.Page(_HERE / "history.py", title="History", icon=":material/history:", url_path="history"),
    st.Page(
        _HERE / "knowledge.py",
        title="Knowledge base",
        icon=":material/library_books:",
        url_path="knowledge",
    ),
    st.Page(
        _HERE / "voices.py",
        title="Brand voices",
        icon=":material/record_voice_over:",
        url_path="voices",
    ),
    st.Page(
        _HERE / "plan_lab.py", title="Plan lab", icon=":material/experiment:", url_path="plan_lab"
    ),
]


@st.fragment(run_every=_NEVER)
def _draw_again_when_connected_again() -> None:
    """Make the browser ask for the page when its connection comes back, as Streamlit does only for
    a page with something that repeats. A server that was started again knows no button of a page
    that is still open: the first click would go nowhere."""


# An emoji, not an icon name: Streamlit would fetch the icon of a tab from another host.
st.set_page_config(page_title="Gantry", page_icon="🏗️", layout="wide")
st.html(_HERE / "look.css")
with st.container(key="scripts"):
    st.html(_HERE / "links.html", unsafe_allow_javascript=True)
    _draw_again_when_connected_again()
page = st.navigation(_PAGES, position="top" if may_look_around() else "hidden")
what = "cannot start"
st.set_page_config(page_title=f"{page.title} – Gantry")
try:
    get_runtime()
    what = "cannot show this page"  # a store that is locked, damaged or too slow
    if (token := asked_token()) is not None:
        shared_page(token)
    elif is_known():
        draw_account()
        page.run()
    else:
        draw_door()
except GantryError as error:
    st.error(f"**Gantry {what}.** {told(error)}", icon=":material/error:")
    st.button("Try again", key="try_again")
