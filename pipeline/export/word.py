"""The DOCX download: the article with real styles, so that a word processor can go on with it.

`blocks.py` decides what the text holds; this module only writes it down.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pipeline.content.article import Article, first_words, source_name
from pipeline.content.citations import NumberedSource
from pipeline.content.inert import SAFE_TARGET
from pipeline.export.blocks import Block, Span, blocks_of, printable
from pipeline.models import DEMO_LABEL, RunRecord

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

PROPERTY_MAX_CHARS = 255  # of a document property, as the format has it
LEVELS = 3  # the template has list styles for so many
CODE = "Code"


def to_docx(run: RunRecord, article: Article) -> bytes:
    """The article as a Word document: title, labels, standfirst, text, numbered sources."""
    import docx  # a tenth of a second that only this download needs

    document = docx.Document()
    _set_properties(document, run, article)
    _add_code_style(document)
    document.add_paragraph(printable(article.title), "Title")
    for label in article.labels:
        document.add_paragraph(printable(label), "Intense Quote")
    if article.standfirst:
        document.add_paragraph(printable(article.standfirst), "Subtitle")
    _Writer(document).write(blocks_of(article.body_markdown))
    if article.sources:
        document.add_paragraph("Sources", "Heading 1")
        for entry in article.sources:
            _source(document, entry)
    written = BytesIO()
    document.save(written)
    return written.getvalue()


def _set_properties(document: Document, run: RunRecord, article: Article) -> None:
    properties = document.core_properties
    properties.title = printable(article.title)[:PROPERTY_MAX_CHARS]
    properties.subject = printable(" ".join(run.spec.topic.split()))[:PROPERTY_MAX_CHARS]
    properties.author = f"Gantry: {DEMO_LABEL}" if run.spec.is_demo else "Gantry"
    properties.comments = printable("; ".join(article.labels))[:PROPERTY_MAX_CHARS]
    properties.language = printable(run.spec.language)
    properties.created = properties.modified = run.created_at.replace(tzinfo=None)


def _add_code_style(document: Document) -> None:
    from docx.enum.style import WD_STYLE_TYPE
    from docx.shared import Pt

    style: Any = document.styles.add_style(CODE, WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = document.styles["Normal"]
    style.font.name, style.font.size = "Courier New", Pt(9)


def _source(document: Document, entry: NumberedSource) -> None:
    source = entry.source
    url = source.url if SAFE_TARGET.match(source.url) else ""
    paragraph = document.add_paragraph(f"{entry.number}. ")
    _add_span(paragraph, Span(printable(source_name(source)), url=url))
    if said := first_words(source):
        paragraph.add_run(printable(f": “{said}”"))


class _Writer:
    """Writes blocks in order; each numbered list counts from its own start."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._numbering: dict[int, int] = {}  # level → the list that is open there

    def write(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            match block.kind:
                case "heading":
                    # the article's title stands above, so its second level is the document's first
                    level = max(1, min(9, block.level - 1))
                    self._paragraph(block, f"Heading {level}")
                case "item":
                    self._item(block)
                case "quote":
                    self._paragraph(block, "Quote")
                case "code":
                    self._document.add_paragraph(block.spans[0].text, CODE)
                case "rule":
                    self._document.add_paragraph("⁂")
                case "table":
                    self._table(block)
                case "paragraph":
                    continued = f"List Continue{_suffix(block.level)}" if block.level else "Normal"
                    self._paragraph(block, continued)

    def _paragraph(self, block: Block, style: str) -> Paragraph:
        paragraph = self._document.add_paragraph(style=style)
        for span in block.spans:
            _add_span(paragraph, span)
        return paragraph

    def _item(self, block: Block) -> None:
        kind = "List Bullet" if block.number is None else "List Number"
        paragraph = self._paragraph(block, kind + _suffix(block.level))
        if block.number is None:
            return
        if block.first:
            self._numbering[block.level] = self._new_numbering(paragraph, block.number)
        properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()
        properties.get_or_add_ilvl().val = 0
        properties.get_or_add_numId().val = self._numbering[block.level]

    def _new_numbering(self, paragraph: Paragraph, start: int) -> int:
        """A numbering like the style's that starts anew."""
        numbering = self._document.part.numbering_part.element
        style: Any = paragraph.style
        like = style.element.pPr.numPr.numId.val
        abstract = next(n.abstractNumId.val for n in numbering.num_lst if n.numId == like)
        made = numbering.add_num(abstract)
        made.add_lvlOverride(ilvl=0).add_startOverride(start)
        return int(made.numId)

    def _table(self, block: Block) -> None:
        columns = max(len(row) for row in block.rows)
        table = self._document.add_table(len(block.rows), columns, "Table Grid")
        for row, cells in zip(table.rows, block.rows, strict=True):
            for cell, spans in zip(row.cells, cells, strict=False):
                for span in spans:
                    _add_span(cell.paragraphs[0], span)
        for cell in table.rows[0].cells:
            for run in cell.paragraphs[0].runs:
                run.bold = True


def _suffix(level: int) -> str:
    return "" if level <= 1 else f" {min(level, LEVELS)}"


def _add_span(paragraph: Paragraph, span: Span) -> None:
    run = paragraph.add_run(span.text)
    run.bold, run.italic = span.bold or None, span.italic or None
    run.font.strike = span.strike or None
    if span.code:
        run.font.name = "Courier New"
    if span.url:
        _link(paragraph, run, span.url)


def _link(paragraph: Paragraph, run: Any, url: str) -> None:
    """Put `run` inside a hyperlink. The address stands apart, as a relationship of the document."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import RGBColor

    run.font.underline, run.font.color.rgb = True, RGBColor(0x05, 0x63, 0xC1)
    link = OxmlElement("w:hyperlink")
    relation = paragraph.part.relate_to(
        printable(url), RELATIONSHIP_TYPE.HYPERLINK, is_external=True
    )
    link.set(qn("r:id"), relation)
    run._r.addprevious(link)
    link.append(run._r)
