"""Tell prose from code in Markdown, so that rules for prose leave code alone.

A line scanner for fences and a bounded pattern for inline code: linear in the length of the
text, whatever a model wrote. What a piece means is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
# The bound keeps hostile runs of backticks from costing quadratic time.
_INLINE_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)[^\n]{1,400}?(?<!`)\1(?!`)")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    is_code: bool


def pieces(markdown: str) -> Iterator[Piece]:
    """Split into prose and code (fenced blocks, inline code); joined, they are the text again."""
    for block in _blocks(markdown):
        if block.is_code:
            yield block
        else:
            yield from _inline(block.text)


def map_prose(markdown: str, change: Callable[[str], str]) -> str:
    """Apply `change` to every piece of prose and leave code as it is."""
    return "".join(p.text if p.is_code else change(p.text) for p in pieces(markdown))


def map_unfenced(markdown: str, change: Callable[[str], str]) -> str:
    """As `map_prose`, but code inside a line counts as part of it."""
    return "".join(p.text if p.is_code else change(p.text) for p in _blocks(markdown))


def prose_of(markdown: str) -> str:
    """The text with every piece of code replaced by a space."""
    return "".join(" " if p.is_code else p.text for p in pieces(markdown))


def _blocks(markdown: str) -> Iterator[Piece]:
    fence = ""
    held: list[str] = []
    for line in markdown.splitlines(keepends=True):
        match = _FENCE.match(line)
        if fence:
            held.append(line)
            if match and _closes(match, fence):
                yield Piece("".join(held), is_code=True)
                fence, held = "", []
        elif match and not (match[1][0] == "`" and "`" in match[2]):
            if held:
                yield Piece("".join(held), is_code=False)
            fence, held = match[1], [line]
        else:
            held.append(line)
    if held:
        yield Piece("".join(held), is_code=bool(fence))


def _closes(match: re.Match[str], fence: str) -> bool:
    mark = match[1]
    return mark[0] == fence[0] and len(mark) >= len(fence) and not match[2].strip()


def _inline(text: str) -> Iterator[Piece]:
    position = 0
    for match in _INLINE_CODE.finditer(text):
        if match.start() > position:
            yield Piece(text[position : match.start()], is_code=False)
        yield Piece(match[0], is_code=True)
        position = match.end()
    if position < len(text):
        yield Piece(text[position:], is_code=False)
