r"""Make model text harmless Markdown: text stays text, whatever renders it.

`inert_markdown` is for files and every renderer, raw HTML switched on or not: no element, no
picture, no address but http, https and mailto. `escape_markdown` is for single lines that are not
Markdown (titles, names). What Streamlit adds on top is `export/markdown.py`'s matter.

The rewriting is by pattern; a real parser with raw HTML on then looks at the result, and what it
still finds makes the whole text plain. So a pattern that misses costs looks, not safety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.content.prose import map_prose

SAFE_TARGET = re.compile(r"(?:https?://|mailto:)[^\s<>]", re.IGNORECASE)
INTERNAL_TARGET = re.compile(r"#source-\d+")
_OWN_TARGET = r"(?:https?://|mailto:|#source-\d)"
_PICTURE = re.compile(r"!\[(?P<alt>[^\[\]\n]{0,400})\]\([^()\n]{0,2000}\)")
# An even number of backslashes before a sign leaves the sign in force.
_BANG = re.compile(r"(?<!\\)((?:\\\\)*)!(?=\[)")
_TAG = re.compile(r"(?<!\\)(\\*)<(?=[A-Za-z/!?])")
_BAD_TARGET = re.compile(rf"(?<!\\)((?:\\\\)*)\](?=\((?!{_OWN_TARGET}))", re.IGNORECASE)
_DEFINITION = re.compile(r"^([ >\t*+\-\d.)]{0,40})\[(?=[^\]\n]{1,999}\]:)", re.MULTILINE)
_SIGNS = re.compile(r"([\\`*_\[\]#|>~$&])")
# Many renderers make links of bare addresses, some of them after entities and escapes are read, so
# only a sign between the characters stops it. It is one that nobody sees.
WORD_JOINER = "\u2060"
_BARE_ADDRESS = re.compile(r"(?:https?|ftp):(?=//)|www(?=\.)|@(?=[\w-])", re.IGNORECASE)
_LINE_START = re.compile(r"^(?:([+\-=])|(\d{1,9})([.)]))")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class _SeesEveryLink(MarkdownIt):
    """The judge: reads raw HTML and takes any link for one, as the most careless renderer does."""

    def validateLink(self, url: str) -> bool:
        return True


_judge = _SeesEveryLink("commonmark", {"html": True}).enable(["table", "strikethrough"])


def inert_markdown(text: str) -> str:
    """The text as Markdown in which nothing is active. Applying it twice changes nothing more."""
    text = clean_text(text)
    rewritten = map_prose(text, _defuse)
    return rewritten if not _active(rewritten) else escape_lines(text)


def escape_markdown(text: str) -> str:
    """One line of plain text, so that Markdown shows exactly its words and makes no link of any."""
    line = _SIGNS.sub(r"\\\1", without_links(" ".join(clean_text(text).split())))
    return _LINE_START.sub(r"\2\\\1\3", line.replace("<", "&lt;"))


def without_links(text: str) -> str:
    """The text with every bare address broken where no reader sees it."""
    return _BARE_ADDRESS.sub(lambda m: m[0] + WORD_JOINER, text)


def escape_lines(text: str) -> str:
    """Plain text of several lines, as paragraphs that show exactly its words."""
    return "\n\n".join(escape_markdown(line) for line in text.splitlines() if line.strip())


def clean_text(text: str) -> str:
    """Without control characters; lone surrogates become U+FFFD, so that the text can be stored."""
    return _CONTROL.sub(lambda m: "�" if m[0] >= "\ud800" else "", text)


def is_safe_target(url: str) -> bool:
    return bool(SAFE_TARGET.match(url) or INTERNAL_TARGET.fullmatch(url))


def _defuse(prose: str) -> str:
    prose = _PICTURE.sub(lambda m: f"(picture left out: {m['alt'] or 'no description'})", prose)
    prose = _BANG.sub(r"\1\\!", prose)
    # A sign that was escaped already loses its backslash: "&lt;" needs none.
    prose = _TAG.sub(lambda m: m[1][: len(m[1]) // 2 * 2] + "&lt;", prose)
    prose = _DEFINITION.sub(r"\1\\[", prose)
    return _BAD_TARGET.sub(r"\1\\]", prose)


def _active(markdown: str) -> bool:
    """True when a renderer would make an element, a picture or an unsafe link of the text."""
    return any(_is_active(token) for token in _walk(_judge.parse(markdown)))


def _is_active(token: Token) -> bool:
    if token.type == "link_open":
        return not is_safe_target(str(token.attrs.get("href", "")))
    return token.type in ("html_inline", "html_block", "image")


def _walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or [])
