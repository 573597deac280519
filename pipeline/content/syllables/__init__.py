"""Count the syllables of a word, by the rules of its language.

Decides which language's rules apply; each language's own module says how it counts and how often it
is right. There is no dictionary: the rules are right for most words, not for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pipeline.content.languages import Language
from pipeline.content.syllables import english, french, german, italian, spanish

_COUNTERS: Final[Mapping[Language, Callable[[str], int]]] = {
    "en": english.syllables,
    "de": german.syllables,
    "es": spanish.syllables,
    "fr": french.syllables,
    "it": italian.syllables,
}


def syllable_counter(language: Language) -> Callable[[str], int]:
    """Word → syllables, at least 1. A language without rules is counted as English: no figure that
    is shown for it is made of syllables."""
    return _COUNTERS.get(language, english.syllables)
