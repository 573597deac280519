"""Count a post the way its network counts. Pure; which method a network has is data.

`{link}` stands for the address that comes later and counts as a link.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import regex  # type: ignore[import-untyped]

from pipeline.content.social.rules import platforms

LINK_SLOT = "{link}"
LINK_STAND_IN = "https://example.com/an-article"  # what the slot counts where links count in full

# Weight 1 for these code points, 2 for all others (X's published configuration, version 3).
_LIGHT = ((0x0000, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
_LABEL = r"[a-z0-9\u00a1-\uffff](?:[a-z0-9\u00a1-\uffff_-]{0,61}[a-z0-9\u00a1-\uffff])?"
# Domains that X links without "https://" too; the common ones.
_BARE_TLD = r"(?:com|org|net|edu|gov|info|biz|io|co|dev|app|ai|me|tv|news|online|site|tech|blog)"
_URL = re.compile(
    rf"(?<![\w@.\-])(?P<host>https?://{_LABEL}(?:\.{_LABEL})*\.[a-z]{{2,24}}|{_LABEL}(?:\.{_LABEL})*\.{_BARE_TLD})"
    r"(?![\w@-])(?::\d{1,5})?(?:[/?#][^\s<>\"]*)?",
    re.IGNORECASE,
)
_LABEL_LIMIT = 63  # of a host name, as it travels (punycode)
_PLAIN_URL = re.compile(r"https?://[^\s<>\"]+")
_MENTION_HOST = re.compile(r"(?<![\w/])(@[\w.-]+)@[\w.-]+\w")
_HASHTAG = regex.compile(r"(?<![\w&/])#(?=\w*[\p{L}\p{M}])\w+")
_GRAPHEME = regex.compile(r"\X")
_EMOJI = regex.compile(r"[\p{Extended_Pictographic}\p{Regional_Indicator}\u20e3]")


@dataclass(frozen=True, slots=True)
class Count:
    """How long a post is for its network. `ok`: its length is no hindrance to posting it."""

    used: int
    limit: int
    method: str
    ok: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def counted(platform: str, text: str) -> Count:
    """Count `text` for `platform`. Raises `KeyError` for a network the table does not have."""
    rule = platforms()[platform]
    used = _METHODS[rule.counting](text, rule.url_length)
    size = len(_with_link(text).encode("utf-8", "replace"))
    fits = used <= rule.limit and (rule.max_bytes is None or size <= rule.max_bytes)
    method = rule.counting
    if LINK_SLOT in text:
        method += f", {LINK_SLOT} as a link of {rule.url_length or len(LINK_STAND_IN)}"
    return Count(used, rule.limit, method, fits and bool(text.strip()))


def hashtags_in(text: str) -> list[str]:
    """The hashtags that stand in a text, with their sign, in order."""
    return [match[0] for match in _HASHTAG.finditer(text)]


def links_in(text: str) -> list[str]:
    """The different links of a text, in order; the slot is one."""
    return list(dict.fromkeys(_PLAIN_URL.findall(_with_link(text))))


def graphemes(text: str) -> list[str]:
    """What readers take for one character each."""
    return [match[0] for match in _GRAPHEME.finditer(text)]


def _weighted(text: str, url_length: int) -> int:
    """X: links 23 each, else every code point by its range, after NFC.

    An emoji sequence counts by its parts, as in X's published cases; where X is kinder today, a
    post is shorter than counted, never longer.
    """
    text = unicodedata.normalize("NFC", _with_link(text))
    links = 0

    def link(match: re.Match[str]) -> str:
        nonlocal links
        if not _is_host(match["host"]):
            return match[0]
        links += 1
        return ""

    bare = _URL.sub(link, text)
    return sum(_weight(ord(c)) for c in bare) + links * url_length


def _is_host(host: str) -> bool:
    labels = host.rpartition("//")[2].split(".")
    return all(
        label.isascii() or len(label.encode("punycode")) + len("xn--") <= _LABEL_LIMIT
        for label in labels
    )


def _weight(code_point: int) -> int:
    return 1 if any(start <= code_point <= end for start, end in _LIGHT) else 2


def _graphemes(text: str, _url_length: int) -> int:
    return len(graphemes(_with_link(text)))


def _characters(text: str, url_length: int) -> int:
    """Mastodon: graphemes, links as long as the instance says, only the name of a mention."""
    text = _MENTION_HOST.sub(r"\1", _with_link(text))
    bare, links = re.subn(_PLAIN_URL, "", text)
    return len(graphemes(bare)) + links * url_length


def _emoji_bytes(text: str, _url_length: int) -> int:
    """Threads: an emoji counts its bytes in UTF-8, all else its code points."""
    return sum(
        len(sign.encode("utf-8", "replace")) if _EMOJI.search(sign) else len(sign)
        for sign in graphemes(_with_link(text))
    )


def _utf16(text: str, _url_length: int) -> int:
    return len(_with_link(text).encode("utf-16-le", "surrogatepass")) // 2


def _with_link(text: str) -> str:
    return text.replace(LINK_SLOT, LINK_STAND_IN)


_METHODS: dict[str, Callable[[str, int], int]] = {
    "weighted": _weighted,
    "graphemes": _graphemes,
    "characters": _characters,
    "emoji_bytes": _emoji_bytes,
    "utf16": _utf16,
}
