"""Which language a brief names: from a name or a tag to one code, for what depends on the language.

Known are the languages for which something is counted or written differently; every other is "".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "de", "es", "fr", "it", ""]

_NAMES: Final[Mapping[str, Language]] = {
    "english": "en",
    "german": "de",
    "deutsch": "de",
    "spanish": "es",
    "español": "es",
    "espanol": "es",
    "castellano": "es",
    "french": "fr",
    "français": "fr",
    "francais": "fr",
    "italian": "it",
    "italiano": "it",
}
_TAG = re.compile(r"(en|de|es|fr|it)(?:[-_].*)?")
_WORDS = re.compile(r"[^\W\d_]+")


def language_code(language: str) -> Language:
    """From a name or a tag: "British English", "en-GB", "Deutsch", "es-MX"; "" for any other.

    Of several names the first decides.
    """
    language = language.strip().lower()
    if tag := _TAG.fullmatch(language):
        return _NAMES_OF_TAGS[tag[1]]
    return next((_NAMES[word] for word in _WORDS.findall(language) if word in _NAMES), "")


def is_english(language: str) -> bool:
    return language_code(language) == "en"


_NAMES_OF_TAGS: Final[Mapping[str, Language]] = {code: code for code in _NAMES.values()}
