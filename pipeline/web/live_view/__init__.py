"""The live view of a run, mounted into a page: the only place in `pipeline` that knows Streamlit.

Python registers the component and says which run it shows; everything that happens while the run
goes on happens between the browser and the run's socket (`pipeline/web/routes.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from pipeline.web.access import TOKEN_LIFE_S
from pipeline.web.routes import PLOTLY_URL

_HERE = Path(__file__).parent
_SCRIPTS: Final = (
    "reading.js",
    "gantt.js",
    "admission.js",
    "live.js",
)  # one module, joined in this order

# At module level: registering again on every rerun would mount the view anew.
_component = st.components.v2.component(
    "gantry_live_view",
    css=(_HERE / "live.css").read_text("utf-8"),
    js="\n".join((_HERE / name).read_text("utf-8") for name in _SCRIPTS),
    isolate_styles=False,  # plotly puts its own rules into the document's head
)


def live_view(run_id: str, *, token: str, gates_token: str, topic: str, key: str) -> bool:
    """Show a run while it goes on. True in the one rerun that its end causes.

    `token` opens the run's socket for a short while, `gates_token` the gates as JSON
    (`pipeline/web/access.py`; empty: they are not this visitor's business). When the view needs
    them again later it asks for a rerun, and so for others.
    """
    result = _component(
        key=key,
        data={
            "run_id": run_id,
            "token": token,
            "gates_token": gates_token,
            "token_life_s": TOKEN_LIFE_S,
            "topic": topic,
            "plotly_url": PLOTLY_URL,
        },
        on_finished_change=_nothing,
        on_token_wanted_change=_nothing,
    )
    return result.finished is not None


def preload(*, key: str) -> None:
    """Let the browser fetch and parse plotly while nobody waits for it."""
    _component(key=key, data={"plotly_url": PLOTLY_URL}, on_finished_change=_nothing)


def _nothing() -> None:
    """A trigger without a callback would have no attribute on the result."""
