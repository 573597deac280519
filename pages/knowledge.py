"""Knowledge base: add documents of one's own, see what became of them, search, read, delete.

What is read here is what researchers get: the same passages, the same search. Files on their way are
`_uploads.py`'s.
"""

from __future__ import annotations

import math
from typing import Final

import streamlit as st

from pages._confirm import draw_delete_or_keep
from pages._owner import owner
from pages._passages import draw_found, draw_passage
from pages._runtime import get_runtime
from pages._text import clipped, escaped
from pages._uploads import draw_uploader
from pages._when import when
from pipeline.store.documents import Document

PAGE_SIZE: Final = 20
PASSAGES: Final = 8  # in a search
PREVIEWED: Final = 20  # passages on a page of a preview
_ICONS: Final = {"pdf": "picture_as_pdf", "pptx": "slideshow", "html": "html", "docx": "article"}


def knowledge_base() -> None:
    st.title("Knowledge base", anchor=False)
    st.caption(
        "Your own documents. The knowledge researcher of every run searches them, and the article "
        "cites what it used. Gantry keeps their text, not the files; only you see them."
    )
    draw_uploader()
    documents = get_runtime().documents
    total = documents.count(owner())
    if not total and all(upload.is_over for upload in documents.uploads(owner())):
        st.info(
            "There are no documents yet. Add the ones your articles should build on: a product "
            "sheet, a study, notes. Until then researchers have the web, and the demo its samples.",
            icon=":material/library_add:",
        )
    if not total:
        return
    shelf, search = st.tabs(["Documents", "Try a search"], key="knowledge_tabs")
    with shelf:
        _draw_shelf(total)
    with search:
        _draw_search()


def _draw_search() -> None:
    query = st.text_input(
        "Search your documents",
        key="knowledge_query",
        icon=":material/search:",
        placeholder="What a researcher would look for",
        max_chars=400,
    )
    if not query:
        st.caption("Shows the passages a researcher would get for these words, best first.")
        return
    result = get_runtime().documents.search(owner(), query, PASSAGES)
    if result.note:
        st.warning(escaped(result.note), icon=":material/warning:")
    if not result.found:
        st.info(
            f"No document is about “{escaped(query)}”. Other words may find more; words that stand "
            "in any text are not counted.",
            icon=":material/search_off:",
        )
        return
    count = len(result.found)
    st.caption(f"{count} {'passage' if count == 1 else 'passages'}, best first")
    for found in result.found:
        draw_found(found, query, result.languages)


def _draw_shelf(total: int) -> None:
    text = ""
    if total > 1:
        text = st.text_input(
            "Find a document",
            key="knowledge_filter",
            icon=":material/filter_list:",
            placeholder="Part of a title or file name",
            live=True,
        )
    documents = get_runtime().documents
    found = documents.count(owner(), text or "")
    if not found:
        st.info(f"No document is called “{escaped(text)}”.", icon=":material/search_off:")
        return
    st.caption(f"{found:,} {'document' if found == 1 else 'documents'}, newest first")
    rows = st.container(key="documents", gap="small")
    pages, page = math.ceil(found / PAGE_SIZE), 1
    if pages > 1:
        page = min(st.pagination(pages, key="knowledge_page"), pages)
    with rows:
        for document in documents.listed(owner(), PAGE_SIZE, (page - 1) * PAGE_SIZE, text or ""):
            _row(document)
    if total > 1 and st.button(
        "Delete all documents", key="delete_all", type="tertiary", icon=":material/delete_sweep:"
    ):
        _confirm_delete_all(total)


def _row(document: Document) -> None:
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"document_{document.id}"
    ):
        with st.container(width="stretch", gap="xsmall", key=f"about_{document.id}"):
            icon = _ICONS.get(document.kind, "description")
            st.markdown(f":material/{icon}: **{escaped(clipped(document.title, 110))}**")
            st.caption(facts_of(document))
            for warning in document.warnings:
                st.caption(f":material/warning: {escaped(warning)}")
        about = escaped(clipped(document.title, 60))  # a tooltip is Markdown too
        if st.button("Read", key=f"read_{document.id}", icon=":material/visibility:", help=about):
            _preview(document)
        if st.button("Delete", key=f"delete_{document.id}", icon=":material/delete:", help=about):
            _confirm_delete(document)


def facts_of(document: Document) -> str:
    """One line: the file, what is kept of it, since when."""
    facts = [escaped(clipped(document.name, 60))]
    if document.pages is not None:
        word = "slide" if document.kind == "pptx" else "page"
        facts.append(f"{document.pages:,} {word}{'' if document.pages == 1 else 's'}")
    count = document.chunk_count
    facts.append(f"{count:,} {'passage' if count == 1 else 'passages'}")
    facts.append(document.language.capitalize())
    facts.append(when(document.added_at))
    return " · ".join(facts)


@st.dialog("What researchers read", width="large", icon=":material/visibility:")
def _preview(document: Document) -> None:
    st.markdown(f"**{escaped(document.title)}**")
    st.caption(facts_of(document))
    pages, page = math.ceil(document.chunk_count / PREVIEWED), 1
    if pages > 1:
        page = min(st.pagination(pages, key=f"preview_page_{document.id}"), pages)
    start = (page - 1) * PREVIEWED
    passages = get_runtime().documents.passages(owner(), document.id, PREVIEWED, start)
    if not passages:
        st.info("This document was deleted.", icon=":material/delete:")
    for passage in passages:
        draw_passage(document, passage)


@st.dialog("Delete this document?", icon=":material/delete:")
def _confirm_delete(document: Document) -> None:
    st.markdown(f"**{escaped(clipped(document.title, 140))}**")
    st.write(
        "Its text leaves the knowledge base for good. Articles that cite it keep the passages they "
        "quote."
    )
    draw_delete_or_keep("delete", _delete, document.id)


@st.dialog("Delete all documents?", icon=":material/delete_sweep:")
def _confirm_delete_all(total: int) -> None:
    st.write(
        f"All {total:,} documents leave the knowledge base for good. Articles that cite them keep "
        "the passages they quote."
    )
    draw_delete_or_keep("delete_all", _delete_all, keep="Keep them", delete="Delete all")


def _delete(document_id: str) -> None:
    get_runtime().documents.delete(owner(), document_id)


def _delete_all() -> None:
    get_runtime().documents.delete_all(owner())


knowledge_base()
