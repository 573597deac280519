"""Check a researcher's findings: does the source exist, does the quotation stand in its passage?

Pure. Spacing, case, punctuation and the kind of quotation marks do not matter; words and their order do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pipeline.content.citation_check import DETAIL_MAX_CHARS, SENTENCE_MAX_CHARS
from pipeline.models import Flag, FlagKind, Source

_WORD = re.compile(r"\w+")
_LEFT_OUT = re.compile(r"\[?\(?(?:…|\.{3,})\)?\]?")


def check_findings(
    data: Mapping[str, Any], sources: Mapping[str, Source]
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """The fields with only findings that can be checked, and what was wrong with the others.

    A finding of an unknown source is dropped. A quotation that does not stand in its passage is, and its
    finding counts as one of low confidence. `gaps` says both, for the agents after this one.
    """
    kept: list[dict[str, Any]] = []
    flags: list[Flag] = []
    for finding in data["findings"]:
        source = sources.get(finding["source_id"])
        claim = str(finding["claim"])[:SENTENCE_MAX_CHARS]
        if source is None:
            flags.append(Flag(FlagKind.UNKNOWN_SOURCE, claim, finding["source_id"]))
        elif stands_in(finding["quote"], source.passage):
            kept.append(finding)
        else:
            flags.append(Flag(FlagKind.WRONG_QUOTE, claim, finding["quote"][:DETAIL_MAX_CHARS]))
            kept.append({**finding, "quote": "", "confidence": "low"})
    return {**data, "findings": kept, "gaps": [*data["gaps"], *_gaps(flags)]}, tuple(flags)


def stands_in(quote: str, passage: str) -> bool:
    """True when all words of the quotation stand in the passage, in order and side by side.

    Where the quotation leaves something out (“…”), its pieces follow one another.
    """
    words, position = f" {' '.join(_words(passage))} ", 0
    for piece in _LEFT_OUT.split(quote):
        wanted = " ".join(_words(piece))
        if not wanted:
            continue
        found = words.find(f" {wanted} ", position)
        if found < 0:
            return False
        position = found + len(wanted)
    return True


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _gaps(flags: list[Flag]) -> list[str]:
    said = []
    if dropped := sum(flag.kind is FlagKind.UNKNOWN_SOURCE for flag in flags):
        said.append(f"{dropped} findings were dropped: they cite no passage that was retrieved.")
    if wrong := sum(flag.kind is FlagKind.WRONG_QUOTE for flag in flags):
        said.append(f"{wrong} quotations were dropped: they do not stand in their passages.")
    return said
