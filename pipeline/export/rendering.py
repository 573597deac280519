"""Turn model text into safe HTML: two layers that fail apart.

markdown-it with raw HTML off makes only elements it knows; nh3 then keeps only elements and
addresses on a list. Pictures are left out altogether: a page must not fetch anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.content.inert import INTERNAL_TARGET, SAFE_TARGET, clean_text

_TAGS = frozenset(
    [
        "a",
        "p",
        "br",
        "hr",
        "strong",
        "em",
        "s",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ]
)
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}


class _Renderer(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        return bool(SAFE_TARGET.match(url) or INTERNAL_TARGET.fullmatch(url))


_renderer = _Renderer("commonmark", {"html": False}).enable(["table", "strikethrough"])
_renderer.disable("image")


def parse(markdown: str) -> list[Token]:
    """The tokens of a Markdown text by a model, without HTML, pictures and unsafe links."""
    return _renderer.parse(clean_text(markdown))


def article_html(markdown: str) -> str:
    """The HTML of a Markdown text by a model, whatever it holds."""
    return nh3.clean(
        _renderer.render(clean_text(markdown)),
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def text(value: object) -> str:
    """Any value as text of an element or a quoted attribute."""
    return escape(clean_text(str(value)), quote=True)


def element(tag: str, content: str, **attributes: str) -> str:
    """An element around HTML that is already safe; attribute values are escaped here."""
    written = "".join(f' {name.rstrip("_")}="{text(v)}"' for name, v in attributes.items() if v)
    return f"<{tag}{written}>{content}</{tag}>"


def listing(lines: Sequence[str], tag: str = "ul") -> str:
    """A list of plain lines; empty when there are none."""
    return element(tag, "".join(element("li", text(line)) for line in lines)) if lines else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of plain cells; the first cell of a row is its heading."""
    top = "".join(element("th", text(cell), scope="col") for cell in head)
    body = "".join(
        element(
            "tr",
            element("th", text(row[0]), scope="row")
            + "".join(element("td", text(cell)) for cell in row[1:]),
        )
        for row in rows
    )
    inner = (
        element("caption", text(caption))
        + element("thead", element("tr", top))
        + element("tbody", body)
    )
    return element("div", element("table", inner), class_="scroll")


def link(url: str, words: str, target: str = "") -> str:
    """A link out, or the words alone when the address is not one a page may offer."""
    if not SAFE_TARGET.match(url) or re.search(r"\s", url):
        return text(words)
    return element("a", text(words), href=url, rel="noopener noreferrer nofollow", target=target)
