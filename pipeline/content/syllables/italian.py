"""Count the syllables of Italian words by rule.

a, e, o and any vowel with an accent make a syllable each; i and u without one lean on a neighbour.
Spelling does not show where a plain i or u bears the stress and stands alone (zio, paura,
farmacia): a few endings and words are listed, other such words come out one short.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SILENT_U = re.compile(r"(?<=q)u")
_GROUP = re.compile(r"[aeiouàèéìíòóùú]+")
_STRONG = re.compile(r"[aeoàèéìíòóùú]")
_ALONE = re.compile(r"[iu][aeo]")
# i before u after another vowel begins a syllable (aiuto); so does a vowel after ri- (riunire)
_APART = re.compile(r"(?<=[aeo])iu|^ri(?=[aeou])")
_STRESSED_I = re.compile(
    r"(?:log|erg|graf|craz|nom|sof|pat|metr|fon|tom|arch|scop|terap|poliz|puliz|farmac|mag|bug"
    r"|compagn|tecn|(?<!mat)(?<!mis)(?<!art)(?<!^f)er)i[ae]$"
)
_STRESSED_U = re.compile(r"^(?:im)?paur|^baul")


@lru_cache(maxsize=20_000)
def syllables(word: str) -> int:
    """At least 1, for any word; parts joined by a hyphen are counted one by one."""
    return max(1, sum(_part(part) for part in word.lower().split("-")))


def _part(word: str) -> int:
    word = _SILENT_U.sub("", re.sub("['’]", "", word))
    groups = _GROUP.findall(word)
    if len(groups) == 1 and _ALONE.fullmatch(groups[0]) and not word.startswith("gu"):
        return 2  # mio, tua, due
    count = sum(max(1, len(_STRONG.findall(group))) for group in groups)
    count += len(_APART.findall(word))
    return count + bool(_STRESSED_I.search(word)) + bool(_STRESSED_U.search(word))
