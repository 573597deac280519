"""DOCX and PPTX keep their words and order; an archive that lies is refused."""

from __future__ import annotations

import zipfile
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.knowledge.convert import LIMITS, DocumentError, Limits
from pipeline.knowledge.convert.archive import Package, office_kind
from pipeline.knowledge.convert.slides import read_pptx
from pipeline.knowledge.convert.text import clean
from pipeline.knowledge.convert.word import read_docx
from tests.unit.knowledge import files
from tests.unit.knowledge.hostile import HOSTILE_LINES

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
VISIBLE = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs", "Z"], exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
    max_size=60,
)


def text_of(docx: bytes) -> str:
    return read_docx(docx, "x.docx", LIMITS).pages[0].markdown


def docx_of(body: str) -> bytes:
    """A DOCX whose text is this XML."""
    xml = f"<w:document {W} {MC}><w:body>{body}</w:body></w:document>"
    return files.zipped({"word/document.xml": xml.encode()})


def reason(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(DocumentError) as refused:
        read_docx(data, "x.docx", limits)
    return refused.value.reason


def test_headings_lists_and_tables_of_a_document_become_markdown() -> None:
    data = files.docx(
        ("Title", "Heat"),
        ("Heading 1", "Boilers"),
        "They are hot.",
        ("Heading 3", "Parts"),
        ("List Bullet", "burner"),
        ("List Number", "flue"),
        table=[["part", "price"], ["a|b", "2"]],
    )

    assert text_of(data) == (
        "# Heat\n\n# Boilers\n\nThey are hot.\n\n### Parts\n\n- burner\n- flue\n\n"
        "| part | price |\n| --- | --- |\n| a\\|b | 2 |"
    )


@given(VISIBLE)
def test_the_characters_of_a_paragraph_stay_what_they_are(text: str) -> None:
    found = text_of(docx_of(f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"))

    assert found in (clean(text), f"\\{clean(text)}")


def test_hostile_lines_in_a_document_come_through_unchanged() -> None:
    lines = [line for line in HOSTILE_LINES if all(c.isprintable() for c in line)]

    found = text_of(files.docx(*lines)).split("\n\n")

    assert [line.removeprefix("\\") for line in found] == [line.strip() for line in lines]


def test_the_title_is_the_documents_own_then_its_first_heading_then_its_name() -> None:
    named = read_docx(files.docx("x", title="Heat"), "a.docx", LIMITS).title
    headed = read_docx(files.docx(("Heading 1", "Boilers"), "x"), "a.docx", LIMITS).title
    neither = read_docx(files.docx("x"), "a.docx", LIMITS).title

    assert (named, headed, neither) == ("Heat", "Boilers", "a")


def test_deleted_and_hidden_words_and_field_codes_are_left_out() -> None:
    body = (
        "<w:p><w:r><w:t>seen</w:t></w:r>"
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        "<w:r><w:instrText>HYPERLINK x</w:instrText></w:r>"
        '<w:ins><w:r><w:t xml:space="preserve"> and inserted</w:t></w:r></w:ins></w:p>'
    )

    assert text_of(docx_of(body)) == "seen and inserted"


def test_a_text_box_is_read_once() -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>"
    body = (
        f"<w:p><w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )

    assert text_of(docx_of(body)) == "boxed"


def test_words_of_tables_inside_tables_are_read_once() -> None:
    inner = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>inner</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    cell = "<w:tc><w:p><w:r><w:t>outer</w:t></w:r></w:p>{}</w:tc>"
    body = f"<w:tbl><w:tr>{cell.format(inner)}{cell.format('')}</w:tr><w:tr>{cell.format('')}</w:tr></w:tbl>"

    assert text_of(docx_of(body)) == "| outer inner | outer |\n| --- | --- |\n| outer |  |"


def test_rows_inside_content_controls_and_equations_are_read() -> None:
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    row = "<w:tr>" + cell.format("a") + cell.format("b") + "</w:tr>"
    math = "http://schemas.openxmlformats.org/officeDocument/2006/math"
    body = (
        f"<w:sdt><w:sdtContent><w:tbl>{row}<w:sdt><w:sdtContent>{row}</w:sdtContent></w:sdt></w:tbl>"
        f'</w:sdtContent></w:sdt><w:p><m:oMath xmlns:m="{math}"><m:r><m:t>E=mc²</m:t></m:r></m:oMath></w:p>'
    )

    assert text_of(docx_of(body)) == "| a | b |\n| --- | --- |\n| a | b |\n\nE=mc²"


def test_a_table_of_contents_is_left_out() -> None:
    styles = f'<w:styles {W}><w:style w:styleId="TOC1"><w:name w:val="toc 1"/></w:style></w:styles>'
    body = '<w:p><w:pPr><w:pStyle w:val="TOC1"/></w:pPr><w:r><w:t>Boilers 3</w:t></w:r></w:p><w:p><w:r><w:t>x</w:t></w:r></w:p>'

    assert text_of(files.with_part(docx_of(body), "word/styles.xml", styles.encode())) == "x"


def test_a_document_saved_as_strict_open_xml_is_read_like_any_other() -> None:
    data = files.docx(("Heading 1", "Boilers"), "They are hot.")
    for part in ("word/document.xml", "word/styles.xml"):
        xml = files.part_of(data, part).replace(
            b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
            b"http://purl.oclc.org/ooxml/wordprocessingml/main",
        )
        data = files.with_part(data, part, xml)

    assert text_of(data) == "# Boilers\n\nThey are hot."


def test_footnotes_come_at_the_end() -> None:
    notes = f'<w:footnotes {W}><w:footnote w:id="2"><w:p><w:r><w:t>A source.</w:t></w:r></w:p></w:footnote></w:footnotes>'

    assert text_of(files.with_part(files.docx("Text."), "word/footnotes.xml", notes.encode())) == (
        "Text.\n\nA source."
    )


def test_styles_that_build_on_each_other_in_a_circle_end() -> None:
    styles = (
        f'<w:styles {W}><w:style w:styleId="a"><w:basedOn w:val="b"/></w:style>'
        '<w:style w:styleId="b"><w:basedOn w:val="a"/></w:style></w:styles>'
    )
    body = '<w:p><w:pPr><w:pStyle w:val="a"/></w:pPr><w:r><w:t>text</w:t></w:r></w:p>'

    assert text_of(files.with_part(docx_of(body), "word/styles.xml", styles.encode())) == "text"


ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_whatever_the_encoding(encoding: str) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'
    xml = f"{declared}{ENTITIES}<w:document {W}><w:body><w:p><w:r><w:t>&f;&b;</w:t></w:r></w:p></w:body></w:document>"

    assert (
        reason(files.with_part(files.docx(), "word/document.xml", xml.encode(encoding))) == "broken"
    )


def test_more_than_is_allowed_unpacked_is_a_bomb_by_declaration() -> None:
    data = files.zipped({"word/document.xml": b"<a/>", "x.bin": bytes(2_000)})

    assert reason(data, Limits(max_unpacked_bytes=1_000)) == "bomb"


def test_more_than_is_allowed_unpacked_is_a_bomb_when_it_really_inflates() -> None:
    """Parts read again and again count again, whatever was declared."""
    package = Package(files.zipped({"a": bytes(600)}), Limits(max_unpacked_bytes=1_000))
    package.read("a")

    with pytest.raises(DocumentError) as refused:
        package.read("a")

    assert refused.value.reason == "bomb"


def test_a_part_that_inflates_to_more_than_declared_is_cut_or_refused() -> None:
    data = bytearray(files.zipped({"word/document.xml": b" " * 100_000}))
    for at in (22, data.rindex(b"PK\x01\x02") + 24):  # the sizes in both headers
        data[at : at + 4] = (10).to_bytes(4, "little")

    assert reason(bytes(data)) == "broken"


def test_a_part_packed_beyond_what_documents_are_is_a_bomb() -> None:
    data = files.zipped({"word/document.xml": b" " * 20_000_000})

    assert reason(data) == "bomb"


@pytest.mark.slow
def test_more_parts_than_any_document_has_are_a_bomb() -> None:
    data = files.zipped(
        {"word/document.xml": b"<a/>", **{f"p{n}": b"" for n in range(20_001)}}, zipfile.ZIP_STORED
    )

    assert reason(data) == "bomb"


def test_a_document_inside_a_document_is_not_opened() -> None:
    inner = files.docx("inner words")
    data = files.with_part(files.docx("outer words"), "word/embeddings/inner.docx", inner)

    assert text_of(data) == "outer words"


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_no_office_program_uses_is_refused(packed: int) -> None:
    assert reason(files.zipped({"word/document.xml": b"<a/>"}, packed)) == "broken"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_parts_of_one_name_are_refused(tmp_path) -> None:
    path = tmp_path / "x.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", b"<a/>")
        archive.writestr("word/document.xml", b"<b/>")

    assert reason(path.read_bytes()) == "broken"


@pytest.mark.parametrize("name", ["../../evil.xml", "/etc/passwd", "C:\\evil", "a\x01b"])
def test_names_of_parts_are_words_and_no_paths(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert text_of(files.with_part(files.docx("text"), name, b"evil")) == "text"
    assert list(tmp_path.iterdir()) == []


def test_what_a_document_links_to_outside_is_not_followed() -> None:
    rels = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="a" Type="x/slide" Target="http://127.0.0.1:9/x" TargetMode="External"/>'
        '<Relationship Id="b" Type="x/slide" Target="../../../../etc/passwd"/>'
        '<Relationship Id="c" Type="x/slide" Target="slides/s.xml"/></Relationships>'
    )
    package = Package(files.zipped({"ppt/_rels/p.xml.rels": rels.encode()}), LIMITS)

    found = package.targets("ppt/p.xml")

    assert "a" not in found
    assert found["c"] == ("slide", "ppt/slides/s.xml")
    assert not package.has(found["b"][1])


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"word/document.xml": b""}, "docx"),
        ({"ppt/presentation.xml": b""}, "pptx"),
        ({"xl/workbook.xml": b""}, None),
    ],
)
def test_an_archive_is_what_its_main_part_says(parts: dict[str, bytes], kind: str | None) -> None:
    assert office_kind(files.zipped(parts)) == kind


