"""Cut a cited Markdown text into statements: its sentences, and which sources each of them cites.

A marker after the full stop belongs to the sentence before it. Headings and the rows of tables are
statements too; code is none. What a statement is worth is decided in `support.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.content.citations import MARKER_GROUP, cited_ids, drop_markers
from pipeline.content.readability import sentences

Kind = Literal["sentence", "heading", "row"]
KEPT_TEXTS = 8

# Inline markup stays as it is written: parsing it would cost more than all the rest.
_blocks = MarkdownIt("commonmark").enable("table").disable("inline")
_LATE_MARKER = re.compile(
    rf"([.!?…。！？]+[\"'”’)»]*)((?:[ \t\ufdd0-\ufdef]{{0,4}}(?:{MARKER_GROUP}|[\ufdd0-\ufdef]+))+)"
)
_LINK = re.compile(r"\[([^\[\]\n]{0,400})\]\([^()\n]{0,2000}\)")
_STRESS = re.compile(r"(?<![\w*_~`])[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}(?![\w*_~`])")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` is plain words without markers; `block` counts paragraphs, headings and rows from 0."""

    text: str
    keys: tuple[str, ...]
    block: int
    kind: Kind


@lru_cache(maxsize=KEPT_TEXTS)
def statements(markdown: str) -> tuple[Statement, ...]:
    """Every statement with words, in order."""
    found = (
        Statement(plain_words(raw), cited_ids(raw), block, kind)
        for block, (kind, line) in enumerate(text_blocks(markdown))
        for raw in cut(kind, line)
    )
    return tuple(statement for statement in found if statement.text)


def text_blocks(markdown: str) -> Iterator[tuple[Kind, str]]:
    """Each paragraph, heading and row, as written, on one line. Late markers stand before the stop."""
    for kind, content in _contents(_blocks.parse(markdown)):
        yield kind, _LATE_MARKER.sub(r"\2\1", " ".join(content.split()))


def cut(kind: Kind, line: str) -> list[str]:
    """The sentences of a paragraph; headings and rows are whole."""
    return sentences(line) if kind == "sentence" else [line]


def plain_words(raw: str) -> str:
    """The words of a piece of Markdown as a reader sees them, without markers."""
    words = _ESCAPED.sub(r"\1", _STRESS.sub("", _LINK.sub(r"\1", drop_markers(raw))))
    return " ".join(unescape(words).split())


def _contents(tokens: list[Token]) -> Iterator[tuple[Kind, str]]:
    row: list[str] | None = None
    kind: Kind = "sentence"
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield "row", "; ".join(cell for cell in row if cell.strip())
            row = None
        elif token.type in ("heading_open", "paragraph_open"):
            kind = "heading" if token.type == "heading_open" else "sentence"
        elif token.type == "inline" and row is not None:
            row.append(token.content)
        elif token.type == "inline":
            yield kind, token.content
