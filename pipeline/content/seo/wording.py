"""Words as search metadata needs them: counted whole, in any case, and as a slug."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from pipeline.content.readability import has_cjk

SLUG_CHARS: Final = 60
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def ascii_words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore")
    return re.findall(r"[a-z0-9]+", plain.decode("ascii").lower().replace("'", ""))


def make_slug(text: str, limit: int = SLUG_CHARS) -> str:
    """ASCII words joined by hyphens, at most `limit` characters, cut between words; never empty."""
    slug = ""
    for word in ascii_words(text):
        longer = f"{slug}-{word}" if slug else word[:limit]
        if len(longer) > limit:
            break
        slug = longer
    return slug or "article"


def keyword_count(keyword: str, text: str) -> int:
    """How often the keyword stands in the text as whole words, in any case."""
    wanted, found = words(keyword), words(text)
    size = len(wanted)
    if not size:
        return 0
    if has_cjk(keyword):  # words are not separated there
        return text.count(keyword)
    return sum(found[i : i + size] == wanted for i in range(len(found) - size + 1))
