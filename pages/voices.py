"""Brand voices: list, write, change, copy and delete the presets of one owner.

What a voice may hold and how its lists are typed is `pipeline.voice_form`'s.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from pages._confirm import draw_delete_or_keep
from pages._owner import owner
from pages._runtime import get_runtime
from pages._state import edit_voice, edited_voice
from pages._text import clipped, escaped, told
from pages._when import when
from pipeline.errors import SpecError
from pipeline.store.voices import Preset
from pipeline.voice import LINE_MAX_CHARS, NAME_MAX_CHARS, TEXT_MAX_CHARS, Voice
from pipeline.voice_form import form_of, links_of, make_voice, spelling_of, words_of

LIST_MAX_CHARS: Final = 12_000  # of a typed list
NEW: Final = "new"
EDITOR_WIDTH: Final = 760  # pixels


def brand_voices() -> None:
    st.title("Brand voices", anchor=False)
    st.caption(
        "How your articles and posts sound. Choose a voice in the Studio under Details: writer, editor and "
        "promoter are told it, and code checks what it can: words, spellings, the call to action."
    )
    if edited := edited_voice():
        _editor(edited)
        return
    presets = get_runtime().voices.listed(owner())
    if not presets:
        st.info(
            "There are no brand voices yet. Write down how your brand sounds, which words it never uses "
            "and what its texts end with; every run that you start with the voice follows it.",
            icon=":material/record_voice_over:",
        )
    st.button(
        "New voice",
        key="voice_new",
        type="primary",
        icon=":material/add:",
        on_click=edit_voice,
        args=(NEW,),
    )
    with st.container(key="voices", gap="small"):
        for preset in presets:
            _row(preset)


def _row(preset: Preset) -> None:
    about = escaped(clipped(preset.voice.name, 60))  # a tooltip is Markdown too
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"voice_{preset.id}"
    ):
        with st.container(width="stretch", gap="xsmall", key=f"about_{preset.id}"):
            st.markdown(f":material/record_voice_over: **{escaped(preset.voice.name)}**")
            if preset.voice.voice:
                st.caption(escaped(clipped(preset.voice.voice, 160)))
            st.caption(facts_of(preset))
        st.button(
            "Edit",
            key=f"edit_{preset.id}",
            icon=":material/edit:",
            help=about,
            on_click=edit_voice,
            args=(preset.id,),
        )
        st.button(
            "Duplicate",
            key=f"duplicate_{preset.id}",
            icon=":material/content_copy:",
            help=about,
            on_click=_duplicate,
            args=(preset.id,),
        )
        if st.button("Delete", key=f"delete_{preset.id}", icon=":material/delete:", help=about):
            _confirm_delete(preset)


def facts_of(preset: Preset) -> str:
    """One line: what code can check of the voice, since when."""
    voice = preset.voice
    facts = [
        _count(len(voice.banned_words), "banned word"),
        _count(len(voice.spelling), "spelling"),
        _count(len(voice.links), "link"),
        "a call to action" if voice.call_to_action else "",
        f"changed {when(preset.updated_at)}",
    ]
    return " · ".join(fact for fact in facts if fact)


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}" if count else ""


def _editor(edited: str) -> None:
    """In the list's place: a new voice, or one of the owner's. What is typed stays until it is kept."""
    preset = None if edited == NEW else get_runtime().voices.get(owner(), edited)
    if edited != NEW and preset is None:
        st.warning("This voice was deleted.", icon=":material/delete:")
    with st.container(border=True, width=EDITOR_WIDTH, key="voice_editor"):
        fields = _fields(preset)
        with st.container(horizontal=True, horizontal_alignment="right"):
            st.button("Discard", key="voice_discard", on_click=edit_voice, args=("",))
            is_asked = st.button("Save", key="voice_save", type="primary", icon=":material/check:")
        if is_asked and _saved(preset, fields):
            edit_voice("")
            st.rerun()


def _fields(preset: Preset | None) -> dict[str, str]:
    """What is typed, by field; begins with what is kept."""
    voice = preset.voice if preset else Voice.model_construct(name="")
    lists = form_of(voice)
    key = preset.id if preset else NEW

    def line(name: str, label: str, value: str, limit: int, hint: str = "") -> str:
        return (
            st.text_input(label, value, key=f"{name}_{key}", max_chars=limit, placeholder=hint)
            or ""
        )

    def area(name: str, label: str, value: str, limit: int, hint: str, about: str = "") -> str:
        return st.text_area(
            label, value, key=f"{name}_{key}", max_chars=limit, placeholder=hint,
            help=about or None, height=90,
        ) or ""  # fmt: skip

    return {
        "name": line("name", "Name", voice.name, NAME_MAX_CHARS),
        "voice": area(
            "sounds", "How it sounds", voice.voice, TEXT_MAX_CHARS,
            "Warm and exact. Short sentences. We say “you”, never “one”.",
        ),
        "audience": line("audience", "Readers", voice.audience, LINE_MAX_CHARS, "Owners of old houses"),
        "banned_words": area(
            "banned", "Never use", lists["banned_words"], LIST_MAX_CHARS, "leverage",
            "One word or phrase per line. Whole words, in any case.",
        ),
        "spelling": area(
            "spelling", "Spelling", lists["spelling"], LIST_MAX_CHARS, "colour = color",
            "One per line: what to write = what not to write.",
        ),
        "links": area(
            "links", "Own pages", lists["links"], LIST_MAX_CHARS, "Our shop: https://example.com/shop",
            "One per line. Articles may link to them; other addresses that are no sources are taken out.",
        ),
        "call_to_action": line(
            "action", "Call to action", voice.call_to_action, LINE_MAX_CHARS, "Ask us for a free check.",
        ),
    }  # fmt: skip


def _saved(preset: Preset | None, typed: dict[str, str]) -> bool:
    """Keep what was typed; False, with the reason on the page, when it cannot be."""
    try:
        voice = make_voice(
            **typed
            | {
                "banned_words": words_of(typed["banned_words"]),
                "spelling": spelling_of(typed["spelling"]),
                "links": links_of(typed["links"]),
            }
        )
        if preset is None:
            get_runtime().voices.add(owner(), voice)
            return True
        if not get_runtime().voices.change(owner(), preset.id, voice):
            get_runtime().voices.add(owner(), voice)  # it was deleted meanwhile; this is it again
    except SpecError as error:
        st.error(told(error), icon=":material/error:")
        return False
    return True


@st.dialog("Delete this voice?", icon=":material/delete:")
def _confirm_delete(preset: Preset) -> None:
    st.markdown(f"**{escaped(preset.voice.name)}**")
    st.write("Runs that were started with it keep their copy.")
    draw_delete_or_keep("delete", _delete, preset.id)


def _delete(voice_id: str) -> None:
    get_runtime().voices.delete(owner(), voice_id)


def _duplicate(voice_id: str) -> None:
    try:
        get_runtime().voices.duplicate(owner(), voice_id)
    except SpecError as error:
        st.toast(told(error), icon=":material/error:")


brand_voices()
