"""Make Markdown of the lines of a PDF's page: which are headings, margins, or go on in the next line.

Pure. No word is changed but one that was broken at the end of a line. What repeats at the edges of
pages is kept once; page numbers are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.knowledge.convert.markdown import as_text, heading, joined

AHEAD = 30  # headings that may be missed on the way: some are not lines of their own
HEADING_LINES_MAX = 3
FULL_LINE = 0.7  # of the page's width: a line as long goes on in the next
WIDE = 0.9  # the width of a page is longer than so many of its lines
EDGE_LINES = 2  # at the top and at the bottom of a page, where running titles and numbers stand
MARGIN_PAGES = 3  # a line is one that runs along when it stands at the edge of so many pages,
MARGIN_SHARE = 0.2  # and of so many of all

_DIGITS = re.compile(r"\d+")
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
        at = self._place_of(line)
        if at is None:
            return None
        self._next = at + 1
        return self._headings[at].level

    def has(self, line: str) -> bool:
        """Whether `line` is a heading; asking does not give it out."""
        return self._place_of(line) is not None

    def _place_of(self, line: str) -> int | None:
        key = _key(line)
        ahead = range(self._next, min(self._next + AHEAD, len(self._headings)))
        return next((at for at in ahead if key and self._headings[at].key == key), None)


class Margins:
    """The lines that run along at the edges of a document's pages, digits aside."""

    def __init__(self, pages: Sequence[str]) -> None:
        spread = Counter(mark for text in pages for mark in set(map(_mark, _edges(_lines(text)))))
        enough = max(MARGIN_PAGES, len(pages) * MARGIN_SHARE)
        self._marks = {mark for mark, count in spread.items() if count >= enough}
        self._seen: set[str] = {""}  # a mark of digits alone is a page number: never kept

    def without(self, lines: list[str], headings: Headings) -> list[str]:
        """The lines of a page without those that an earlier page had. One at least is left."""
        start, end = 0, len(lines)
        while start < min(EDGE_LINES, end - 1) and self._repeats(lines[start], headings):
            start += 1
        while end > max(len(lines) - EDGE_LINES, start + 1) and self._repeats(
            lines[end - 1], headings
        ):
            end -= 1
        self._seen.update(self._marks & set(map(_mark, _edges(lines))))
        return lines[start:end]

    def _repeats(self, line: str, headings: Headings) -> bool:
        mark = _mark(line)
        return mark in self._marks and mark in self._seen and not headings.has(line)


def page_markdown(text: str, headings: Headings, margins: Margins) -> str:
    lines = margins.without(_lines(text), headings)
    lengths = sorted(map(len, lines))
    width = lengths[int(len(lengths) * WIDE)] if lengths else 0
    return joined(list(_blocks(lines, width, headings)))


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.split("\n")) if line]


def _edges(lines: Sequence[str]) -> Sequence[str]:
    return lines if len(lines) <= 2 * EDGE_LINES else [*lines[:EDGE_LINES], *lines[-EDGE_LINES:]]


def _mark(line: str) -> str:
    return " ".join(_DIGITS.sub("", line).split()).strip(" -–—|·.")


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
