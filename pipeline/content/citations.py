"""Decide what a text cites: `[S3f9a1]` markers, and the numbers readers see instead.

Agents see and write source ids only. Numbers exist only where an article is rendered, in order
of first use, so that agents may reorder freely. Code in the text is left alone. What is wrong with
citations, and other forms of them, is `citation_check.py`'s matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.content.prose import map_prose, prose_of
from pipeline.content.source_lists import cut_source_lists
from pipeline.models import Source

# An id has a digit or at least five hex digits, so that "[See]" and "[Sad]" stay words.
_ID = r"S(?=[0-9a-fA-F]*[0-9]|[0-9a-fA-F]{5})[0-9a-fA-F]{1,12}"
_ID_RE = re.compile(_ID)
MARKER_GROUP = rf"\[\s*{_ID}(?:\s*[,;]\s*{_ID})*\s*\]"
# A link target a model hung on a marker goes with the marker.
_MARKER = re.compile(rf"(?P<space>[ \t]{{0,4}})(?P<group>{MARKER_GROUP})(?:\([^()\s]*\))?")
_RAW = re.compile(
    # with nought in it it is an interval: no list of sources begins there
    r"(?P<space>[ \t]{0,4})(?<![\w\]\\!])\[(?!(?:[^\]\n]{0,40}[ ,;–-])?0+[ ,;\]])\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\](?![\[(:])"
)


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """A source as readers see it: `number` counts from 1 in order of first use."""

    number: int
    source: Source


def cited_ids(text: str) -> tuple[str, ...]:
    """Ids in order of first use, each once."""
    return tuple(dict.fromkeys(_all_ids(text)))


def citation_counts(text: str) -> Counter[str]:
    """How often each id is cited."""
    return Counter(_all_ids(text))


def lost_ids(before: str, after: str) -> tuple[str, ...]:
    """Ids that `before` cites and `after` does not."""
    kept = set(cited_ids(after))
    return tuple(i for i in cited_ids(before) if i not in kept)


def invented_ids(before: str, after: str) -> tuple[str, ...]:
    """Ids that `after` cites and `before` does not."""
    return lost_ids(after, before)


def number_sources(text: str, sources: Iterable[Source]) -> tuple[NumberedSource, ...]:
    """Sources the text really cites, numbered in order of first use."""
    known = {source.id: source for source in sources}
    used = [known[i] for i in cited_ids(text) if i in known]
    return tuple(NumberedSource(n, source) for n, source in enumerate(used, start=1))


def render_numbers(text: str, numbered: Sequence[NumberedSource]) -> str:
    """Markers become `[1]` or `[1, 2]`; unknown ids and raw numbers are dropped."""
    return _render(text, numbered, lambda numbers: f"[{', '.join(map(str, numbers))}]")


def render_links(text: str, numbered: Sequence[NumberedSource], anchor: str = "source-") -> str:
    r"""Markers become Markdown links such as `[\[1\]](#source-1)`: to `anchor` and the number."""
    return _render(
        text, numbered, lambda numbers: "".join(rf"[\[{n}\]](#{anchor}{n})" for n in numbers)
    )


def drop_markers(text: str) -> str:
    """The text without any citation, for titles, posts and counting."""
    return _render(text, (), lambda _numbers: "")


def strip_references(text: str) -> str:
    """Without lists of sources a model wrote: the list is made by code, never taken."""
    return cut_source_lists(text, lambda _block: None)[0]


def _all_ids(text: str) -> list[str]:
    found: list[str] = []
    for match in _MARKER.finditer(prose_of(text)):
        found.extend(_ids(match["group"]))
    return found


def _ids(group: str) -> list[str]:
    return ["S" + match[0][1:].lower() for match in _ID_RE.finditer(group)]


def _render(
    text: str, numbered: Sequence[NumberedSource], write: Callable[[list[int]], str]
) -> str:
    numbers: Mapping[str, int] = {entry.source.id: entry.number for entry in numbered}

    def replace(match: re.Match[str]) -> str:
        known = [numbers[i] for i in dict.fromkeys(_ids(match["group"])) if i in numbers]
        return match["space"] + write(sorted(known)) if known else ""

    # Raw numbers go first: what is left of that shape afterwards is ours.
    return map_prose(text, lambda prose: _MARKER.sub(replace, _RAW.sub("", prose)))
