"""The files for word processors and readers, opened again by other people's programs."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from io import BytesIO

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from pipeline.content.article import Article, assemble
from pipeline.export.blocks import blocks_of, printable
from pipeline.export.pdf import to_pdf
from pipeline.export.word import to_docx
from pipeline.models import DEMO_LABEL, UNSOURCED_LABEL
from tests.unit.export.hostile import rows
from tests.unit.export.samples import SOURCE, bundle

RICH = """# Roofs

Warm **bold** *slanted* ~~gone~~ `code` [link](https://example.org/roofs) [Saaaa1].

1. one
2. two
   - inner

A paragraph between.

1. again

> said

```
x = 1
```

| a | b |
| - | - |
| 1 | 2 |

---

## Part

### Detail

#read("/etc/passwd") $x$ @ref
"""


def rich() -> Article:
    return assemble(RICH, None, [SOURCE], [DEMO_LABEL, UNSOURCED_LABEL])


def word(article: Article) -> docx.document.Document:
    return docx.Document(BytesIO(to_docx(bundle().run, article)))


def pdf(article: Article) -> PdfReader:
    return PdfReader(BytesIO(to_pdf(bundle().run, article)))


def pdf_text(article: Article) -> str:
    return "\n".join(page.extract_text() for page in pdf(article).pages)


def test_word_has_real_styles_for_what_the_text_holds() -> None:
    document = word(rich())

    styles = {p.text: p.style.name for p in document.paragraphs}
    assert styles["Roofs"] == "Title"
    assert styles["Part"] == "Heading 1"
    assert styles["Detail"] == "Heading 2"
    assert styles["one"] == styles["again"] == "List Number"
    assert styles["inner"] == "List Bullet 2"
    assert styles["said"] == "Quote"
    assert styles["x = 1"] == "Code"
    assert [[c.text for c in row.cells] for row in document.tables[0].rows] == [
        ["a", "b"],
        ["1", "2"],
    ]
    looks = {r.text: r for p in document.paragraphs for r in p.runs}
    assert looks["bold"].bold
    assert looks["slanted"].italic
    assert looks["gone"].font.strike


def test_a_second_numbered_list_in_word_begins_anew() -> None:
    document = word(rich())

    numbers = {
        p.text: p._p.pPr.numPr.numId.val
        for p in document.paragraphs
        if p.text in ("one", "two", "again")
    }
    assert numbers["one"] == numbers["two"] != numbers["again"]


def test_word_and_pdf_carry_labels_sources_and_links() -> None:
    article = rich()

    document, text = word(article), pdf_text(article)

    said = "\n".join(p.text for p in document.paragraphs)
    for words in (DEMO_LABEL, UNSOURCED_LABEL, "[1]", "1. Roofs, Example House"):
        assert words in said
        assert words in text
    assert {h.address for p in document.paragraphs for h in p.hyperlinks} == {SOURCE.url}
    links = [
        note.get_object()["/A"]["/URI"] for page in pdf(article).pages for note in page["/Annots"]
    ]
    assert set(links) == {SOURCE.url}


def test_the_demo_is_named_in_the_files_properties() -> None:
    article = rich()

    properties, info = word(article).core_properties, pdf(article).metadata

    assert DEMO_LABEL in properties.author
    assert properties.title == "Roofs"
    assert info is not None
    assert DEMO_LABEL in (info.author or "")
    assert info.title == "Roofs"


def test_the_pdf_has_an_outline_and_reads_no_words_as_markup() -> None:
    reader = pdf(rich())

    assert [entry["/Title"] for entry in reader.outline if not isinstance(entry, list)] == [
        "Part",
        "Sources",
    ]
    assert '#read("/etc/passwd") $x$ @ref' in pdf_text(rich())


def test_signs_without_a_glyph_are_named_in_the_pdf() -> None:
    article = assemble("A sign nobody has assigned: \U00050000.", None, [], [])

    text = pdf_text(article)

    assert "U+50000" in text


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert printable("a\x00b\ufffec\ud800d\te") == "a\ufffdb\ufffdc\ufffdd\te"


def test_nested_lists_and_quotes_keep_their_depth() -> None:
    blocks = blocks_of("3. a\n\n   more\n\n   - b\n\n> q\n")

    assert [(b.kind, b.level, b.number) for b in blocks] == [
        ("item", 1, 3),
        ("paragraph", 1, None),
        ("item", 2, None),
        ("quote", 0, None),
    ]


@pytest.mark.parametrize(
    "markdown",
    [
        "1.\n2. two\n",
        "1. ```\n   x\n   ```\n2. two\n",
        "1. - a\n2. # b\n3. two\n",
        "1. > q\n2. two\n",
    ],
)
def test_an_item_without_words_of_its_own_begins_its_list_all_the_same(markdown: str) -> None:
    article = assemble(f"# T\n\n{markdown}", None, [], [])

    items = [b for b in blocks_of(article.body_markdown) if b.number is not None]
    styles = {p.text: p.style.name for p in word(article).paragraphs}

    assert [(b.number, b.first) for b in items][:2] == [(1, True), (2, False)]
    assert styles["two"] == "List Number"


@given(st.text(alphabet="1.-># `*|a\n ", max_size=80))
def test_every_list_begins_with_its_first_item(markdown: str) -> None:
    blocks = blocks_of(markdown)

    open_at: set[int] = set()
    for block in blocks:
        if block.kind == "item" and block.number is not None:
            open_at |= {block.level} if block.first else set()
            assert block.level in open_at


def test_the_archive_holds_every_form_under_plain_names() -> None:
    made = bundle(demo=True)

    with zipfile.ZipFile(BytesIO(made.zip())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}

    assert sorted(files) == [
        "article.docx", "article.html", "article.md", "article.pdf", "posts.md",
        "report.json",
    ]  # fmt: skip
    assert json.loads(files["report.json"]) == json.loads(made.json())
    assert files["article.md"].decode() == made.markdown()
    assert len(PdfReader(BytesIO(files["article.pdf"])).pages) == 1


@pytest.mark.slow
def test_hostile_text_in_every_field_stays_text_in_word_and_pdf() -> None:
    payloads = rows()
    made = bundle("\n\n".join(payloads))

    document = docx.Document(BytesIO(made.docx()))
    reader = PdfReader(BytesIO(made.pdf()))

    targets = {h.address for p in document.paragraphs for h in p.hyperlinks}
    for page in reader.pages:
        targets |= {n.get_object()["/A"].get("/URI", "") for n in page.get("/Annots", [])}
        assert not {"/AA", "/JS"} & set(page)
    assert all(target.startswith(("https://", "http://", "mailto:")) for target in targets)
    assert "/JavaScript" not in str(reader.trailer["/Root"])


@pytest.mark.slow
def test_the_heavy_tools_load_only_when_a_file_is_made() -> None:
    code = "import sys, pipeline.export.bundle; print({'typst', 'docx'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
