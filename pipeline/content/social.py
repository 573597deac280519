"""Count social posts the way each platform counts, and cut what is too long.

Limits are data (`social_limits.toml`, dated); the counting methods are here. `{link}` stands for
the address that comes later and counts as a link.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import regex  # type: ignore[import-untyped]

from pipeline.content.citations import drop_markers
from pipeline.content.inert import clean_text

_TABLE = Path(__file__).with_name("social_limits.toml")
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
_MENTION_HOST = re.compile(r"(?<![\w/])(@[\w.-]+)@[\w.-]+\w")
_GRAPHEME = regex.compile(r"\X")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*(?=\s)|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform's rule; see the data file for what the fields mean."""

    name: str
    title: str
    limit: int
    counting: str
    url_length: int
    note: str
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How long a post is for its platform. `ok`: it may be posted as it is."""

    used: int
    limit: int
    method: str
    ok: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@cache
def platforms() -> dict[str, Platform]:
    table = _read_table()["platforms"]
    return {name: Platform(name=name, **fields) for name, fields in table.items()}


@cache
def checked_on() -> str:
    """The day the limits were last compared with the platforms' own pages, ISO 8601."""
    return str(_read_table()["checked_on"])


def limits() -> dict[str, dict[str, object]]:
    """What the social promoter is told: platform → limit and how it is counted."""
    return {p.name: {"limit": p.limit, "counting": p.note} for p in platforms().values()}


def counted(platform: str, text: str) -> Count:
    """Count `text` for `platform`. Raises `KeyError` for a platform the table does not have."""
    rule = platforms()[platform]
    used = _METHODS[rule.counting](text, rule.url_length)
    size = len(_with_link(text).encode("utf-8", "replace"))
    fits = used <= rule.limit and (rule.max_bytes is None or size <= rule.max_bytes)
    method = rule.counting
    if LINK_SLOT in text:
        method += f", {LINK_SLOT} as a link of {rule.url_length or len(LINK_STAND_IN)}"
    return Count(used, rule.limit, method, fits and bool(text.strip()))


def fit_post(platform: str, text: str) -> tuple[str, bool]:
    """Cut a post that is too long, after its last sentence that fits, else after a word.

    True with the text when something was cut. The link slot is kept. A post that fits is not touched.
    """
    if not text.strip() or counted(platform, text).ok:
        return text, False
    tail = f" {LINK_SLOT}" if LINK_SLOT in text else ""
    body = text.replace(LINK_SLOT, " ").rstrip() if tail else text.rstrip()
    for ends, ending in (
        (_sentence_ends(body), ""),
        (_word_ends(body), "…"),
        (_all_ends(body), "…"),
    ):
        if cut := _longest(platform, body, ends, ending + tail):
            return cut, True
    return text, False


def with_hashtags(text: str, hashtags: Sequence[str]) -> str:
    """The post as it goes out: hashtags it does not contain yet come last."""
    tags = [f"#{tag.lstrip('#').replace(' ', '')}" for tag in hashtags if tag.strip("# ")]
    new = [tag for tag in dict.fromkeys(tags) if tag.lower() not in text.lower().split()]
    return "\n\n".join(part for part in (text.rstrip(), " ".join(new)) if part)


def finished_posts(data: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The social promoter's posts as they would go out, each with its count, as JSON values.

    `text` is whole, hashtags included; `cut` says that hashtags or words were left out to fit.
    """
    return [_finished(post) for post in (data or {}).get("posts", [])]


def _finished(post: Mapping[str, Any]) -> dict[str, Any]:
    platform, hashtags = str(post["platform"]), list(post.get("hashtags") or [])
    words = drop_markers(clean_text(str(post["text"]))).strip()
    text, cut = words, False
    for kept in range(len(hashtags), -1, -1):
        text, cut = with_hashtags(words, hashtags[:kept]), kept < len(hashtags)
        if counted(platform, text).ok:
            break
    else:
        text, cut = fit_post(platform, words)
    count = counted(platform, text).to_dict()
    return {
        "platform": platform,
        "text": text,
        "hashtags": hashtags,
        "count": count,
        "cut": cut,
    }


def _read_table() -> dict[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))


def _longest(platform: str, body: str, ends: Sequence[int], ending: str) -> str:
    """The longest beginning of `body`, up to one of `ends`, that fits with `ending`; or empty.

    Bisection: a longer beginning never counts less.
    """
    low, high = 0, len(ends)
    best = ""
    while low < high:
        middle = (low + high) // 2
        text = body[: ends[middle]].rstrip() + ending
        if counted(platform, text).ok:
            best, low = text, middle + 1
        else:
            high = middle
    return best


def _sentence_ends(body: str) -> list[int]:
    return [match.end() for match in _SENTENCE_END.finditer(body)]


def _word_ends(body: str) -> list[int]:
    return [match.start() for match in re.finditer(r"(?<=\S)\s", body)]


def _all_ends(body: str) -> list[int]:
    return [match.end() for match in _GRAPHEME.finditer(body)]


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
    return len(_GRAPHEME.findall(_with_link(text)))


def _characters(text: str, url_length: int) -> int:
    """Mastodon: graphemes, links as long as the instance says, only the name of a mention."""
    text = _MENTION_HOST.sub(r"\1", _with_link(text))
    bare, links = re.subn(r"https?://[^\s<>\"]+", "", text)
    return len(_GRAPHEME.findall(bare)) + links * url_length


def _utf16(text: str, _url_length: int) -> int:
    return len(_with_link(text).encode("utf-16-le", "surrogatepass")) // 2


def _with_link(text: str) -> str:
    return text.replace(LINK_SLOT, LINK_STAND_IN)


_METHODS: dict[str, Callable[[str, int], int]] = {
    "weighted": _weighted,
    "graphemes": _graphemes,
    "characters": _characters,
    "utf16": _utf16,
}
