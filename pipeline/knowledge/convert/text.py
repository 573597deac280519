"""Read plain text and Markdown: which bytes mean which characters, and what is cleaned away.

Pure. A byte order mark decides; without one it is UTF-8 when it is valid UTF-8, else Windows-1252,
where all but five bytes mean something. Guessing libraries are wrong on short files.
"""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath, PureWindowsPath

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.markdown import fenced
from pipeline.knowledge.convert.model import Converted, Kind, Limits, PageText

TITLE_MAX_CHARS = 300

# A BOM of UTF-32 begins with that of UTF-16: the longer one first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+)$", re.MULTILINE)
# Lines that programs put before a text; as Markdown they would read as a heading.
_FRONT_MATTER = re.compile(r"---[ \t]*\n((?:[^\n]*\n){1,200}?)---[ \t]*(?:\n|$)")
_TITLE = re.compile(r"^title[ \t]*:(.+)$", re.MULTILINE | re.IGNORECASE)


def read_text(data: bytes, name: str, kind: Kind) -> Converted:
    """A text file as it stands; Markdown is titled by its front matter or its first heading."""
    text, warnings = decoded(data)
    text = clean(text)
    title = ""
    if kind == "md":
        title, text = _titled(text)
    return Converted(title or title_of(name), kind, (PageText(None, text),), warnings)


def _titled(text: str) -> tuple[str, str]:
    """The title of a Markdown text, and the text with its front matter as code."""
    front = _FRONT_MATTER.match(text)
    told = _TITLE.search(front[1]) if front else None
    if front:
        text = f"{fenced(front[1].rstrip())}\n\n{text[front.end() :].lstrip()}"
    found = told or _HEADING.search(text)
    return one_line(
        found[1].strip("\"' \t") if told else found[1].rstrip(" \t#")
    ) if found else "", text


def decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The characters of `data`, and what a person should know about how they were read.

    What no encoding explains becomes U+FFFD, with a warning.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            return text, _damage(text)
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return text, ("It is not UTF-8; it was read as Windows-1252.", *_damage(text))


def has_byte_order_mark(data: bytes) -> bool:
    return data.startswith(tuple(mark for mark, _ in _MARKS))


def _damage(text: str) -> tuple[str, ...]:
    lost = text.count("\ufffd")
    return (f"{lost} characters could not be read and show as \ufffd.",) if lost else ()


def clean(text: str) -> str:
    """Without control characters, with "\\n" between lines; lone surrogates become U+FFFD."""
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", _LINE_END.sub("\n", text)))


def bounded(pages: tuple[PageText, ...], limits: Limits) -> tuple[PageText, ...]:
    """The pages, if there is text on them and not too much. Raises `DocumentError` otherwise."""
    if sum(len(page.markdown) for page in pages) > limits.max_text_chars:
        raise too_much_text(limits)
    if not any(page.markdown.strip() for page in pages):
        raise DocumentError(
            "empty", "There is no text in the file.", "Upload a document that has some."
        )
    return pages


def too_much_text(limits: Limits) -> DocumentError:
    return DocumentError(
        "too_large",
        f"The document has more than {limits.max_text_chars:,} characters of text.",
        "Split it, or upload only the part you need.",
    )


def title_of(name: str) -> str:
    """A title made of a file name, whatever is in it. It is shown, never opened."""
    return one_line(PureWindowsPath(PurePath(name).name).stem) or "Untitled document"


def suffix_of(name: str) -> str:
    return PurePath(name).suffix.lower()


def one_line(text: str) -> str:
    return " ".join(clean(text).split())[:TITLE_MAX_CHARS]
