"""Chunks keep every word in order, stay small, and know where they come from."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.knowledge.chunks import LINES_MAX, Chunk, chunks_of
from pipeline.knowledge.convert import PageText

TARGET = 200
words = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12
)
lines = st.one_of(
    st.lists(words, max_size=12).map(" ".join),
    st.builds("{} {}".format, st.sampled_from(["#", "##", "###", "-", ">", "1.", "|"]), words),
    st.sampled_from(["", "", "```", "~~~py", "---", "===", "| a | b |", "|---|---|", "| c | d |"]),
    st.sampled_from(["    code", "[a]: http://b", "<div>", "- - - x", "> > y", "\ttab"]),
)
texts = st.lists(lines, max_size=40).map("\n".join)
pages_of_text = st.lists(texts, max_size=4).map(
    lambda found: [PageText(number, text) for number, text in enumerate(found, 1)]
)


def chunks(text: str, target: int = TARGET) -> list[Chunk]:
    return chunks_of([PageText(None, text)], target)


def in_order(wanted: Iterable[str], offered: Iterable[str]) -> bool:
    rest = iter(offered)
    return all(word in rest for word in wanted)


@given(pages_of_text)
@example([PageText(1, "[a]: http://b\n[c]: http://d")])
@example([PageText(1, "- a\n\n  b\n\n      c"), PageText(2, "> x\ny\n\n    z")])
def test_every_word_of_the_text_appears_in_the_chunks_in_order(pages: list[PageText]) -> None:
    wanted = [word for page in pages for word in page.markdown.split()]

    found = [word for chunk in chunks_of(pages, TARGET) for word in chunk.text.split()]

    assert in_order(wanted, found)


@given(pages_of_text)
def test_no_chunk_is_empty_or_longer_than_twice_the_target(pages: list[PageText]) -> None:
    sizes = [len(chunk.text) for chunk in chunks_of(pages, TARGET)]

    assert all(0 < size <= 2 * TARGET for size in sizes)


@given(pages_of_text)
def test_a_chunk_holds_text_of_the_page_it_names_and_of_no_later_one(pages: list[PageText]) -> None:
    on_page = {page.number: page.markdown for page in pages}

    for chunk in chunks_of(pages, TARGET):
        last_line = chunk.text.splitlines()[-1].strip()
        assert last_line in on_page[chunk.page] or last_line[:3] in ("```", "~~~")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2_000))
def test_no_character_that_can_be_seen_is_lost_whatever_the_text(text: str) -> None:
    wanted = iter("".join(text.split()))

    found = iter("".join("".join(chunk.text.split()) for chunk in chunks(text, 50)))

    assert in_order(wanted, found)


def test_the_path_names_the_headings_above() -> None:
    text = f"# Safety\n\n{'a ' * 60}\n\n## **Boilers** `x`\n\n{'b ' * 60}\n\n# Costs\n\n{'c ' * 60}"

    found = [(chunk.path, chunk.text[:8]) for chunk in chunks(text)]

    assert found == [
        ("Safety", "# Safety"),
        ("Safety › Boilers x", "## **Boi"),
        ("Costs", "# Costs\n"),
    ]


def test_headings_underlined_with_signs_are_headings() -> None:
    text = f"Safety\n======\n\n{'a ' * 60}\n\nBoilers\n---\n\n{'b ' * 60}"

    assert [chunk.path for chunk in chunks(text)] == ["Safety", "Safety › Boilers"]


def test_a_chunk_does_not_end_on_a_heading_while_text_follows() -> None:
    text = "\n\n".join(f"## Part {n}\n\n{'word ' * 37}" for n in range(20))

    found = chunks(text)

    assert len(found) == 20
    assert not any(chunk.text.splitlines()[-1].startswith("#") for chunk in found)


def test_a_heading_at_the_end_of_a_page_goes_with_the_text_on_the_next() -> None:
    pages = [PageText(1, f"{'a ' * 60}\n\n# Boilers"), PageText(2, "They are hot.")]

    found = chunks_of(pages, TARGET)

    assert [(chunk.page, chunk.path) for chunk in found] == [(1, ""), (2, "Boilers")]
    assert found[1].text == "# Boilers\n\nThey are hot."


def test_a_path_goes_on_over_pages() -> None:
    pages = [PageText(1, f"# Boilers\n\n{'a ' * 60}"), PageText(2, "More of them.")]

    assert [chunk.path for chunk in chunks_of(pages, TARGET)] == ["Boilers", "Boilers"]


def test_slides_are_never_joined_so_that_each_keeps_its_number() -> None:
    pages = [PageText(number, f"## Slide {number}\n\nShort.") for number in range(1, 6)]

    assert [chunk.page for chunk in chunks_of(pages)] == [1, 2, 3, 4, 5]


def test_tiny_sections_are_joined_under_what_they_share() -> None:
    text = "# Parts\n\n" + "\n\n".join(f"## P{n}\n\nTiny." for n in range(4))

    (only,) = chunks(text, 1_200)

    assert only.path == "Parts"


def test_the_few_words_at_the_end_of_a_section_go_with_what_is_before() -> None:
    text = "# One\n\n" + "A sentence of words. " * 10 + "\n\nEnd."

    assert all(len(chunk.text) > TARGET / 4 for chunk in chunks(text))


def test_long_paragraphs_are_cut_after_sentences() -> None:
    text = " ".join(f"This is sentence number {n}, and it ends." for n in range(40))

    found = chunks(text)

    assert len(found) > 5
    assert all(chunk.text.endswith("ends.") for chunk in found)


def test_a_table_that_is_cut_repeats_its_header() -> None:
    rows = [f"| row {n} | {n * 7} |" for n in range(40)]
    text = "\n".join(["| name | number |", "| --- | --- |", *rows])

    found = chunks(text)

    assert len(found) > 3
    assert all(chunk.text.startswith("| name | number |\n| --- | --- |\n| row") for chunk in found)
    assert [line for c in found for line in c.text.splitlines() if "row" in line] == rows


def test_code_that_is_cut_stays_code() -> None:
    code = [f"value_{n} = {n}" for n in range(60)]
    text = "\n".join(["````python", *code, "````"])

    found = chunks(text)

    assert len(found) > 3
    assert all(c.text.startswith("````python\n") and c.text.endswith("\n````") for c in found)
    assert [line for c in found for line in c.text.splitlines() if "=" in line] == code


def test_a_hash_inside_code_is_no_heading() -> None:
    assert [chunk.path for chunk in chunks("# Top\n\n```\n# not a heading\n```\n\nText.")] == [
        "Top"
    ]


def test_hundreds_of_headings_without_text_are_cut_like_text() -> None:
    found = chunks("\n".join(f"# Figure {n}" for n in range(300)))

    assert all(len(chunk.text) <= 2 * TARGET for chunk in found)


def test_a_text_of_more_lines_than_are_looked_at_is_cut_between_lines() -> None:
    text = "# Top\n" + "a line\n" * (LINES_MAX + 1)

    found = chunks(text, 1_200)

    assert all(chunk.text.endswith("a line") for chunk in found)
    assert sum(chunk.text.count("a line") for chunk in found) == LINES_MAX + 1


def test_the_same_text_gives_the_same_chunks() -> None:
    text = "# A\n\n" + "word " * 500

    assert chunks(text) == chunks(text)


HOSTILE = {
    "one paragraph": "word " * 400_000,
    "no space": "x" * 2_000_000,
    "nested quotations": "> " * 1_000_000,
    "quotations of fifty levels": ("> " * 50 + "x\n") * 20_000,
    "nested lists": "- " * 1_000_000,
    "ever deeper lists": "".join(f"{'  ' * n}- a\n" for n in range(1_400)),
    "link definitions": "[a]: b\n" * 99_000,
    "brackets": "[" * 2_000_000,
    "stars": "*" * 2_000_000,
    "backticks": "`" * 2_000_000,
    "columns": "|" * 1_000_000 + "\n" + "|-" * 500_000,
    "headings": "# a\n" * 90_000,
    "an underline at the end": "a\n" * 90_000 + "===",
    "lazy lines": "> a\n" + "b\n" * 90_000,
    "line ends": "\n" * 2_000_000,
    "spaces": " " * 2_000_000,
    "quotation marks after a full stop": "." + '"' * 2_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    """A generous bound: quadratic time would be minutes."""
    before = time.process_time()

    found = chunks_of([PageText(None, text)])

    assert time.process_time() - before < 20
    assert all(len(chunk.text) <= 2_400 for chunk in found)


def test_numbers_of_pages_never_go_back() -> None:
    pages = [PageText(n, f"# H{n}\n\n{'text ' * (n * 20)}") for n in range(1, 10)]

    numbers = [chunk.page or 0 for chunk in chunks_of(pages, TARGET)]

    assert all(one <= two for one, two in itertools.pairwise(numbers))
