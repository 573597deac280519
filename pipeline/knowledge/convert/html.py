"""Read an HTML page: its visible text with headings, lists, tables and code. Runs in the child process.

Nothing is fetched and nothing runs: libxml2 parses without network, scripts and styles are left out,
and so is what the page hides by attribute or inline style. Rules in style sheets are not looked at.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.markdown import as_text, fenced, heading, joined, list_item, table
from pipeline.knowledge.convert.model import Converted, PageText
from pipeline.knowledge.convert.text import clean, decoded, has_byte_order_mark, one_line, title_of

HEAD_BYTES = 2_048  # where a page may name its encoding
# What a page may say it is in; anything else is read as text files are.
ENCODINGS = {
    *(f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)),
    *(f"cp{n}" for n in (866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)),
    *("koi8-r", "koi8-u", "gb18030", "gbk", "gb2312", "big5", "euc_jp", "shift_jis", "euc_kr"),
}

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)
_LEFT_OUT_TAGS = (
    "script style noscript template svg math iframe object embed head canvas audio video"
    " textarea select datalist applet frameset noframes noembed"
)
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_BREAKING_TAGS = (
    "html body address article aside blockquote center dd details dialog div dl dt fieldset figcaption"
    " figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main nav ol p pre section summary"
    " table caption thead tbody tfoot tr td th ul menu dir option"
)
_LEFT_OUT = frozenset(_LEFT_OUT_TAGS.split())
_BREAKING = frozenset(_BREAKING_TAGS.split())
# A table with any of these inside is a layout, not data.
_NOT_IN_DATA = ("table", "ul", "ol", "pre", *_HEADINGS)
LINE_BREAK = "\r"  # cannot stand in the text: line ends were evened
_XML_ENCODING = re.compile(r"^\s*<\?xml[^>]*\?>")


def read_html(data: bytes, name: str) -> Converted:
    source, warnings = _source(data)
    tree = _tree(source)
    if tree is None:
        return Converted(title_of(name), "html", (PageText(None, ""),), warnings)
    text = clean(joined(list(_Walk(tree).blocks())))
    title = one_line(tree.findtext(".//title") or tree.findtext(".//h1") or "")
    return Converted(title or title_of(name), "html", (PageText(None, text),), warnings)


def _source(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The page's characters: a byte order mark, then UTF-8, then what it says it is in."""
    told = _CHARSET.search(data[:HEAD_BYTES])
    if told is not None and not has_byte_order_mark(data):
        try:
            encoding = codecs.lookup(told[1].decode("ascii")).name
        except (LookupError, UnicodeDecodeError):
            encoding = ""
        if encoding in ENCODINGS and not _is_utf_8(data):
            return data.decode(encoding, "replace"), ()
    return decoded(data)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _tree(source: str) -> HtmlElement | None:
    parser = HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True
    )
    words = _XML_ENCODING.sub("", clean(source))
    try:
        tree = document_fromstring(words.encode("utf-8", "replace"), parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None  # nothing but white space and comments
    # The parser stops there and says nothing but in its log: the rest of the page would be missing.
    if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
        raise DocumentError(
            "broken",
            "The page nests its elements deeper than browsers do.",
            "Open it in a browser and save its text, or print it to a PDF.",
        )
    return tree


class _Walk:
    """Goes through a page in its order, without recursion: pages nest as deep as they like."""

    def __init__(self, tree: HtmlElement) -> None:
        self._tree = tree
        self._words: list[str] = []
        self._level = 0  # of the heading it is in
        self._depth = -1  # of the list it is in
        self._is_item = False  # a list item has begun and nothing of it was given

    def blocks(self) -> Iterator[str]:
        walk = etree.iterwalk(self._tree, events=("start", "end"))
        for event, element in walk:
            tag = element.tag
            if event == "start":
                if tag in _BREAKING:
                    yield from self._flush()
                whole = _whole_block(element)
                if whole is not None:
                    walk.skip_subtree()
                    yield whole
                    continue
                self._enter(tag)
                self._words.append(LINE_BREAK if tag == "br" else element.text or "")
                continue
            if tag in _BREAKING:
                yield from self._flush()
            self._leave(tag)
            if element is not self._tree:
                self._words.append(element.tail or "")
        yield from self._flush()

    def _enter(self, tag: str) -> None:
        self._level = _HEADINGS.get(tag, self._level)
        self._depth += tag in _LISTS
        self._is_item = self._is_item or tag == "li"

    def _leave(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._level = 0
        self._depth -= tag in _LISTS
        if tag == "li":
            self._is_item = False

    def _flush(self) -> Iterator[str]:
        text = _evened("".join(self._words))
        self._words.clear()
        if not text:
            return
        if self._level:
            yield heading(self._level, text)
        elif self._is_item:
            self._is_item = False
            yield list_item(text, max(self._depth, 0))
        else:
            yield as_text(text)


def _whole_block(element: HtmlElement) -> str | None:
    """What an element is that is not walked through: nothing, code or a table of data."""
    if _is_left_out(element):
        return ""
    if element.tag == "pre":
        code = "".join(_visible(element)).replace(LINE_BREAK, "\n").strip("\n")
        return fenced(code) if code.strip() else ""
    if element.tag == "table" and next(element.iterdescendants(*_NOT_IN_DATA), None) is None:
        rows = element.iter("tr")
        return table([[_cell(cell) for cell in row.iterchildren("td", "th")] for row in rows])
    return None


def _cell(cell: HtmlElement) -> str:
    return "" if _is_left_out(cell) else _evened("".join(_visible(cell)))


def _visible(element: HtmlElement) -> Iterator[str]:
    """The visible characters inside an element."""
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, inner in walk:
        if event == "start":
            if _is_left_out(inner):
                walk.skip_subtree()
                continue
            yield LINE_BREAK if inner.tag in _BREAKING or inner.tag == "br" else ""
            yield inner.text or ""
        elif inner is not element:
            yield inner.tail or ""


def _is_left_out(element: HtmlElement) -> bool:
    return (
        element.tag in _LEFT_OUT
        or "hidden" in element.attrib
        or _HIDING.search(element.get("style", "")) is not None
    )


def _evened(words: str) -> str:
    """White space as a browser shows it: one space, and lines only where the page breaks them."""
    lines = (" ".join(line.split()) for line in words.split(LINE_BREAK))
    return "\n".join(lines).strip("\n")
