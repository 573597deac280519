"""The social posts of a run, each as it would look on its network, with what code had to change.

Which posts there are and what is said of them comes from `pipeline.views.posts`. A post's text is a
plain code block in the page's own typeface: nothing in it is markup, and its corner copies it.
"""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from pages._text import clipped, escaped
from pipeline.content.social import LINK_SLOT, checked_on, platforms
from pipeline.export.bundle import Bundle
from pipeline.views.posts import Bubble, Face, PostCard, post_cards

CARD_WIDTH: Final = 340  # pixels; as many side by side as there is room for
KEEP: Final = "session"


def draw_posts(bundle: Bundle) -> None:
    """The posts tab. The run has posts."""
    report = bundle.report
    cards = post_cards(report["posts"], report["series"])
    title = bundle.article.title if bundle.article else bundle.run.spec.topic
    _cards(cards, title, bundle.run.id)


@st.fragment
def _cards(cards: list[PostCard], title: str, run_id: str) -> None:
    """A fragment, so that another variant does not draw the whole result again."""
    st.caption(
        f"Counted the way each network counts; limits as of {escaped(checked_on())}. Put the article's "
        f"address in place of “{LINK_SLOT}”: it is counted as the network counts an address."
    )
    networks = platforms()  # all of them, whatever this run has: the choice is kept for other runs
    shown: Any = st.pills(
        "Networks",
        list(networks),
        selection_mode="multi",
        default=list(networks),
        format_func=lambda name: networks[name].title,
        key="networks",
        persist_state=KEEP,
    )
    if not shown:
        st.caption("No network is chosen.")
        return
    with st.grid(min_column_width=CARD_WIDTH, key="posts"):
        for card in cards:
            if card.platform in shown:
                _card(card, title, run_id)


def _card(card: PostCard, title: str, run_id: str) -> None:
    faces = {face.name: face for face in card.faces}
    with st.container(border=True, key=f"post_{card.platform}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escaped(card.title)}**", width="content")
            st.space("stretch")
            chosen = st.segmented_control(
                f"Variant for {card.title}",
                list(faces),
                default=card.faces[0].name,
                required=True,
                key=f"variant_{card.platform}_{run_id}",
                label_visibility="collapsed",
            )
        face = faces.get(chosen or "", card.faces[0])
        _flags(face)
        for bubble in face.bubbles:
            _bubble(bubble, card, title)
        for note in face.notes:
            st.caption(escaped(note))


def _flags(face: Face) -> None:
    if not face.flags:
        return
    with st.container(horizontal=True):
        for flag in face.flags:
            st.badge(flag, icon=":material/content_cut:", color="orange")


def _bubble(bubble: Bubble, card: PostCard, title: str) -> None:
    st.markdown(":material/account_circle: **Your name** :gray[· now]")
    st.code(bubble.text, language=None, wrap_lines=True)
    if bubble.has_link and card.clickable:
        with st.container(border=True, gap=None):
            st.caption(":material/link: the article's address")
            st.markdown(f"**{escaped(clipped(title))}**")
    st.progress(bubble.share)
    color = "gray" if bubble.ok else "red"
    icon = ":material/check:" if bubble.ok else ":material/error:"
    st.badge(bubble.length, icon=icon, color=color, help=escaped(card.rule))  # type: ignore[arg-type]
