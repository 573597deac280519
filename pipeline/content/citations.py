"""Decide what a text cites: `[S3f9a1]` markers, their numbers, and what is wrong with them.

Agents see and write source ids only. Numbers exist only where an article is rendered, in order
of first use, so that agents may reorder freely. Code in the text is left alone. Addresses are
`addresses.py`'s matter; what a reader is told about a problem is `article.py`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.content.addresses import addresses, canonical
from pipeline.content.prose import map_prose, prose_of
from pipeline.models import Source

# An id has a digit or at least five hex digits, so that "[See]" and "[Sad]" stay words.
_ID = r"S(?=[0-9a-fA-F]*[0-9]|[0-9a-fA-F]{5})[0-9a-fA-F]{1,12}"
_ID_RE = re.compile(_ID)
_GROUP = rf"\[\s*{_ID}(?:\s*[,;]\s*{_ID})*\s*\]"
# A link target a model hung on a marker goes with the marker.
_MARKER = re.compile(rf"(?P<space>[ \t]{{0,4}})(?P<group>{_GROUP})(?:\([^()\s]*\))?")
_RAW = re.compile(
    r"(?P<space>[ \t]{0,4})(?<![\w\]\\!])\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\](?![\[(:])"
)
_HEADING = re.compile(r"[ ]{0,3}#{1,6}[ \t]+(.*)")
_REFERENCES = re.compile(
    r"(?:sources?|references?|bibliography|works cited|citations?|endnotes?|"
    r"quellen|literatur(?:verzeichnis)?|fuentes|referencias|références|bibliographie)",
    re.IGNORECASE,
)
_DEFINITION = re.compile(rf"^[ ]{{0,3}}\[(?:{_ID}|\d{{1,3}})\]:.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """A source as readers see it: `number` counts from 1 in order of first use."""

    number: int
    source: Source


@dataclass(frozen=True, slots=True)
class CitationCheck:
    """What one text cites, set against the sources there are. Ids are in order of first use."""

    cited: tuple[str, ...]
    unknown: tuple[str, ...]  # cited, but no such source
    unused: tuple[str, ...]  # a source nobody cites
    raw_numbers: tuple[str, ...]  # "[7]" as a model wrote it: no number exists before rendering
    foreign_urls: tuple[str, ...]  # addresses that are no source's

    @property
    def ok(self) -> bool:
        return not (self.unknown or self.raw_numbers or self.foreign_urls)


def cited_ids(text: str) -> tuple[str, ...]:
    """Ids in order of first use, each once."""
    return tuple(dict.fromkeys(_all_ids(text)))


def citation_counts(text: str) -> Counter[str]:
    """How often each id is cited."""
    return Counter(_all_ids(text))


def check_citations(
    text: str, sources: Iterable[Source], own_pages: Iterable[str] = ()
) -> CitationCheck:
    """What a text cites. Addresses of sources and `own_pages` are not foreign."""
    known = {source.id: source for source in sources}
    cited = cited_ids(text)
    allowed = {canonical(source.url) for source in known.values() if source.url}
    allowed |= {canonical(url) for url in own_pages}
    return CitationCheck(
        cited=cited,
        unknown=tuple(i for i in cited if i not in known),
        unused=tuple(i for i in known if i not in cited),
        raw_numbers=raw_numbers(text),
        foreign_urls=tuple(url for url in addresses(text) if canonical(url) not in allowed),
    )


def lost_ids(before: str, after: str) -> tuple[str, ...]:
    """Ids that `before` cites and `after` does not."""
    kept = set(cited_ids(after))
    return tuple(i for i in cited_ids(before) if i not in kept)


def invented_ids(before: str, after: str) -> tuple[str, ...]:
    """Ids that `after` cites and `before` does not."""
    return lost_ids(after, before)


def raw_numbers(text: str) -> tuple[str, ...]:
    """Citation-like numbers such as `[7]`, in order, each once."""
    found = (match[0].strip() for match in _RAW.finditer(prose_of(text)))
    return tuple(dict.fromkeys(found))


def number_sources(text: str, sources: Iterable[Source]) -> tuple[NumberedSource, ...]:
    """Sources the text really cites, numbered in order of first use."""
    known = {source.id: source for source in sources}
    used = [known[i] for i in cited_ids(text) if i in known]
    return tuple(NumberedSource(n, source) for n, source in enumerate(used, start=1))


def render_numbers(text: str, numbered: Sequence[NumberedSource]) -> str:
    """Markers become `[1]` or `[1, 2]`; unknown ids and raw numbers are dropped."""
    return _render(text, numbered, lambda numbers: f"[{', '.join(map(str, numbers))}]")


def render_links(text: str, numbered: Sequence[NumberedSource]) -> str:
    r"""Markers become Markdown links such as `[\[1\]](#source-1)`, for HTML."""
    return _render(
        text, numbered, lambda numbers: "".join(rf"[\[{n}\]](#source-{n})" for n in numbers)
    )


def drop_markers(text: str) -> str:
    """The text without any citation, for titles, posts and counting."""
    return _render(text, (), lambda _numbers: "")


def strip_references(text: str) -> str:
    """Cut a list of sources the model wrote at the end: the list is made by code, never taken.

    Cut is the last section when its heading says so, and reference definitions for markers.
    """
    text = map_prose(text, lambda prose: _DEFINITION.sub("", prose))
    lines = text.split("\n")
    for position in range(len(lines) - 1, -1, -1):
        if title := _heading_or_label(lines[position]):
            before = "\n".join(lines[:position]).rstrip()
            return f"{before}\n" if before and _REFERENCES.fullmatch(title) else text
    return text


def _heading_or_label(line: str) -> str:
    """The words of a heading, or of a line that is nothing but a bold or bare "Sources:"."""
    if match := _HEADING.match(line):
        return match[1].rstrip(" \t#").strip(" *_:")
    label = line.strip()
    bare = label.strip("*_: ")
    return bare if bare != label and _REFERENCES.fullmatch(bare) else ""


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
