"""The frame around every page: browser tab, theme-independent layout, navigation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

st.set_page_config(page_title="Gantry", page_icon="🏗️", layout="wide")

_HERE = Path(__file__).parent
_PAGES = [
    st.Page(_HERE / "studio.py", title="Studio", icon=":material/bolt:", default=True),
    st.Page(_HERE / "history.py", title="History", icon=":material/history:", url_path="history"),
]
st.navigation(_PAGES, position="top").run()
