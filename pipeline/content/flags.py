"""Decide which flags still matter in a finished article, and what readers are told about them.

An agent's output keeps its flags for good; the article may have changed since. A flag stands while
the sentence it names does, and does not name a source again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pipeline.content.claim_words import claim_words
from pipeline.content.statements import Statement
from pipeline.models import Flag, FlagKind

SAME_SENTENCE = 0.6  # of the stems of both sentences together

_MENDED_BY_A_SOURCE = (FlagKind.UNKNOWN_KEY, FlagKind.RAW_NUMBER, FlagKind.LOST_KEY)
_TOLD: Final[Mapping[FlagKind, str]] = {
    FlagKind.UNKNOWN_KEY: "citation",
    FlagKind.RAW_NUMBER: "citation",
    FlagKind.INVENTED_URL: "address",
    FlagKind.LOST_KEY: "lost",
}


def standing_flags(
    found: Sequence[Statement], flags: Iterable[Flag]
) -> tuple[tuple[int, Flag], ...]:
    """The flags that still matter, each with the place of its statement in `found`."""
    flags = [flag for flag in dict.fromkeys(flags) if flag.sentence and flag.kind in _TOLD]
    if not flags:
        return ()
    exact: dict[str, int] = {}
    having: dict[str, list[int]] = defaultdict(list)
    for at, statement in enumerate(found):
        exact.setdefault(statement.text, at)
        for stem in claim_words(statement.text).stems:
            having[stem].append(at)
    standing = []
    for flag in flags:
        place = exact.get(flag.sentence)
        place = _most_alike(flag.sentence, found, having) if place is None else place
        if place is not None and not (flag.kind in _MENDED_BY_A_SOURCE and found[place].keys):
            standing.append((place, flag))
    return tuple(sorted(standing, key=lambda pair: pair[0]))


def _most_alike(
    sentence: str, found: Sequence[Statement], having: Mapping[str, Sequence[int]]
) -> int | None:
    stems = claim_words(sentence).stems
    counts = Counter(at for stem in stems for at in having.get(stem, ()))
    for at, shared in counts.most_common(3):
        if shared >= SAME_SENTENCE * len(stems | claim_words(found[at].text).stems):
            return at
    return None


def flag_labels(flags: Iterable[Flag]) -> list[str]:
    """What a reader of the article must know, one sentence for each sort of flag."""
    counts = Counter(_TOLD.get(flag.kind, "") for flag in flags)
    said = []
    if count := counts["citation"]:
        said.append(f"Left out: {_many(count, 'citation')} of no known source")
    if count := counts["address"]:
        said.append(f"Left out: {_many(count, 'address', 'es')} not among the sources")
    if count := counts["lost"]:
        said.append(f"{_many(count, 'statement')} lost the source in editing")
    return said


_FOUND: Final[Mapping[FlagKind, str]] = {
    FlagKind.UNKNOWN_KEY: "an id of no source",
    FlagKind.RAW_NUMBER: "a number that names no source",
    FlagKind.INVENTED_URL: "an address that is no source's",
    FlagKind.SOURCE_LIST: "a list of sources, which code makes",
    FlagKind.MISPLACED_KEY: "a citation where none may stand",
    FlagKind.LOST_KEY: "a claim that lost its source",
    FlagKind.UNKNOWN_SOURCE: "a finding of no passage that was retrieved, dropped",
    FlagKind.WRONG_QUOTE: "a quotation that does not stand in its passage, dropped",
}


def flag_line(flag: Flag) -> str:
    """One flag for people, on one line: what it is, as it was written, and where."""
    detail = f" “{' '.join(flag.detail.split())}”" if flag.detail else ""
    where = f", in: {flag.sentence}" if flag.sentence else ""
    said = _FOUND[flag.kind]
    return f"{said[0].upper()}{said[1:]}{detail}{where}"


def _many(count: int, word: str, ending: str = "s") -> str:
    return f"{count} {word}{'' if count == 1 else ending}"
