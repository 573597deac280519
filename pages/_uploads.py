"""Files on their way into the knowledge base: taken as they are dropped, each with its progress.

They are read in the pipeline's loop: an upload goes on when the tab is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from pages._owner import owner
from pages._runtime import get_runtime
from pages._text import clipped, escaped, told
from pipeline.errors import SpecError
from pipeline.knowledge.convert import LIMITS
from pipeline.knowledge.uploads import Upload, UploadState

KINDS: Final = ("pdf", "docx", "pptx", "html", "htm", "md", "markdown", "txt")
LOOK_EVERY_S: Final = 1.0
_ROUND: Final = "_upload_round"  # a new key empties the uploader
_ICONS: Final = {
    UploadState.WAITING: ":material/schedule:",
    UploadState.READING: ":material/sync:",
    UploadState.STORED: ":green[:material/check_circle:]",
    UploadState.KNOWN: ":material/content_copy:",
    UploadState.REFUSED: ":red[:material/error:]",
}


def draw_uploader() -> None:
    """The place to drop files, and below it what became of them."""
    round_ = st.session_state.setdefault(_ROUND, 0)
    files = st.file_uploader(
        "Add documents",
        KINDS,
        accept_multiple_files=True,
        key=f"upload_{round_}",
        max_upload_size=LIMITS.max_bytes // 1_000_000,
        help="PDF, DOCX, PPTX, HTML, Markdown and text. Scans need text recognition first.",
    )
    if files:
        for file in files:
            try:
                get_runtime().documents.take(owner(), file.name, file.getvalue())
            except SpecError as error:
                st.error(f"{escaped(clipped(file.name))}: {told(error)}")
                break
        else:
            st.session_state[_ROUND] = round_ + 1
            st.rerun()
    uploads = get_runtime().documents.uploads(owner())
    if uploads and all(upload.is_over for upload in uploads):
        _draw(uploads)
    elif uploads:
        _watch()


@st.fragment(run_every=LOOK_EVERY_S)
def _watch() -> None:
    uploads = get_runtime().documents.uploads(owner())
    if all(upload.is_over for upload in uploads):
        st.rerun()  # the whole page: the new documents stand on it
    _draw(uploads)


def _draw(uploads: Sequence[Upload]) -> None:
    over = sum(upload.is_over for upload in uploads)
    refused = sum(upload.state is UploadState.REFUSED for upload in uploads)
    with st.container(border=True, key="uploads", gap="small"):
        if over < len(uploads):
            st.progress(
                over / len(uploads), text=f"{over} of {len(uploads)} files read. You may leave."
            )
        else:
            done = f"{over - refused} of {over} files can be searched now."
            st.markdown(f"**{done}**" if over > 1 or not refused else "**Nothing was added.**")
        for upload in uploads:
            st.markdown(_said(upload))
        if over == len(uploads):
            st.button("Got it", key="uploads_clear", on_click=_clear, type="tertiary")


def _clear() -> None:
    get_runtime().documents.clear(owner())


def _said(upload: Upload) -> str:
    """One line: the file, how far it is, and what to do when it cannot be read."""
    line = f"{_ICONS[upload.state]} **{escaped(clipped(upload.name, 60))}** · {_words(upload)}"
    notes = [f"  \n:material/warning: {escaped(warning)}" for warning in upload.warnings]
    return line + "".join(notes)


def _words(upload: Upload) -> str:
    count = f"{upload.passages:,} {'passage' if upload.passages == 1 else 'passages'}"
    match upload.state:
        case UploadState.WAITING:
            return "waits for the files before it"
        case UploadState.READING:
            return f"being read, {upload.size / 1e6:.1f} MB"
        case UploadState.STORED:
            return f"{count}, read in {upload.seconds:.1f} s"
        case UploadState.KNOWN:
            return f"was here already, {count}"
        case UploadState.REFUSED:
            return f"not added. {escaped(upload.problem)}"
