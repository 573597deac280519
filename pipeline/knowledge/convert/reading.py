"""Read one document, whatever its name says it is. Runs in the child process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.kinds import kind_of
from pipeline.knowledge.convert.model import Converted, Kind, Limits
from pipeline.knowledge.convert.text import bounded, read_text


def read_document(path: Path, name: str, limits: Limits) -> Converted:
    """The document's text. Raises `DocumentError`.

    The readers are imported when they are needed: each brings a library.
    """
    if path.stat().st_size > limits.max_bytes:
        raise DocumentError(
            "too_large",
            f"The file is larger than {limits.max_bytes / 1_000_000:g} MB.",
            "Split it, or upload only the part you need.",
        )
    data = path.read_bytes()
    told = kind_of(data, name)
    converted = _read(data, path, name, told.kind, limits)
    return dataclasses.replace(
        converted,
        pages=bounded(converted.pages, limits),
        warnings=(*told.warnings, *converted.warnings),
    )


def _read(data: bytes, path: Path, name: str, kind: Kind, limits: Limits) -> Converted:
    if kind == "pdf":
        from pipeline.knowledge.convert.pdf import read_pdf

        return read_pdf(path, data, name, limits)
    if kind == "docx":
        from pipeline.knowledge.convert.word import read_docx

        return read_docx(data, name, limits)
    if kind == "pptx":
        from pipeline.knowledge.convert.slides import read_pptx

        return read_pptx(data, name, limits)
    if kind == "html":
        from pipeline.knowledge.convert.html import read_html

        return read_html(data, name)
    return read_text(data, name, kind)
