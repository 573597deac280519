"""Real files of every kind, made on the spot by the libraries that usually make them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import pypdf
import typst
from docx import Document
from PIL import Image, ImageDraw
from pptx import Presentation
from pptx.util import Inches


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with one page for each Typst source; "" is an empty page."""
    head = f"#set document(title: {json.dumps(title, ensure_ascii=False)})\n" if title else ""
    body = "\n#pagebreak()\n".join(page or "#v(1pt)" for page in pages)
    return typst.compile((head + body).encode())


def typst_text(text: str) -> str:
    """Typst source that shows exactly `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'#text("{escaped}")'


def encrypted_pdf(user_password: str, algorithm: str = "AES-256") -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("= Secret\nThe text of it.")))
    writer.encrypt(user_password, owner_password="owner", algorithm=algorithm)
    return _written(writer)


def scanned_pdf(*, stamp: str = "", pages: int = 1) -> bytes:
    """Pages that are pictures of words, as a scanner makes them."""
    picture = Image.new("RGB", (600, 800), "white")
    ImageDraw.Draw(picture).text((50, 50), "These words are a picture.", fill="black")
    out = io.BytesIO()
    picture.save(out, "PDF")
    writer = pypdf.PdfWriter()
    for number in range(1, pages + 1):
        page = writer.add_page(pypdf.PdfReader(io.BytesIO(out.getvalue())).pages[0])
        if stamp:
            over = pdf(f"#place(bottom, [{stamp} {number}])")
            page.merge_page(pypdf.PdfReader(io.BytesIO(over)).pages[0])
    return _written(writer)


def dated_pdf(date: str) -> bytes:
    """A PDF whose dates are this text."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("= Boilers\nThey are hot.")))
    writer.add_metadata({"/CreationDate": date, "/ModDate": date})
    return _written(writer)


def appended(*files: bytes) -> bytes:
    writer = pypdf.PdfWriter()
    for file in files:
        writer.append(io.BytesIO(file))
    return _written(writer)


def _written(writer: pypdf.PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def docx(
    *paragraphs: tuple[str, str] | str,
    title: str = "",
    table: Sequence[Sequence[str]] = (),
) -> bytes:
    """A DOCX of (style, text) pairs or plain paragraphs, and perhaps a table at its end."""
    document = Document()
    document.core_properties.title = title
    for paragraph in paragraphs:
        style, text = ("Normal", paragraph) if isinstance(paragraph, str) else paragraph
        document.add_paragraph(text, style=style)
    if table:
        made = document.add_table(len(table), len(table[0]))
        for row, cells in zip(made.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pptx(*slides: tuple[str, str], notes: str = "", table: Sequence[Sequence[str]] = ()) -> bytes:
    """A PPTX of (title, text) slides; notes and a table go on the last one."""
    presentation = Presentation()
    presentation.core_properties.title = ""
    slide = None
    for title, text in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    if slide is not None and notes:
        slide.notes_slide.notes_text_frame.text = notes
    if slide is not None and table:
        size = (Inches(1), Inches(1), Inches(4), Inches(2))
        made = slide.shapes.add_table(len(table), len(table[0]), *size).table
        for y, cells in enumerate(table):
            for x, text in enumerate(cells):
                made.cell(y, x).text = text
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def zipped(
    parts: Mapping[str, bytes], packed: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as archive:
        archive.comment = comment
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def with_part(file: bytes, name: str, data: bytes) -> bytes:
    """An office document with one part replaced or added."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    return zipped({**parts, name: data})


def part_of(file: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return archive.read(name)


OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600
ENCRYPTED_OFFICE = OLD_OFFICE + "EncryptedPackage".encode("utf-16-le") + b"\x00" * 100


def raw_pdf(
    content: bytes = b"",
    *,
    packed: bool = False,
    media: bytes = b"[0 0 600 800]",
    catalog: bytes = b"",
    pages: bytes = b"/Kids[3 0 R]/Count 1",
) -> bytes:
    """A PDF by hand, so that it can be one that no library would write."""
    told = b"/Filter/FlateDecode" if packed else b""
    stream = b"<<%b/Length %d>>stream\n%b\nendstream" % (told, len(content), content)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%b>>" % catalog,
        b"<</Type/Pages%b>>" % pages,
        b"<</Type/Page/Parent 2 0 R/MediaBox%b/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
        % media,
        stream,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = b"%PDF-1.7\n", list[int]()
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
        + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(out))
    )


def pdf_text(words: bytes) -> bytes:
    """A page's content that shows `words`."""
    return b"BT /F1 12 Tf 50 700 Td (%b) Tj ET\n" % words
