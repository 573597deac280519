"""Cut one long block of a document into pieces of a size, each kind of block where it hurts least.

Pure. Only white space is lost at a cut. Every function looks at a window of bounded size at a
time, so that a paragraph of megabytes costs no more than many short ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_SENTENCE_END = re.compile(r"[.!?…。！？؟।][\"'”’»)\]]*(?=\s)|[。！？]")
_LINE_END = re.compile(r"\n")
_SPACE = re.compile(r"\s")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def split_prose(text: str, size: int) -> list[str]:
    """Pieces of at most `size` characters, cut after sentences, else between words."""
    return list(_pieces(text, size, (_SENTENCE_END, _SPACE)))


def split_lines(text: str, size: int) -> list[str]:
    """Pieces of at most `size` characters, cut between lines: lists, quotations, code."""
    return list(_pieces(text, size, (_LINE_END, _SENTENCE_END, _SPACE)))


def split_code(text: str, size: int) -> list[str]:
    """Pieces of a fenced block; each has the opening fence and a closing one."""
    if len(text) <= size:
        return [text]
    first, _, rest = text.partition("\n")
    fence = _FENCE.match(first)
    if fence is None or len(first) * 2 + 2 > size / 2:
        return split_lines(text, size)
    body, _, last = rest.rpartition("\n")
    if last.strip() != fence[1][0] * max(len(last.strip()), len(fence[1])):
        body = rest  # it was never closed
    room = size - len(first) - len(fence[1]) - 2
    return [f"{first}\n{piece}\n{fence[1]}" for piece in split_lines(body, room)]


def split_table(text: str, size: int) -> list[str]:
    """Pieces of a table; each begins with its header. A row longer than a piece is cut as prose."""
    if len(text) <= size:
        return [text]
    head, rule, *rows = text.split("\n")
    if len(head) + len(rule) + 2 > size / 2:
        return split_lines(text, size)
    header = f"{head}\n{rule}\n"
    return [header + piece for piece in _by_rows(rows, size - len(header))]


def _by_rows(rows: Sequence[str], room: int) -> Iterator[str]:
    waiting: list[str] = []
    length = 0
    for row in rows:
        if waiting and length + len(row) > room:
            yield "\n".join(waiting)
            waiting, length = [], 0
        if len(row) > room:
            yield from split_prose(row, room)
            continue
        waiting.append(row)
        length += len(row) + 1
    if waiting:
        yield "\n".join(waiting)


def _pieces(text: str, size: int, ends: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """Cut at the last of the first kind of `ends` found in the second half of a piece, else anywhere."""
    at = 0
    while len(text) - at > size:
        cut = _cut(text, at, size, ends)
        piece = text[at:cut].rstrip().lstrip("\n")
        if piece:
            yield piece
        at = cut
        while at < len(text) and text[at].isspace() and text[at] != "\n":
            at += 1
    rest = text[at:].rstrip().lstrip("\n")
    if rest:
        yield rest


def _cut(text: str, at: int, size: int, ends: Sequence[re.Pattern[str]]) -> int:
    for end in ends:
        # One character more is seen, so that an end at the edge of the window counts.
        found = [m.end() for m in end.finditer(text, at + size // 2, at + size + 1)]
        found = [place for place in found if place <= at + size]
        if found:
            return found[-1]
    return at + size
