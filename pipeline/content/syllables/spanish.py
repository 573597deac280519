"""Count the syllables of Spanish words by the rules of its spelling, which leaves little open.

a, e, o and any vowel with an accent make a syllable each; i and u without one lean on a neighbour
(Real Academia Española, Ortografía de la lengua española, 2010, on diphthongs and hiatus). An h
between vowels parts nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SILENT_U = re.compile(r"(?<=[qg])u(?=[eiéí])")
_SILENT_H = re.compile(r"(?<!c)h")
_SPOKEN_Y = re.compile(r"y(?![aeiouáéíóú])")
_GROUP = re.compile(r"[aeiouáéíóúü]+")
_STRONG = re.compile(r"[aeoáéíóú]")


@lru_cache(maxsize=20_000)
def syllables(word: str) -> int:
    """At least 1, for any word; parts joined by a hyphen are counted one by one."""
    return max(1, sum(_part(part) for part in word.lower().split("-")))


def _part(word: str) -> int:
    word = _SPOKEN_Y.sub("i", _SILENT_H.sub("", _SILENT_U.sub("", word)))
    return sum(max(1, len(_STRONG.findall(group))) for group in _GROUP.findall(word))
