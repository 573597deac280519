"""Count the syllables of German words by rule, as they are divided in writing (Na-ti-on: three).

Vowels make a syllable each, but those of one sound (ei, au, eu, ie, aa …) make one together. Where
they only seem to (Fa-mi-li-en, Mu-se-um, be-ur-tei-len), endings and beginnings decide. Words
borrowed lately keep their own sounds; the commonest are listed.
"""

from __future__ import annotations

import re
from functools import lru_cache

_BORROWED = {
    "team": "tim", "online": "onlein", "offline": "offlein", "software": "softwer", "hardware": "hardwer",
    "website": "websait", "homepage": "hompetsch", "service": "serwis", "update": "abdet",
    "design": "disain", "interview": "intervju", "mobile": "mobil",
}  # fmt: skip
_BORROWED_WORD = re.compile("|".join(_BORROWED))
_SILENT_U = re.compile(r"(?<=q)u")
_CONSONANT_Y = re.compile(r"y(?=[aeou])")
_NUCLEUS = re.compile(r"aa|ee|oo|ie|ei|ai|au|äu|eu|ey|ay|[aeiouyäöüéèêàáíóú]")
_APART = re.compile(
    r"(?<![hw])ie(?=n$|ns$)"  # Fe-ri-en, I-ta-li-en; but: schrien, Wien
    r"|(?:famil|lin|ser|mater|bakter|akt|stud|präm|komöd|tragöd|fol|lil|arter|histor)(?=ie$)"
    r"|ee(?=n$)"  # I-de-en
    r"|eu(?=ms?$)"  # Mu-se-um
    r"|(?:pat|fiz|kl|or|grad|red)ient"  # Pa-ti-ent; but: verdient
    r"|^(?:un)?be(?=u[rn])|^ge(?=u)|^gee(?!i)|^bee(?!i|r)"  # be-ur-tei-len, ge-ehrt
)


@lru_cache(maxsize=20_000)
def syllables(word: str) -> int:
    """At least 1, for any word; parts joined by a hyphen are counted one by one."""
    return max(1, sum(_part(part) for part in word.lower().split("-")))


def _part(word: str) -> int:
    word = _BORROWED_WORD.sub(lambda m: _BORROWED[m[0]], word)
    word = _CONSONANT_Y.sub("j", _SILENT_U.sub("", word))
    return len(_NUCLEUS.findall(word)) + len(_APART.findall(word))
