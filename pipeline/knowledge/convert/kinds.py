"""What a file is, by its first bytes. Its name only says which kind of text a text is. Pure.

A file that is another kind than its name says is read as what it is, with a warning; where it is
nothing that can be read, the error says what it seems to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.archive import office_kind
from pipeline.knowledge.convert.model import Kind
from pipeline.knowledge.convert.text import has_byte_order_mark, suffix_of

TAKEN = "PDF, DOCX, PPTX, HTML, Markdown and plain text"
HEAD_BYTES = 8_192  # looked at to tell text from other bytes
PDF_HEAD_BYTES = 1_024  # a PDF may have something before its header, within these

_NAMED: dict[str, Kind] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "md",
    ".markdown": "md",
    ".txt": "txt",
}
_CALLED: dict[Kind, str] = {
    "pdf": "a PDF",
    "docx": "a Word document (DOCX)",
    "pptx": "a presentation (PPTX)",
    "html": "an HTML page",
    "md": "Markdown",
    "txt": "plain text",
}
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")  # a stream's name inside
_OTHERS = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\x00", "a picture"),
    (b"MM\x00*", "a picture"),
    (b"RIFF", "a picture, sound or film"),
    (b"\x00\x00\x00", "a film or another binary file"),
    (b"\x1f\x8b", "a compressed file"),
    (b"7z\xbc\xaf", "an archive"),
    (b"Rar!", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_TEXT_OTHERS = ((b"{\\rtf", "an RTF document"), (b"%!PS", "a PostScript file"))
_HTML_STARTS = (b"<!doctype html", b"<html")
_TEXT_CONTROLS = b"\t\n\x0b\x0c\r\x1b"


@dataclass(frozen=True, slots=True)
class Told:
    kind: Kind
    warnings: tuple[str, ...] = ()


def kind_of(data: bytes, name: str) -> Told:
    """What to read `data` as. Raises `DocumentError` where that is nothing."""
    if not data.strip():
        raise DocumentError("empty", "The file is empty.", "Upload a document that has some text.")
    named = _NAMED.get(suffix_of(name))
    kind = _kind_by_bytes(data, named)
    if kind is None:
        kind = named if named in ("html", "md") else "txt"  # it is text, of the sort its name says
        if named in (None, "html", "md", "txt"):
            return Told(kind)
    if named is None or named == kind:
        return Told(kind)
    return Told(kind, (f"It is named {suffix_of(name)}, but is {_CALLED[kind]}, and was read so.",))


def _kind_by_bytes(data: bytes, named: Kind | None) -> Kind | None:
    """`None` for text that does not say what it is."""
    if data.lstrip()[:5] == b"%PDF-" or (named == "pdf" and b"%PDF-" in data[:PDF_HEAD_BYTES]):
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        office = office_kind(data)
        return office if office is not None else _refuse(named, "an archive or another format")
    if data.startswith(_OLD_OFFICE):
        _refuse_old_office(data, named)
    if has_byte_order_mark(data):
        return "html" if _is_html(data.replace(b"\x00", b"")) else None
    is_text = _is_text(data)
    for start, what in _TEXT_OTHERS if is_text else _OTHERS:
        if data.startswith(start):
            _refuse(named, what)
    if not is_text:
        _refuse(named, "no text that can be read; text has to be saved as UTF-8")
    return "html" if _is_html(data) else None


def _is_html(data: bytes) -> bool:
    head = data[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if head.startswith(b"<?xml"):
        return b"<html" in head
    return head.startswith(_HTML_STARTS)


def _is_text(data: bytes) -> bool:
    head = data[:HEAD_BYTES]
    odd = sum(1 for byte in head if byte < 32 and byte not in _TEXT_CONTROLS)
    return b"\x00" not in head and odd * 50 <= len(head)


def _refuse_old_office(data: bytes, named: Kind | None) -> NoReturn:
    if _ENCRYPTED_OFFICE in data:
        raise DocumentError(
            "encrypted",
            "The document is protected by a password.",
            "Remove the password in the program it was made with, and upload it again.",
        )
    _refuse(named, "a document of an old office format (DOC, PPT, XLS)")


def _refuse(named: Kind | None, what: str) -> NoReturn:
    if named is not None and named not in ("txt", "md", "html"):
        raise DocumentError(
            "mislabelled",
            f"The file is named like {_CALLED[named]}, but is {what}.",
            f"Upload the original. These can be read: {TAKEN}.",
        )
    raise DocumentError(
        "unsupported",
        f"The file is {what}.",
        f"Save it in another format. These can be read: {TAKEN}.",
    )
