"""Which brand voice the form asks for: one of the owner's, or none."""

from __future__ import annotations

from typing import Final, Literal

import streamlit as st

from pages._owner import owner
from pages._runtime import get_runtime
from pipeline.errors import SpecError
from pipeline.models import RunSpec
from pipeline.voice import Voice

VOICE_KEY: Final = "voice"  # of the field: the preset's id; empty: none
NO_VOICE: Final = ""


def draw_voice_choice(keep: Literal["page", "session"]) -> None:
    """The field. A preset that is gone is no longer chosen."""
    names = {preset.id: preset.voice.name for preset in get_runtime().voices.listed(owner())}
    if st.session_state.get(VOICE_KEY, NO_VOICE) not in names:
        st.session_state[VOICE_KEY] = NO_VOICE
    st.selectbox(
        "Brand voice",
        [NO_VOICE, *names],
        format_func=lambda preset: names.get(preset, "None"),
        key=VOICE_KEY,
        help="How the article and its posts sound. Write yours on the page Brand voices.",
        persist_state=keep,
    )


def chosen_voice() -> Voice | None:
    """The voice as it is now, to be copied into the run. Raises `SpecError` when it is gone."""
    chosen = st.session_state.get(VOICE_KEY, NO_VOICE)
    if chosen == NO_VOICE:
        return None
    preset = get_runtime().voices.get(owner(), chosen)
    if preset is None:
        raise SpecError("The brand voice was deleted.", "Choose another one under Details.")
    return preset.voice


def restore_voice(spec: RunSpec) -> str:
    """Choose the preset an earlier run had; a sentence when there is none like it any more."""
    if spec.voice is None:
        st.session_state[VOICE_KEY] = NO_VOICE
        return ""
    presets = get_runtime().voices.listed(owner())
    same = [preset for preset in presets if preset.voice == spec.voice]
    namesakes = [preset for preset in presets if preset.voice.name == spec.voice.name]
    found = next(iter((*same, *namesakes)), None)
    st.session_state[VOICE_KEY] = found.id if found else NO_VOICE
    if same:
        return ""
    if namesakes:
        return f"The brand voice “{spec.voice.name}” was changed since that run; it is used as it is now."
    return f"The brand voice “{spec.voice.name}” of that run is not among yours; none is chosen."
