"""What a conversion takes and gives. Plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import DocumentReason

Kind = Literal["pdf", "docx", "pptx", "html", "md", "txt"]


@dataclass(frozen=True, slots=True)
class PageText:
    """The text of one page or slide; `number` counts from 1, and is `None` where a format has no pages.

    `markdown` has the document's own characters. Only where a line would read as a heading or a code
    fence that the document does not have, a backslash stands before it.
    """

    number: int | None
    markdown: str


@dataclass(frozen=True, slots=True)
class Converted:
    """`title` is the document's own or comes from the file name; `warnings` are sentences for a person.

    `pages` has all pages or slides of a PDF or PPTX, those without text too, and one entry for the others.
    """

    title: str
    kind: Kind
    pages: tuple[PageText, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one conversion may cost. Beyond any of these it ends with a `DocumentError`."""

    max_bytes: int = 50_000_000  # of the file
    max_pages: int = 2_000
    timeout_s: float = 120.0  # by the clock, and as much processor time
    memory_mb: int = 1_024  # address space, where the system enforces it; resident size everywhere
    max_unpacked_bytes: int = 200_000_000  # of everything in a DOCX or PPTX
    max_text_chars: int = 10_000_000  # of the result


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Question:
    """What the child process is asked: JSON in a file of its directory."""

    path: str
    name: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: DocumentReason
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child process answers: one of the two."""

    converted: Converted | None = None
    error: Refusal | None = None
