"""Split a long text into a numbered series of posts, each within its network's limit. Pure.

A post ends after a sentence where one fits, else after a word, else after a character; links, the link
slot, hashtags and mentions are never split. The number, `(2/5)`, counts too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import regex  # type: ignore[import-untyped]

from pipeline.content.social.count import LINK_SLOT, counted, graphemes
from pipeline.content.social.fit import sentence_ends

_WHOLE = regex.compile(rf"{regex.escape(LINK_SLOT)}|https?://[^\s<>\"]+|[#@][\w@.\-]+\w")


def split_series(platform: str, text: str) -> list[str]:
    """The posts of a series that says `text`, in order, each ending in its number.

    One post without a number when the text fits whole, none for an empty text. Nothing but the white
    space between two posts is left out. A link or hashtag longer than a post may be stands in a post of
    its own, which then does not fit: `counted` says so. Raises `KeyError` for an unknown network.
    """
    if not text.strip() or counted(platform, text).ok:
        return [text.strip()] if text.strip() else []
    prepared = _prepare(text)
    digits = 1
    while len(bodies := _bodies(prepared, _fits(platform, digits))) >= 10**digits:
        digits += 1
    return [body + _number(n, len(bodies)) for n, body in enumerate(bodies, 1)]


def _fits(platform: str, digits: int) -> Callable[[str], bool]:
    """Whether a post has room for a number of so many digits behind it."""
    widest = _number(int("9" * digits), int("9" * digits))
    return lambda body: counted(platform, body + widest).ok


def _number(post: int, posts: int) -> str:
    return f" ({post}/{posts})"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A text as graphemes, with where it may end: indexes after the last grapheme of a post."""

    signs: tuple[str, ...]
    sentences: tuple[int, ...]
    words: tuple[int, ...]
    anywhere: tuple[int, ...]


def _prepare(text: str) -> _Prepared:
    signs = graphemes(text)
    starts = [0, *accumulate(map(len, signs))]
    index_of = {offset: index for index, offset in enumerate(starts)}
    inside = {
        offset
        for match in _WHOLE.finditer(text)
        for offset in range(match.start() + 1, match.end())
    }
    may_end = [offset for offset in starts[1:] if offset not in inside]
    spaces = {starts[index] for index, sign in enumerate(signs) if sign.isspace()}
    lines = {starts[index] for index, sign in enumerate(signs) if sign in ("\n", "\r\n")}
    allowed = set(may_end)
    sentences = sorted({*sentence_ends(text), *lines, len(text)} & allowed)
    words = sorted((spaces | {len(text)}) & allowed)
    return _Prepared(
        signs=tuple(signs),
        sentences=tuple(index_of[offset] for offset in sentences),
        words=tuple(index_of[offset] for offset in words),
        anywhere=tuple(index_of[offset] for offset in may_end),
    )


def _bodies(text: _Prepared, fits: Callable[[str], bool]) -> list[str]:
    bodies: list[str] = []
    start = _next_word(text.signs, 0)
    while start < len(text.signs):
        end = _end(text, start, fits)
        bodies.append(_said(text.signs, start, end))
        start = _next_word(text.signs, end)
    return bodies


def _end(text: _Prepared, start: int, fits: Callable[[str], bool]) -> int:
    """Where the post that begins at `start` ends."""
    for ends in (text.sentences, text.words, text.anywhere):
        end = _furthest(text.signs, start, ends, fits)
        if end > start:
            return end
    return text.anywhere[bisect_right(text.anywhere, start)]  # too long, and may not be split


def _furthest(
    signs: Sequence[str], start: int, ends: Sequence[int], fits: Callable[[str], bool]
) -> int:
    """The last of `ends` up to which the text from `start` fits; `start` when none does.

    Gallops, then bisects: what is looked at stays about as long as a post, however long the text.
    """
    first = bisect_right(ends, start)
    low, step = first, 1
    while low < len(ends) and fits(_said(signs, start, ends[min(low + step, len(ends)) - 1])):
        low = min(low + step, len(ends))
        step *= 2
    high = min(low + step - 1, len(ends))
    while low < high:
        middle = (low + high) // 2
        if fits(_said(signs, start, ends[middle])):
            low = middle + 1
        else:
            high = middle
    return ends[low - 1] if low > first else start


def _said(signs: Sequence[str], start: int, end: int) -> str:
    """The text from `start` to `end`, without white space at its end."""
    while end > start and signs[end - 1].isspace():
        end -= 1
    return "".join(signs[start:end])


def _next_word(signs: Sequence[str], index: int) -> int:
    while index < len(signs) and signs[index].isspace():
        index += 1
    return index
