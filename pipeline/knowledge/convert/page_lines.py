"""Make Markdown of the lines of a PDF's page: which are headings, which go on in the next line.

Pure. No word is changed but one that was broken at the end of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.knowledge.convert.markdown import as_text, heading, joined

AHEAD = 30  # headings that may be missed on the way: some are not lines of their own
HEADING_LINES_MAX = 3
FULL_LINE = 0.7  # of the page's width: a line as long goes on in the next
WIDE = 0.9  # the width of a page is longer than so many of its lines

_MARKED = re.compile(r"^(#{1,6})[ \t]+(.+)$", re.MULTILINE)
_NO_LETTER = re.compile(r"[\W_]+")
_NEW_LINE = re.compile(r"[•◦▪‣●○■·*–—-]\s|\(?\w{1,4}[.)]\s")  # an item of a list begins
_BROKEN_WORD = re.compile(r"\w[-\u00ad\u2010\ufffe\x02]$")


@dataclass(frozen=True, slots=True)
class _Heading:
    level: int
    key: str


class Headings:
    """The headings a converter found in a whole document, given out as the pages' lines come by."""

    def __init__(self, markdown: str) -> None:
        self._headings = [_Heading(len(m[1]), _key(m[2])) for m in _MARKED.finditer(markdown)]
        self._next = 0

    def level_of(self, line: str) -> int | None:
        """The level of the heading that `line` is, once; `None` where it is text."""
        key = _key(line)
        if not key:
            return None
        for at in range(self._next, min(self._next + AHEAD, len(self._headings))):
            if self._headings[at].key == key:
                self._next = at + 1
                return self._headings[at].level
        return None


def page_markdown(text: str, headings: Headings) -> str:
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    lengths = sorted(map(len, lines))
    width = lengths[int(len(lengths) * WIDE)] if lengths else 0
    return joined(list(_blocks(lines, width, headings)))


def _blocks(lines: Sequence[str], width: int, headings: Headings) -> Iterator[str]:
    waiting: list[str] = []
    at = 0
    while at < len(lines):
        found = _heading_at(lines, at, headings)
        if found is None:
            waiting.append(lines[at])
            at += 1
            continue
        yield as_text(_unwrapped(waiting, width))
        waiting = []
        count, level = found
        yield heading(level, " ".join(lines[at : at + count]))
        at += count
    yield as_text(_unwrapped(waiting, width))


def _heading_at(lines: Sequence[str], at: int, headings: Headings) -> tuple[int, int] | None:
    """How many lines from `at` on are one heading, and its level."""
    for count in range(1, HEADING_LINES_MAX + 1):
        if at + count <= len(lines):
            level = headings.level_of(" ".join(lines[at : at + count]))
            if level is not None:
                return count, level
    return None


def _unwrapped(lines: Sequence[str], width: int) -> str:
    """Lines put together again where the page's width had broken them."""
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if _BROKEN_WORD.search(line) and following[:1].islower():
            parts.append(line[:-1])
            continue
        goes_on = len(line) >= width * FULL_LINE and not _NEW_LINE.match(following)
        parts += [line, " " if goes_on else "\n"]
    return "".join(parts)


def _key(text: str) -> str:
    """Letters and digits alone: the converter escapes and styles what the page has plain."""
    return _NO_LETTER.sub("", text).casefold()
