"""Read a DOCX: paragraphs, headings, lists and tables in their order. Runs in the child process.

Own code on the XML, because a converter was seen to drop `<`, `>` and `&` from the text. Deleted and
hidden words, tables of contents, headers, footers and comments are left out; footnotes come at the end.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from pipeline.knowledge.convert.archive import Package, broken
from pipeline.knowledge.convert.markdown import as_text, heading, joined, list_item, table
from pipeline.knowledge.convert.model import Converted, Limits, PageText
from pipeline.knowledge.convert.properties import title_in
from pipeline.knowledge.convert.text import clean, one_line, title_of

MAIN = "word/document.xml"
STYLE_CHAIN_MAX = 20  # styles build on styles; a circle ends here
TITLE_STYLE = "title"
CONTENTS_STYLE = "toc "  # of the lines of a table of contents: every heading a second time

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = {f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", f"{_W}delText", f"{_W}pPr", _FALLBACK}
_SIGNS = {
    f"{_W}tab": "\t",
    f"{_W}br": "\n",
    f"{_W}cr": "\n",
    f"{_W}noBreakHyphen": "\u2011",
    f"{_W}softHyphen": "\u00ad",
}


@dataclass(frozen=True, slots=True)
class _Style:
    name: str = ""
    based_on: str = ""
    level: int | None = None  # of a heading, from 1
    is_list: bool = False


def read_docx(data: bytes, name: str, limits: Limits) -> Converted:
    package = Package(data, limits)
    styles = _styles(package)
    blocks = [*_blocks(package.xml(MAIN), styles), *_notes(package)]
    text = clean(joined(blocks))
    first = next((b.lstrip("# ") for b in blocks if b.startswith("# ")), "")
    title = title_in(package) or one_line(first) or title_of(name)
    return Converted(title, "docx", (PageText(None, text),))


def _blocks(xml: bytes, styles: dict[str, _Style]) -> Iterator[str]:
    """Each paragraph and table of the text. Read as a stream: a long document is never a tree at once."""
    done = (f"{_W}p", f"{_W}tbl")
    stream = etree.iterparse(
        io.BytesIO(xml), tag=done, resolve_entities=False, load_dtd=False, no_network=True
    )
    try:
        for _, element in stream:
            if any(parent.tag in done for parent in element.iterancestors()):
                continue  # it is part of a table or a text box, which comes as one
            yield _paragraph(element, styles) if element.tag == done[0] else _table(element)
            element.clear()
    except etree.XMLSyntaxError as error:
        raise broken() from error


def _paragraph(element: etree._Element, styles: dict[str, _Style]) -> str:
    text = "".join(_words(element))
    properties = element.find(f"{_W}pPr")
    if properties is None or not text.strip():
        return as_text(text)
    style = _value(properties, "pStyle")
    if styles.get(style, _Style()).name.startswith(CONTENTS_STYLE):
        return ""
    level = _outline_level(properties) or _inherited_level(style, styles)
    if level is not None:
        return heading(level, text)
    numbering = properties.find(f"{_W}numPr")
    if numbering is not None or _is_list(style, styles):
        depth = _value(numbering, "ilvl") if numbering is not None else ""
        return list_item(text, int(depth) if depth.isdecimal() and len(depth) < 3 else 0)
    return as_text(text)


def _table(element: etree._Element) -> str:
    rows: list[list[str]] = []
    for row in element.iter(f"{_W}tr"):
        if next(row.iterancestors(f"{_W}tbl")) is not element:
            continue  # of a table inside a cell
        rows.append(cells := [])
        for cell in row.iter(f"{_W}tc"):
            if next(cell.iterancestors(f"{_W}tr")) is row:
                cells.append(_cell(cell))
                cells += [""] * (_span(cell) - 1)
    return table(rows)


def _cell(cell: etree._Element) -> str:
    """All words in a cell, those of tables inside it too."""
    return "\n".join("".join(_words(paragraph)) for paragraph in cell.iter(f"{_W}p"))


def _span(cell: etree._Element) -> int:
    told = _value(cell.find(f"{_W}tcPr"), "gridSpan")
    return min(int(told), 64) if told.isdecimal() and len(told) < 4 else 1


def _words(paragraph: etree._Element) -> Iterator[str]:
    """The visible words of a paragraph; of one in a text box inside it, on a line of their own."""
    stack = [iter(paragraph)]
    while stack:
        element = next(stack[-1], None)
        if element is None:
            stack.pop()
            continue
        if element.tag in (f"{_W}t", _MATH_TEXT):
            yield element.text or ""
        elif element.tag in _SIGNS:
            yield _SIGNS[element.tag]
        elif element.tag not in _SKIPPED and not (element.tag == f"{_W}r" and _is_hidden(element)):
            if element.tag == f"{_W}p":
                yield "\n"
            stack.append(iter(element))


def _is_hidden(run: etree._Element) -> bool:
    vanish = run.find(f"{_W}rPr/{_W}vanish")
    return vanish is not None and vanish.get(f"{_W}val", "1") not in ("0", "false", "off")


def _notes(package: Package) -> Iterator[str]:
    for part, tag in (("word/footnotes.xml", "footnote"), ("word/endnotes.xml", "endnote")):
        if package.has(part):
            for note in package.tree(part).iter(f"{_W}{tag}"):
                if note.get(f"{_W}type") is None:  # the others are separator lines
                    yield as_text("\n".join("".join(_words(p)) for p in note.iter(f"{_W}p")))


def _styles(package: Package) -> dict[str, _Style]:
    if not package.has("word/styles.xml"):
        return {}
    found: dict[str, _Style] = {}
    for style in package.tree("word/styles.xml").iter(f"{_W}style"):
        properties = style.find(f"{_W}pPr")
        name = _value(style, "name").lower()
        level = _outline_level(properties)
        if name.startswith("heading ") and name[8:].isdecimal():
            level = int(name[8:9])
        found[style.get(f"{_W}styleId", "")] = _Style(
            name=name,
            based_on=_value(style, "basedOn"),
            level=1 if name == TITLE_STYLE else level,
            is_list=properties is not None and properties.find(f"{_W}numPr") is not None,
        )
    return found


def _lineage(style: str, styles: dict[str, _Style]) -> Iterator[_Style]:
    for _ in range(STYLE_CHAIN_MAX):
        found = styles.get(style)
        if found is None:
            return
        yield found
        style = found.based_on


def _inherited_level(style: str, styles: dict[str, _Style]) -> int | None:
    return next((s.level for s in _lineage(style, styles) if s.level is not None), None)


def _is_list(style: str, styles: dict[str, _Style]) -> bool:
    return any(s.is_list for s in _lineage(style, styles))


def _outline_level(properties: etree._Element | None) -> int | None:
    """From 1; `None` for body text, which OOXML calls level 9."""
    told = _value(properties, "outlineLvl")
    return int(told) + 1 if told.isdecimal() and len(told) == 1 and told != "9" else None


def _value(parent: etree._Element | None, tag: str) -> str:
    child = parent.find(f"{_W}{tag}") if parent is not None else None
    return child.get(f"{_W}val", "") if child is not None else ""
