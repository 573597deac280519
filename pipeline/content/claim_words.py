"""What two texts can be compared by: stems of their words, their numbers, whether they deny.

Pure. Stems are Snowball's where the language is known, the first five letters elsewhere, pairs of
signs where words are not separated. Nothing here understands a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from pipeline.content.languages import Language


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


KEPT_TEXTS = 4_096
PREFIX_CHARS = 5

_STEMMERS: Final[Mapping[Language, str]] = {
    "en": "english", "de": "german", "es": "spanish", "fr": "french", "it": "italian",
}  # fmt: skip
_STOP: Final[Mapping[Language, frozenset[str]]] = {
    "en": _set(
        "a an the and or but if of to in on at by for from with without into over under about as is are was were "
        "be been being it its this that these those they them their there here he she his her we our you your i my "
        "has have had do does did will would can could may might should must than then so such more most very also "
        "which who whom whose what when where while how why all any each some other only just up out own"
    ),
    "de": _set(
        "der die das den dem des ein eine einen einem einer eines und oder aber wenn von zu zum zur im in am an auf "
        "bei für mit ohne aus über unter um als ist sind war waren sein wird werden wurde wurden es sie er wir ihr "
        "ich man sich dies diese dieser dieses jener hat haben hatte kann können soll muss müssen darf mehr sehr "
        "auch dass weil wie was wer wo so nur noch schon durch nach vor bis alle jede jeder andere"
    ),
    "es": _set(
        "el la los las un una unos unas y o pero si de del a al en con sin por para sobre entre es son era eran fue "
        "ser ha han había puede pueden debe deben su sus se lo le les que como más muy también este esta estos estas "
        "ese esa hay todo todos cada otro otra cuando donde ya solo"
    ),
    "fr": _set(
        "le la les un une des du de à au aux en et ou mais si dans sur sous par pour avec sans entre est sont était "
        "étaient être a ont avait peut peuvent doit son sa ses se ce cet cette ces il elle ils elles on nous vous je "
        "qui que quoi dont où comme plus très aussi tout tous chaque autre quand"
    ),
    "it": _set(
        "il lo la i gli le un uno una e o ma se di del della dei delle da dal in nel nella a al alla con su sul per tra "
        "fra è sono era erano essere ha hanno può possono deve suo sua suoi si che come più molto anche questo questa "
        "questi queste tutto tutti ogni altro quando dove"
    ),
}
_ALL_STOP = frozenset().union(*_STOP.values())
_DENIALS = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without|hardly|nicht|kein\w{0,2}|nie|niemals|ohne|weder|nunca|jamás|"
    r"ningún|ninguna|sin|ne|jamais|aucune?|sans|non|mai|nessun[oa]?|senza)\b|n['’]t\b|\bn['’](?=[aeiouéêh])",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d{3}(?!\d))*(?:[.,]\d+)?")
_NO_SPACES = re.compile(r"[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]+")
_SPELLED = {
    word: number
    for words in (
        "one two three four five six seven eight nine ten eleven twelve",
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "un deux trois quatre cinq six sept huit neuf dix onze douze",
        "uno due tre quattro cinque sei sette otto nove dieci undici dodici",
    )
    for number, word in zip(map(str, range(1, 13)), words.split(), strict=True)
}


@dataclass(frozen=True, slots=True)
class ClaimWords:
    """`numbers` as digits, one form for each; `spelled` are those written as words."""

    stems: frozenset[str]
    numbers: frozenset[str]
    spelled: frozenset[str]
    denies: bool


@lru_cache(maxsize=KEPT_TEXTS)
def claim_words(text: str, language: Language = "") -> ClaimWords:
    text = unicodedata.normalize("NFKC", text)
    words = [word.casefold() for word in _WORD.findall(_NO_SPACES.sub(" ", text))]
    stop = _STOP.get(language, _ALL_STOP)
    parts = [part for word in words for part in re.split(r"['’\-]", word)]
    stem = _stemmer(language)
    stems = {stem(part) for part in parts if len(part) > 1 and part not in stop}
    for run in _NO_SPACES.findall(text):
        stems.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
    return ClaimWords(
        frozenset(stems),
        frozenset(plain_number(number) for number in _NUMBER.findall(text)),
        frozenset(_SPELLED[word] for word in words if word in _SPELLED),
        bool(_DENIALS.search(text)),
    )


def plain_number(written: str) -> str:
    """ "1,000", "1.000" and "1 000" are 1000; "3,50" and "3.5" are 3.5.

    A sign before exactly three digits is taken to group them.
    """
    whole = re.sub(r"[.,'’\u00a0\u202f ](?=\d{3}(?!\d))", "", written)
    number, _, decimals = whole.replace(",", ".").partition(".")
    decimals = decimals.rstrip("0")
    return (number.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def language_of(text: str) -> Language:
    """The language most of whose small words stand in the text; "" when none stands out."""
    words = [word.casefold() for word in _WORD.findall(text)]
    counts = sorted(
        ((sum(word in stop for word in words), code) for code, stop in _STOP.items()), reverse=True
    )
    (most, code), (second, _) = counts[:2]
    return code if most >= 2 and most >= 0.15 * len(words) and most > 1.25 * second else ""


@cache
def _stemmer(language: Language) -> Callable[[str], str]:
    if language not in _STEMMERS:
        return lambda word: word[:PREFIX_CHARS]
    import Stemmer  # a compiled module that nothing else of a small run needs

    snowball = Stemmer.Stemmer(_STEMMERS[language])
    return lambda word: str(snowball.stemWord(word))
