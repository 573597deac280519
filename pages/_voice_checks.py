"""What code found of a run's brand voice, under its article."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages._text import escaped
from pipeline.content.voice_review import voice_headline, voice_lines


def draw_voice_checks(view: Mapping[str, Any] | None) -> None:
    """Nothing for a run without a voice."""
    if view is None:
        return
    faults = bool(view["faults"])
    icon = ":material/record_voice_over:" if not faults else ":material/warning:"
    title = f"Brand voice {escaped(view['name'])}: {voice_headline(view)}"
    with st.expander(title, icon=icon, expanded=faults, key="voice_checks"):
        st.markdown("\n".join(f"- {escaped(line)}" for line in voice_lines(view)))
        st.caption(
            "Found by code: words, spellings and the call to action. How a text sounds, it cannot say."
        )
