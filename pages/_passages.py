"""One passage of a document on the page: where it stands, its words, those of a query marked.

A stranger wrote every word of it: it is shown as text, never as markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import streamlit as st

from pages._text import clipped, escaped
from pipeline.knowledge.service import Found
from pipeline.knowledge.terms import matches
from pipeline.store.documents import Document, StoredChunk


def draw_found(found: Found, query: str, languages: Iterable[str]) -> None:
    """A passage a search found, with the words it was found by."""
    document, passage = found.document, found.passage
    marks = matches(passage.text, query, languages)
    with st.container(border=True, gap="xsmall", key=f"found_{document.id}_{passage.position}"):
        st.markdown(f"**{escaped(clipped(document.title))}**")
        _draw(document, passage, marks)


def draw_passage(document: Document, passage: StoredChunk) -> None:
    """A passage within its document."""
    with st.container(border=True, gap="xsmall", key=f"passage_{document.id}_{passage.position}"):
        _draw(document, passage, ())


def _draw(document: Document, passage: StoredChunk, marks: Sequence[tuple[int, int]]) -> None:
    st.caption(_place(document, passage))
    st.html(f'<p class="passage">{_marked(passage.text, marks)}</p>')


def _place(document: Document, passage: StoredChunk) -> str:
    parts = []
    if passage.page is not None:
        parts.append(f"{'Slide' if document.kind == 'pptx' else 'Page'} {passage.page}")
    if passage.path:
        parts.append(escaped(clipped(passage.path, 120)))
    return " · ".join(parts) or f"Passage {passage.position + 1:,}"


def _marked(text: str, marks: Sequence[tuple[int, int]]) -> str:
    """HTML of `text` as it is, with <mark> around `marks`."""
    written, at = [], 0
    for start, end in marks:
        written += [html.escape(text[at:start]), f"<mark>{html.escape(text[start:end])}</mark>"]
        at = end
    return "".join([*written, html.escape(text[at:])])