def test_slides_keep_their_order_number_title_table_and_notes() -> None:
    data = files.pptx(
        ("Boilers", "They are hot.\nVery."),
        ("", ""),
        ("Costs", "They vary."),
        notes="Say it slowly.",
        table=[["part", "price"], ["flue", "2"]],
    )

    found = read_pptx(data, "deck.pptx", LIMITS)

    assert found.title == "Boilers"
    assert [(page.number, page.markdown) for page in found.pages] == [
        (1, "## Boilers\n\nThey are hot.\nVery."),
        (2, ""),
        (
            3,
            "## Costs\n\nThey vary.\n\n| part | price |\n| --- | --- |\n| flue | 2 |\n\n"
            "Speaker's notes:\nSay it slowly.",
        ),
    ]


def test_hostile_lines_on_slides_come_through_unchanged() -> None:
    lines = [line for line in HOSTILE_LINES if all(c.isprintable() for c in line)]

    found = read_pptx(files.pptx(("Top", "\n".join(lines))), "x.pptx", LIMITS).pages[0].markdown

    assert [line.removeprefix("\\") for line in found.split("\n")[2:]] == [
        line.strip() for line in lines
    ]


def test_a_presentation_that_names_slides_it_does_not_have_is_broken() -> None:
    data = files.pptx(("Boilers", "x"))
    rels = files.part_of(data, "ppt/_rels/presentation.xml.rels").replace(
        b"slide1.xml", b"gone.xml"
    )

    with pytest.raises(DocumentError) as refused:
        read_pptx(files.with_part(data, "ppt/_rels/presentation.xml.rels", rels), "x", LIMITS)

    assert refused.value.reason == "broken"
