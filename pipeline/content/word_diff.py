"""Two texts set against each other: paragraphs first, then the words of those that changed. Pure.

Bounded: stretches too large to compare word by word are shown as removed and added whole, so that no
text by a model makes it slow. What the texts are, and how a difference is drawn, is for others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

MOST_COMPARISONS: Final = 400_000  # words before times words after, of one stretch; about 0.1 s

Kind = Literal["same", "added", "removed"]
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
_TOKEN = re.compile(r"(?:\w+|[^\w\s])\s*")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Paragraphs that changed. `skipped`: how many that did not stand before it."""

    skipped: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """`unchanged` counts the paragraphs after the last block."""

    blocks: tuple[Block, ...]
    unchanged: int

    def words(self, kind: Kind) -> int:
        texts = (p.text for block in self.blocks for p in block.pieces if p.kind == kind)
        return sum(len(_WORD.findall(text)) for text in texts)


def difference(before: str, after: str) -> Difference:
    """What makes `after` of `before`, in order; texts of Markdown, compared as they are written."""
    old, new = _paragraphs(before), _paragraphs(after)
    blocks: list[Block] = []
    skipped = 0
    for tag, a, b in _stretches(old, new):
        if tag == "equal":
            skipped += len(a)
            continue
        pieces = _words("\n\n".join(a), "\n\n".join(b))
        blocks.append(Block(skipped, tuple(_merged(pieces))))
        skipped = 0
    return Difference(tuple(blocks), skipped)


def _paragraphs(text: str) -> list[str]:
    return [part for part in _PARAGRAPHS.split(text.strip()) if part]


def _words(before: str, after: str) -> Iterator[Piece]:
    """Whitespace after a word goes with it and is not compared."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    for tag, a, b in _stretches(old, new):
        if tag == "equal":
            yield Piece("same", "".join(b))
        else:
            yield Piece("removed", "".join(a))
            yield Piece("added", "".join(b))


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Without empty pieces, and neighbours of one kind as one."""
    held: Piece | None = None
    for piece in pieces:
        if not piece.text:
            continue
        if held is not None and held.kind == piece.kind:
            held = Piece(held.kind, held.text + piece.text)
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held


def _stretches(
    old: Sequence[str], new: Sequence[str]
) -> Iterator[tuple[Literal["equal", "other"], Sequence[str], Sequence[str]]]:
    """Equal and other stretches of both, in order. What both begin and end with is not searched."""
    a, b = [t.strip() for t in old], [t.strip() for t in new]
    start = _common(a, b)
    end = _common(a[start:][::-1], b[start:][::-1])
    a_end, b_end = len(a) - end, len(b) - end
    if start:
        yield "equal", old[:start], new[:start]
    if (a_end - start) * (b_end - start) > MOST_COMPARISONS:
        yield "other", old[start:a_end], new[start:b_end]
    else:
        matcher = SequenceMatcher(None, a[start:a_end], b[start:b_end], autojunk=False)
        for tag, i, j, k, m in matcher.get_opcodes():
            kind: Literal["equal", "other"] = "equal" if tag == "equal" else "other"
            yield kind, old[start + i : start + j], new[start + k : start + m]
    if end:
        yield "equal", old[a_end:], new[b_end:]


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length
