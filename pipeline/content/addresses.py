"""Find web addresses in text and say when two are the same. No request is ever made."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from pipeline.content.prose import map_prose, prose_of

# Stops at white space and at what cannot stand unescaped in an address.
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"'`\\|{}\[\]]{1,2000}", re.IGNORECASE)
_MARKDOWN_LINK = re.compile(
    r"(?<!\\)(?P<bang>!?)\[(?P<text>[^\[\]\n]{0,400})\]\(\s{0,9}<?(?P<url>[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?"
    r"(?:\s{1,9}[\"'(][^\n]{0,200}?[\"')])?\s{0,9}\)"
)
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|ref|ref_src", re.IGNORECASE)
REMOVED = "(address removed: not among the sources)"


def addresses(text: str) -> tuple[str, ...]:
    """Every http(s) or www address in prose, in order, each once."""
    found = (_trimmed(match[0]) for match in _ADDRESS.finditer(prose_of(text)))
    return tuple(dict.fromkeys(found))


def canonical(url: str) -> str:
    """One form for addresses that mean the same: no scheme, `www.`, tracking, fragment, last `/`."""
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:  # not an address at all; equal only to itself
        return url
    kept = [
        pair
        for pair in parse_qsl(parts.query, keep_blank_values=True)
        if not _TRACKING.fullmatch(pair[0])
    ]
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{host}{port}{parts.path.rstrip('/')}{query}"


def unlinked_words(text: str) -> str:
    """The text with every Markdown link and picture replaced by its words."""
    return _MARKDOWN_LINK.sub(lambda match: match["text"], text)


def unlink(text: str, is_known: Callable[[str], bool]) -> str:
    """Take out every address that is not known, and every picture.

    A Markdown link keeps its words, a bare address becomes `REMOVED`, a picture its description.
    """

    def link(match: re.Match[str]) -> str:
        if match["bang"]:
            return f"(picture left out: {match['text'] or 'no description'})"
        if not _ADDRESS.match(match["url"]) or is_known(match["url"]):
            return match[0]
        return match["text"]

    def bare(match: re.Match[str]) -> str:
        url = _trimmed(match[0])
        return match[0] if is_known(url) else REMOVED + match[0][len(url) :]

    return map_prose(text, lambda prose: _ADDRESS.sub(bare, _MARKDOWN_LINK.sub(link, prose)))


def _trimmed(url: str) -> str:
    """Without the punctuation of the sentence around it; a bracket stays when it was opened."""
    while url and (url[-1] in ".,;:!?*_" or (url[-1] == ")" and url.count(")") > url.count("("))):
        url = url[:-1]
    return url
