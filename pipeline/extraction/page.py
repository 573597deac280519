"""Make readable Markdown of a page: trafilatura, and a plain walk where that loses the headings.

Slow, and fed with what strangers wrote: runs in a child process. What comes out is as the page has it;
`tools/web/extract.py` makes inert text for a prompt of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# Elements. trafilatura's time grows with their square on hostile pages, which would then not be read at
# all: larger pages get the plain walk, whose time grows with their length.
PARTS_MAX = 4_000
MIN_CHARS = 80  # less than this is no article: the plain walk may find more

_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_LEFT_OUT = [
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "nav",
    "footer",
    "aside",
    "form",
    "button",
    "iframe",
    "object",
]
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = (*_HEADINGS, "p", "li", "pre", "blockquote", "td", "th", "dt", "dd", "figcaption")


@dataclass(frozen=True, slots=True)
class Question:
    html: str
    url: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """The page's own words or guesses; nobody has checked them. No text means there is none on it."""

    title: str = ""
    text: str = ""
    publisher: str = ""
    published: str = ""


def extracted(html: str, url: str) -> Extracted:
    """The page's main text with its headings, its title, publisher and date."""
    import trafilatura
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    # Deeper than 256 elements the parser stops, unless it is told that pages may be large.
    parser = HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = document_fromstring(html.encode("utf-8", "replace"), parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return Extracted()  # white space and comments
    plain = _plain_walk(tree)
    if sum(1 for _ in zip(tree.iter(), range(PARTS_MAX + 1), strict=False)) > PARTS_MAX:
        return Extracted(tree.findtext(".//title") or "", plain)
    told = trafilatura.extract_metadata(html, default_url=url)
    text = trafilatura.extract(
        html, url=url, output_format="markdown", include_formatting=True, include_comments=False
    )
    title = (told and told.title) or tree.findtext(".//title") or ""
    if len(text or "") < MIN_CHARS or (_HEADING.search(plain) and not _HEADING.search(text or "")):
        text = plain if len(plain) >= len(text or "") / 2 else text
    return Extracted(title, text or "", (told and told.sitename) or "", (told and told.date) or "")


def _plain_walk(tree: HtmlElement) -> str:
    """Every block of words in order, headings marked; menus and forms left out."""
    body = tree.find("body")
    if body is None:
        return ""
    blocks: list[str] = []
    for element in body.iter(*_BLOCKS):
        if next(element.iterdescendants(*_BLOCKS), None) is None and not _is_left_out(element):
            blocks.append(_block(str(element.tag), element.text_content()))
    return "\n\n".join(filter(None, blocks)) or " ".join(_loose_words(body))


def _is_left_out(element: HtmlElement) -> bool:
    return next(element.iterancestors(*_LEFT_OUT), None) is not None


def _loose_words(body: HtmlElement) -> Iterator[str]:
    """The words of a page that marks no paragraphs."""
    inside = " or ".join(f"ancestor::{tag}" for tag in _LEFT_OUT)
    for text in body.xpath(f".//text()[not({inside})]", smart_strings=False):
        yield from text.split()


def _block(tag: str, content: str) -> str:
    words = " ".join(content.split())
    if words and tag in _HEADINGS:
        return f"{'#' * int(tag[1])} {words}"
    return f"- {words}" if words and tag == "li" else words
