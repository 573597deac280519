"""Read a PPTX: each slide's title, text, tables and speaker's notes. Runs in the child process.

Own code on the XML, because a converter was seen to lose lines and the number of the slide. Text in
pictures, charts and diagrams is not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.archive import Package
from pipeline.knowledge.convert.markdown import as_text, heading, joined, table
from pipeline.knowledge.convert.model import Converted, Limits, PageText
from pipeline.knowledge.convert.properties import title_in
from pipeline.knowledge.convert.text import clean, one_line, title_of

MAIN = "ppt/presentation.xml"
NOTES = "Speaker's notes:"

_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLES = ("title", "ctrTitle")
_SMALL_PRINT = ("sldNum", "dt", "ftr", "hdr")  # the same on every slide


def read_pptx(data: bytes, name: str, limits: Limits) -> Converted:
    package = Package(data, limits)
    parts = _slides(package)
    if len(parts) > limits.max_pages:
        raise DocumentError(
            "too_many_pages",
            f"The presentation has {len(parts):,} slides; at most {limits.max_pages:,} are read.",
            "Split it, or upload only the part you need.",
        )
    pages: list[PageText] = []
    title = title_in(package)
    for number, part in enumerate(parts, 1):
        found, text = _slide(package, part)
        title = title or found
        pages.append(PageText(number, text))
    return Converted(title or title_of(name), "pptx", tuple(pages))


def _slides(package: Package) -> list[str]:
    """The slides' parts in the order they are shown."""
    targets = package.targets(MAIN)
    ids = [element.get(_ID, "") for element in package.tree(MAIN).iter(f"{_P}sldId")]
    return [part for kind, part in (targets.get(i, ("", "")) for i in ids) if kind == "slide"]


def _slide(package: Package, part: str) -> tuple[str, str]:
    """The title of one slide, and its text."""
    title, blocks = "", list[str]()
    for shape in _shapes(package.tree(part)):
        kind = _placeholder(shape)
        text = _lines(shape)
        cells = next(shape.iter(f"{_A}tbl"), None)
        if cells is not None:
            blocks.append(_table(cells))
        elif kind in _TITLES and not title and text.strip():
            title = one_line(text)
            blocks.insert(0, heading(2, text))
        elif kind not in _SMALL_PRINT:
            blocks.append(as_text(text))
    notes = [
        _lines(shape)
        for kind, target in package.targets(part).values()
        if kind == "notesSlide" and package.has(target)
        for shape in _shapes(package.tree(target))
        if _placeholder(shape) == "body"
    ]
    if any(note.strip() for note in notes):
        blocks.append(as_text(f"{NOTES}\n" + "\n".join(notes)))
    return title, clean(joined(blocks))


def _shapes(tree: etree._Element) -> Iterator[etree._Element]:
    for element in tree.iter(f"{_P}sp", f"{_P}graphicFrame"):
        if next(element.iterancestors(_FALLBACK), None) is None:
            yield element


def _placeholder(shape: etree._Element) -> str:
    """What a shape is for, in OOXML's words; empty for one that is for nothing in particular."""
    found = next(shape.iter(f"{_P}ph"), None)
    return "" if found is None else found.get("type", "body")


def _table(cells: etree._Element) -> str:
    rows = cells.iter(f"{_A}tr")
    return table([[_lines(cell) for cell in row.iter(f"{_A}tc")] for row in rows])


def _lines(element: etree._Element) -> str:
    return "\n".join(_line(paragraph) for paragraph in element.iter(f"{_A}p"))


def _line(paragraph: etree._Element) -> str:
    return "".join(
        "\n" if element.tag == f"{_A}br" else element.text or ""
        for element in paragraph.iter(f"{_A}t", f"{_A}br")
    )
