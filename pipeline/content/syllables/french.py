"""Count the syllables of French words by rule, as prose is spoken.

Mute endings (tabl-e, tabl-es, ils parl-ent) make no syllable, an e inside a word makes one. i, u and
ou before a vowel lean on it (na-tion, oui), but not after two consonants (cli-ent). Whether -ent is
mute depends on the word's class, which is not known here: the commonest nouns and adjectives are
listed, and -ment is spoken except after the stems of common verbs.
"""

from __future__ import annotations

import re
from functools import lru_cache

_EXCEPTIONS = {"pays": 2, "paysage": 3, "paysages": 3, "paysan": 3, "paysans": 3, "août": 1}
_ELIDED = re.compile(r"^(?:[cdjlmnst]|qu)['’]")
_APOSTROPHE = re.compile("['’]")
_SILENT_U = re.compile(r"(?<=q)u|(?<=g)u(?=[eiéèêî])")
_SOFT_G = re.compile(r"(?<=g)e(?=[aoâô])")
_BETWEEN = re.compile(r"(?<=[aou])y(?=[aeouéèê])")  # vo-yage: closes one syllable, opens the next
_INITIAL_Y = re.compile(r"^y(?=[aeouéèê])")
_MUTE = re.compile(r"es?$")
_MUTE_ENT = re.compile(r"ent$")
_VERB_MENT = re.compile(r"(?:aim|form|firm|prim|stim|nomm|somm|anim|sum|clam)ent$")
_SPOKEN_ENT_WORDS = (
    "absent accent accident adhérent adolescent agent apparent ardent argent auvent cent cohérent "
    "compétent concurrent content continent couvent dent différent éloquent éminent équivalent "
    "évident excellent exigent fréquent imprudent incident innocent insolent intelligent lent "
    "mécontent occident parent permanent pertinent pourcent précédent présent président prudent "
    "récent résident sergent souvent talent transparent turbulent urgent vent violent"
)
_SPOKEN_ENT = frozenset(_SPOKEN_ENT_WORDS.split())
_NUCLEUS = re.compile(
    r"(?:ou|[iuyü](?=[^iuyü]))?"
    r"(?:oeu|œu|eau|ai|aî|ay|ei|eî|ey|oi|oî|oy|où|oû|ou|au|eu|eû|[aeoâêôéèàëùûîœæ])(?:i(?=l))?"
    r"|ui|uî|ou|[iïîyuüûù]"
)
_CLUSTER = re.compile(r"[bcdfgptv][lr]i(?=[aeouéèê])")


@lru_cache(maxsize=20_000)
def syllables(word: str) -> int:
    """At least 1, for any word; parts joined by a hyphen are counted one by one."""
    return max(1, sum(_part(part) for part in word.lower().split("-")))


def _part(word: str) -> int:
    word = _APOSTROPHE.sub("", _ELIDED.sub("", word))
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    ending = _MUTE_ENT if _is_verb(word) else _MUTE
    word = _SOFT_G.sub("", _SILENT_U.sub("", word))
    word = _INITIAL_Y.sub("j", _BETWEEN.sub("ij", word))
    spoken = ending.sub("", word)
    return max(1, len(_NUCLEUS.findall(spoken)) + len(_CLUSTER.findall(spoken)))


def _is_verb(word: str) -> bool:
    """True when a final -ent is the mute ending of a verb, as far as can be told."""
    if word.endswith("ment"):
        return bool(_VERB_MENT.search(word))
    if word.endswith("ient"):
        return word.endswith(("aient", "oient"))
    return word.endswith("ent") and word not in _SPOKEN_ENT
