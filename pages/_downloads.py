"""What can be taken along of a run, made when its button is pressed.

A page may stay open for hours: whether its reader may still see the run is asked of the store again
at the press, so that a link that was withdrawn, or a run that was deleted, gives nothing more away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import streamlit as st

from pipeline.errors import SpecError
from pipeline.export.bundle import Bundle
from pipeline.export.html import file_name

DOCX_TYPE: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_OF_AN_ARTICLE: Final = ("md", "html", "docx", "pdf")

Content = TypeVar("Content", str, bytes)


def draw_downloads(bundle: Bundle, may_read: Callable[[], bool]) -> None:
    """A button for each file; `may_read` is asked from a thread of the server's."""
    title = bundle.article.title if bundle.article else bundle.run.spec.topic
    for label, extension, mime, make in (
        ("Markdown", "md", "text/markdown", _allowed(bundle.markdown, may_read)),
        ("HTML", "html", "text/html", _allowed(bundle.html, may_read)),
        ("Word", "docx", DOCX_TYPE, _allowed(bundle.docx, may_read)),
        ("PDF", "pdf", "application/pdf", _allowed(bundle.pdf, may_read)),
        ("JSON report", "json", "application/json", _allowed(bundle.json, may_read)),
        ("All as ZIP", "zip", "application/zip", _allowed(bundle.zip, may_read)),
    ):
        if bundle.article is None and extension in _OF_AN_ARTICLE:
            continue
        key = "markdown" if extension == "md" else extension
        st.download_button(
            label,
            make,
            file_name(title, extension),
            mime,
            key=f"download_{key}",
            icon=":material/folder_zip:" if extension == "zip" else ":material/download:",
            on_click="ignore",
        )


def _allowed(make: Callable[[], Content], may_read: Callable[[], bool]) -> Callable[[], Content]:
    def made() -> Content:
        if not may_read():
            raise SpecError("This run was deleted, or is no longer shared.", "Load the page again.")
        return make()

    return made
