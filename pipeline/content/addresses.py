"""Find web addresses in text, however they are written, and say when two are the same.

Found are links, pictures, bare and encoded addresses, hosts with a path, and DOIs. A host without
a path ("example.com") is taken for a name. No request is ever made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pipeline.content.citation_forms import NOTHING, cited_in
from pipeline.content.prose import map_prose, prose_of

_COLON = r"(?:\\?:|%3[aA]|&colon;|&#0{0,5}58;|&#[xX]0{0,5}3[aA];)"
_SLASH = r"(?:\\?/|%2[fF]|&sol;|&#0{0,5}47;|&#[xX]0{0,5}2[fF];)"
# Stops at white space and at what cannot stand unescaped in an address.
_TLD = (
    r"(?:com|org|net|edu|gov|mil|int|info|biz|io|co|ai|app|dev|eu|uk|de|at|ch|fr|es|it|pt|nl|be|pl|se|no"
    r"|dk|fi|ie|us|ca|au|nz|in|jp|cn|kr|br|mx|ru|ua|cz|gr|tr|me|tv|xyz|site|online|blog|news|science"
    r"|example|test|invalid|onion|ly|gl|to)"
)
_ADDRESS = re.compile(
    rf"(?:(?:https?|hxxps?|ftps?){_COLON}{_SLASH}{{2}}|(?<![\w.])www\.(?=[\w-]+\.))[^\s<>\"'`|{{}}\[\]]{{1,2000}}"
    rf"|(?<![\w@./%:-])(?:[\w-]{{1,63}}\.){{1,6}}{_TLD}(?::\d{{1,5}})?/(?![\s/])[^\s<>\"'`|{{}}\[\]]{{1,2000}}"
    r"|(?<![\w/.])(?:doi:\s?)?10\.\d{4,9}/[^\s<>\"'`|{}\[\]]{1,300}"
    r"|(?<![\w/.])arxiv:\s?\d{4}\.\d{4,5}(?:v\d{1,2})?",
    re.IGNORECASE,
)
_NO_SCHEME = re.compile(rf"{_SLASH}{{2}}(?=[\w-]{{1,63}}\.[\w-])", re.IGNORECASE)
_TARGET = r"\((?P<target>(?:[^()\n]|\([^()\n]{0,400}\)){0,2000})\)"
_WORDS = r"(?:[^\[\]\n]|\[[^\[\]\n]{0,200}\]){0,400}"
_PICTURE = re.compile(rf"(?<!\\)!\[(?P<text>[^\[\]\n]{{0,400}})\]{_TARGET}")
_LINK = re.compile(rf"(?<!\\)\[(?P<text>{_WORDS})\]{_TARGET}")
_REFERENCE = re.compile(
    r"(?<!\\)(?P<bang>!?)\[(?P<text>[^\[\]\n]{0,400})\](?:\s?\[(?P<label>[^\[\]\n]{0,80})\])?"
)
_AUTOLINK = re.compile(r"<(?P<url>[^\s<>]{1,2000})>")
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|ref|ref_src", re.IGNORECASE)
REMOVED = "(address removed: not among the sources)"

Known = Callable[[str], bool]
Tell = Callable[[str], str]  # an address that was taken out → what else stands in its place


def addresses(text: str) -> tuple[str, ...]:
    """Every address in prose, in order, each once."""
    prose = prose_of(text)
    found = [(m.start(), _trimmed(m[0])) for m in _ADDRESS.finditer(prose)]
    for match in _LINK.finditer(prose):
        if _NO_SCHEME.match(url := _url_of(match["target"])):
            found.append((match.start(), url))
    return tuple(dict.fromkeys(url for _, url in sorted(found)))


def canonical(url: str) -> str:
    """One form for addresses that mean the same: no scheme, `www.`, tracking, fragment, last `/`.

    Escapes of Markdown and HTML and percent signs are read; a host has its ASCII form.
    """
    url = unescape(url).replace("\\", "")
    if re.match(r"[a-z]{3,6}%3a", url, re.IGNORECASE):
        url = unquote(url)
    if identifier := re.fullmatch(r"(?:doi:\s?)?(10\.\d{4,9}/.+)", url, re.IGNORECASE):
        url = f"https://doi.org/{identifier[1]}"
    if identifier := re.fullmatch(r"arxiv:\s?(.+)", url, re.IGNORECASE):
        url = f"https://arxiv.org/abs/{identifier[1]}"
    url = f"http:{url}" if url.startswith("//") else url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        host = _ascii((parts.hostname or "").removeprefix("www."))
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:  # not an address at all; equal only to itself
        return url
    kept = [
        pair
        for pair in parse_qsl(parts.query, keep_blank_values=True)
        if not _TRACKING.fullmatch(pair[0])
    ]
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{host}{port}{unquote(parts.path).rstrip('/')}{query}"


def unlinked_words(text: str) -> str:
    """The text with every Markdown link and picture replaced by its words."""
    return _LINK.sub(lambda match: match["text"], _PICTURE.sub(lambda match: match["text"], text))


def unlink(
    text: str, is_known: Known, tell: Tell = lambda _url: "", labels: frozenset[str] = frozenset()
) -> str:
    """Take out every address that is not known, and every picture.

    A Markdown link keeps its words, a bare address becomes `REMOVED`, a picture its description.
    `tell` is asked for each; `labels` are names whose definitions were taken out before.
    """

    def picture(match: re.Match[str]) -> str:
        told = tell(url) if _is_address(url := _url_of(match["target"])) else ""
        return f"(picture left out: {match['text'] or 'no description'}){told}"

    def link(match: re.Match[str]) -> str:
        url = _url_of(match["target"])
        is_citation = cited_in(match["text"].strip("[]"), ()) != NOTHING
        if not _is_address(url) or (is_known(url) and not is_citation):
            return match[0]
        words = f"[{match['text']}]" if is_citation else match["text"]
        return words + ("" if is_known(url) else tell(url))

    def reference(match: re.Match[str]) -> str:
        label = match["label"] or match["text"]
        if " ".join(label.casefold().split()) not in labels:
            return match[0]
        # what cites stays in its brackets, for the check of citations to find
        is_citation = cited_in(match["text"], ()) != NOTHING
        return f"[{match['text']}]" if is_citation else match["text"]

    def autolink(match: re.Match[str]) -> str:
        if not _ADDRESS.fullmatch(match["url"]) or is_known(match["url"]):
            return match[0]
        return REMOVED + tell(match["url"])

    def bare(match: re.Match[str]) -> str:
        url = _trimmed(match[0])
        return match[0] if is_known(url) else REMOVED + tell(url) + match[0][len(url) :]

    def change(prose: str) -> str:
        prose = _LINK.sub(link, _PICTURE.sub(picture, prose))
        if labels:
            prose = _REFERENCE.sub(reference, prose)
        return _ADDRESS.sub(bare, _AUTOLINK.sub(autolink, prose))

    return map_prose(text, change)


def _url_of(target: str) -> str:
    """The address in a link's round brackets, without a title."""
    parts = target.strip().split(maxsplit=1)
    return parts[0].strip("<>") if parts else ""


def _is_address(url: str) -> bool:
    return bool(_ADDRESS.match(url) or _NO_SCHEME.match(url))


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return host


def _trimmed(url: str) -> str:
    """Without the punctuation of the sentence around it; a bracket stays when it was opened."""
    while url and (
        url[-1] in ".,;:!?*_。，、；：！？" or (url[-1] == ")" and url.count(")") > url.count("("))
    ):
        url = url[:-1]
    return url
