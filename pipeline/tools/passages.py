"""Cut the text of a page into passages that can be quoted, and choose those that a query is about.

Pure. A passage is a paragraph or a few short ones in a row, at most `LONGEST` characters, never
across a heading: short enough to be checked against a sentence, long enough to be understood.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHORT = 200  # characters; shorter paragraphs are joined with what follows
LONGEST = 1_200

_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_HEADING = re.compile(r"#{1,6}[ \t]+(.+?)[ \t#]*")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+")
_WORD = re.compile(r"[^\W_]{3,}")
_STEM = 5  # letters: crude, but the same for every language


@dataclass(frozen=True, slots=True)
class Passage:
    text: str
    heading: str = ""


def passages_of(text: str) -> list[Passage]:
    """Every passage of a Markdown text, in its order. White space is evened, no word is lost."""
    passages: list[Passage] = []
    heading, waiting = "", ""
    for block in _BLANK_LINE.split(text):
        line = " ".join(block.split())
        if not line:
            continue
        title = _HEADING.fullmatch(line)
        if title:
            passages += _cut(waiting, heading)
            heading, waiting = title[1], ""
            continue
        joined = f"{waiting} {line}" if waiting else line
        if waiting and len(joined) > LONGEST:
            passages += _cut(waiting, heading)
            joined = line
        if len(joined) < SHORT:
            waiting = joined
            continue
        passages += _cut(joined, heading)
        waiting = ""
    return passages + _cut(waiting, heading)


def most_relevant(
    passages: Sequence[Passage], queries: Iterable[str], *, limit: int, max_chars: int
) -> list[Passage]:
    """At most `limit` passages of at most `max_chars` together that have most of the queries' words.

    A word counts more the rarer it is on the page. They come back in the page's order; where no
    query helps, the first ones are taken.
    """
    wanted = {stem for query in queries for stem in _stems(query)}
    stems = [_stems(f"{passage.heading} {passage.text}") & wanted for passage in passages]
    spread = Counter(stem for found in stems for stem in found)
    scores = [sum(1 / spread[stem] for stem in found) for found in stems]
    order = sorted(range(len(passages)), key=lambda i: (-scores[i], i))
    chosen: list[int] = []
    chars = 0
    for index in order[:limit]:
        chars += len(passages[index].text)
        if chosen and chars > max_chars:
            break
        chosen.append(index)
    return [passages[index] for index in sorted(chosen)]


def _cut(text: str, heading: str) -> list[Passage]:
    """`text` in pieces of at most `LONGEST` characters, between sentences where there are some."""
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        for start in range(0, len(sentence), LONGEST):
            part = sentence[start : start + LONGEST]
            if pieces and start == 0 and len(pieces[-1]) + 1 + len(part) <= LONGEST:
                pieces[-1] += f" {part}"
            else:
                pieces.append(part)
    return [Passage(piece, heading) for piece in pieces if piece.strip()]


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.casefold())}
