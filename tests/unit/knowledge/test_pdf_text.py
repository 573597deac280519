"""Lines of a PDF's page become paragraphs and headings; no word is lost. And the Markdown all readers write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.knowledge.convert import convert, page_lines
from pipeline.knowledge.convert.markdown import as_text, fenced, heading, joined, list_item, table
from pipeline.knowledge.convert.page_lines import Headings, Margins
from tests.unit.knowledge import files
from tests.unit.knowledge.hostile import HOSTILE_LINES

NONE = Headings("")
LONG = "a line as long as the page is wide, more or less"
LINES = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=60)
)


def page_markdown(text: str, headings: Headings, pages: Sequence[str] = ()) -> str:
    return page_lines.page_markdown(text, headings, Margins(pages))


def block_types(markdown: str) -> list[str]:
    return [token.type for token in MarkdownIt("commonmark").enable("table").parse(markdown)]


def test_lines_that_fill_the_page_go_on_and_short_ones_end() -> None:
    text = f"{LONG}\n{LONG}\nshort end.\n{LONG}\nend."

    assert page_markdown(text, NONE) == f"{LONG} {LONG} short end.\n{LONG} end."


def test_items_of_a_list_stay_lines() -> None:
    text = f"{LONG}\n• {LONG}\n• {LONG}\n1. {LONG}"

    assert page_markdown(text, NONE).split("\n") == [LONG, f"• {LONG}", f"• {LONG}", f"1. {LONG}"]


@pytest.mark.parametrize("hyphen", ["-", "\u00ad", "\u2010"])
def test_a_word_broken_at_the_end_of_a_line_is_joined(hyphen: str) -> None:
    assert page_markdown(f"the charac{hyphen}\nter of it", NONE) == "the character of it"


def test_a_hyphen_before_a_capital_stays() -> None:
    assert "Rhine-" in page_markdown("along the Rhine-\nMain line", NONE)


def test_headings_are_marked_where_they_stand_and_once() -> None:
    headings = Headings("# Heat\n\ntext\n\n## 1\\. The \\<boilers\\> of\n\nHeat")

    found = page_markdown("Heat\ntext\n1. The <boilers> of\nHeat", headings)

    assert found == "# Heat\n\ntext\n\n## 1. The <boilers> of\n\nHeat"


def test_a_heading_over_several_lines_is_one() -> None:
    headings = Headings("# A heading of two lines")

    assert (
        page_markdown("A heading of\ntwo lines\ntext", headings)
        == "# A heading of two lines\n\ntext"
    )


def test_headings_go_on_over_pages() -> None:
    headings = Headings("# One\n\n# Two")

    assert page_markdown("One\na", headings) == "# One\n\na"
    assert page_markdown("Two\nb", headings) == "# Two\n\nb"


def pages_markdown(pages: Sequence[str], headings: str = "") -> list[str]:
    found, margins = Headings(headings), Margins(pages)
    return [page_lines.page_markdown(page, found, margins) for page in pages]


def test_running_titles_are_kept_once_and_page_numbers_never() -> None:
    pages = [f"The Heat Book\n{LONG} {'abc'[n]}.\nChapter of heat {n}\n- {n} -" for n in range(3)]

    assert pages_markdown(pages) == [
        f"The Heat Book\n{LONG} a. Chapter of heat 0",
        f"{LONG} b.",
        f"{LONG} c.",
    ]


def test_headings_at_the_top_of_pages_are_no_running_titles() -> None:
    pages = [f"Chapter {n}\nText {'abcd'[n]}." for n in range(4)]

    found = pages_markdown(pages, "\n\n".join(f"# Chapter {n}" for n in range(4)))

    assert found == [f"# Chapter {n}\n\nText {'abcd'[n]}." for n in range(4)]


def test_a_page_of_one_line_keeps_it() -> None:
    assert pages_markdown(["draft"] * 5) == ["draft"] * 5


def test_lines_in_the_middle_of_pages_may_repeat() -> None:
    page = "a\nb\nagain\nc\nd"

    assert all("again" in text for text in pages_markdown([page] * 5))


@given(LINES, LINES)
def test_no_character_is_lost_but_line_end_hyphens(
    lines: Sequence[str], titles: Sequence[str]
) -> None:
    found = page_markdown("\n".join(lines), Headings("\n".join(f"# {title}" for title in titles)))

    def seen(text: str) -> str:
        return "".join(c for c in text if not c.isspace() and c not in "-\u00ad\u2010\\#")

    assert seen(found) == seen("\n".join(lines))


@given(st.text(max_size=200))
def test_text_never_becomes_a_heading_code_or_a_table(text: str) -> None:
    types = set(block_types(as_text(text)))

    assert not types & {"heading_open", "fence", "code_block", "table_open"}


@pytest.mark.parametrize(
    "line", ["# x", "#", "```", "~~~ x", "===", "---", "| - | - |", "-|-", ":--|"]
)
def test_a_line_that_would_be_markup_gets_a_backslash(line: str) -> None:
    assert as_text(f"text\n{line}") == f"text\n\\{line}"


def test_a_line_that_is_only_text_stays_as_it_is() -> None:
    text = "#hashtag\n- item\n> 5\n*x* _y_ `z` <b> [a](b)\n1. one"

    assert as_text(text).split("\n") == [line.strip() for line in text.split("\n")]


def test_code_with_fences_in_it_gets_a_longer_one() -> None:
    assert block_types(fenced("a\n````\nb")) == ["fence"]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([["one"]], "one"),
        ([["a", "b"]], "a\nb"),
        ([["a"], ["b"]], "a\nb"),
        ([["a", ""], ["", ""], ["c", "d"]], "| a |  |\n| --- | --- |\n| c | d |"),
        ([["a\nb", "c"], ["d"]], "| a b | c |\n| --- | --- |\n| d |  |"),
    ],
)
def test_tables_of_every_shape(rows: list[list[str]], text: str) -> None:
    assert table(rows) == text


@given(st.lists(st.lists(st.text(max_size=10), min_size=2, max_size=4), min_size=2, max_size=5))
def test_a_table_has_as_many_rows_as_it_shows(rows: list[list[str]]) -> None:
    written = table([["head", "line"], ["first", "row"], *rows])

    types = block_types(written)
    shown = [row for row in rows if any(cell.strip() for cell in row)]
    assert types.count("table_open") == 1
    assert types.count("tr_open") == 2 + len(shown)


def test_a_heading_is_one_line_of_a_bounded_level() -> None:
    assert heading(9, " a\nb ") == "###### a b"
    assert heading(0, "a") == "# a"
    assert heading(1, "x" * 2_000) == "x" * 2_000
    assert heading(2, " \n ") == ""


def test_items_of_one_list_stand_together() -> None:
    assert joined(["a", list_item("x"), list_item("y", 1), "", "b"]) == "a\n\n- x\n  - y\n\nb"


async def read(folder: Path, data: bytes):
    path = folder / "x.pdf"
    path.write_bytes(data)
    return await convert(path, "x.pdf")


async def test_pages_that_are_pictures_are_named_and_empty_ones_are_not(tmp_path: Path) -> None:
    data = files.appended(
        files.pdf("Words.", ""), files.scanned_pdf(pages=2), files.pdf("More words.")
    )

    found = await read(tmp_path, data)

    texts = [(page.number, page.markdown) for page in found.pages]
    assert texts == [(1, "Words."), (2, ""), (3, ""), (4, ""), (5, "More words.")]
    assert found.warnings[0].startswith("Pages without text, which are pictures or scans: 3, 4. ")


async def test_a_file_that_only_its_owner_may_change_is_read(tmp_path: Path) -> None:
    found = await read(tmp_path, files.encrypted_pdf("", "RC4-128"))

    assert found.pages[0].markdown == "# Secret\n\nThe text of it."


async def test_the_same_word_on_every_page_is_text_where_there_are_no_pictures(
    tmp_path: Path,
) -> None:
    found = await read(tmp_path, files.pdf(*["draft"] * 5))

    assert [page.markdown for page in found.pages] == ["draft"] * 5


async def test_hostile_lines_in_a_pdf_come_through_unchanged(tmp_path: Path) -> None:
    """Each on a page of its own; only letters that the fonts have."""
    lines = [line.strip() for line in HOSTILE_LINES if line.isascii() and len(line) < 70]
    wanted = [line for line in lines if sum(map(str.isalpha, line)) > 3][:150]

    found = await read(tmp_path, files.pdf(*map(files.typst_text, wanted)))

    shown = ["".join(page.markdown.lstrip("# ").removeprefix("\\").split()) for page in found.pages]
    assert shown == ["".join(line.lstrip("# ").split()) for line in wanted]


@pytest.mark.parametrize(
    "date", ["D:2015年3月16日", "2015年3月16日星期一", "D:2015031610ÄÖÜ0", "gestern früh"]
)
async def test_a_date_that_is_none_does_not_keep_a_file_from_being_read(
    tmp_path: Path, date: str
) -> None:
    found = await read(tmp_path, files.dated_pdf(date))

    assert found.pages[0].markdown == "# Boilers\n\nThey are hot."


async def test_its_title_is_the_files_own(tmp_path: Path) -> None:
    found = await read(tmp_path, files.pdf("text", title="Heat\u202e & more"))

    assert found.title == "Heat\u202e & more"
