"""Make readable Markdown of a page: trafilatura, and a plain walk where that loses the headings.

Slow and synchronous; `reader.py` runs it in a thread. What comes out is inert text for a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.tools.base import ToolError, WebPage

if TYPE_CHECKING:
    from lxml.html import HtmlElement

TEXT_MAX_CHARS = 200_000
TITLE_MAX_CHARS = 300
# Elements. trafilatura's time grows with their square on hostile pages, and a thread cannot be ended:
# larger pages get the plain walk, whose time grows with their length.
PARTS_MAX = 4_000
MIN_CHARS = 80  # less than this is no article: the plain walk may find more

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
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


def page_from_text(text: str, url: str) -> WebPage:
    """A page that is plain text or Markdown already. Raises `ToolError` when it is empty."""
    first = next((line.strip("# \t") for line in text.splitlines() if line.strip()), "")
    return _page(url, first, text)


def page_from_html(html: str, url: str) -> WebPage:
    """The page's main text with its headings, its title, publisher and date.

    Title, publisher and date are the page's own words or guesses; nobody has checked them.
    Raises `ToolError` when there is no text on it.
    """
    import trafilatura
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        tree = document_fromstring(html.encode("utf-8", "replace"), HTMLParser(encoding="utf-8"))
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise _no_text() from error
    plain = _plain_walk(tree)
    if sum(1 for _ in zip(tree.iter(), range(PARTS_MAX + 1), strict=False)) > PARTS_MAX:
        return _page(url, tree.findtext(".//title") or "", plain)
    told = trafilatura.extract_metadata(html, default_url=url)
    text = trafilatura.extract(
        html, url=url, output_format="markdown", include_formatting=True, include_comments=False
    )
    title = (told and told.title) or tree.findtext(".//title") or ""
    if len(text or "") < MIN_CHARS or (_HEADING.search(plain) and not _HEADING.search(text or "")):
        text = plain if len(plain) >= len(text or "") / 2 else text
    return _page(url, title, text or "", (told and told.sitename) or "", (told and told.date) or "")


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


def _page(url: str, title: str, text: str, publisher: str = "", published: str = "") -> WebPage:
    text = _UNSEEN.sub("", text).strip()
    if not text:
        raise _no_text()
    host = urlsplit(url).hostname or ""
    return WebPage(
        url=url,
        title=_line(title) or host,
        text=text[:TEXT_MAX_CHARS],
        publisher=_line(publisher) or host.removeprefix("www."),
        published=published if _ISO_DATE.fullmatch(published) else "",
    )


def _line(words: str) -> str:
    return " ".join(_UNSEEN.sub("", words).split())[:TITLE_MAX_CHARS]


def _no_text() -> ToolError:
    return ToolError(
        "There is no readable text on this page.",
        "It may need a browser that runs scripts. Use another page.",
    )
