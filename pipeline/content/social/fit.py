"""Cut a post that is too long for its network. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from pipeline.content.social.count import LINK_SLOT, counted, graphemes

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*(?=\s)|(?<=[。！？])")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")


def fit_post(platform: str, text: str) -> tuple[str, bool]:
    """Cut a post that is too long, after its last sentence that fits, else after a word.

    True with the text when something was cut. The link slot is kept. A post that fits is not touched.
    """
    if not text.strip() or counted(platform, text).ok:
        return text, False
    tail = f" {LINK_SLOT}" if LINK_SLOT in text else ""
    body = text.replace(LINK_SLOT, " ").rstrip() if tail else text.rstrip()
    for ends, ending in (
        (sentence_ends(body), ""),
        (word_ends(body), "…"),
        (_all_ends(body), "…"),
    ):
        if cut := _longest(platform, body, ends, ending + tail):
            return cut, True
    return text, False


def sentence_ends(body: str) -> list[int]:
    return [match.end() for match in _SENTENCE_END.finditer(body)]


def word_ends(body: str) -> list[int]:
    return [match.start() for match in _WORD_END.finditer(body)]


def _all_ends(body: str) -> list[int]:
    return list(accumulate(map(len, graphemes(body))))


def _longest(platform: str, body: str, ends: Sequence[int], ending: str) -> str:
    """The longest beginning of `body`, up to one of `ends`, that fits with `ending`; or empty.

    Bisection: a longer beginning never counts less.
    """
    low, high = 0, len(ends)
    best = ""
    while low < high:
        middle = (low + high) // 2
        text = body[: ends[middle]].rstrip() + ending
        if counted(platform, text).ok:
            best, low = text, middle + 1
        else:
            high = middle
    return best
