"""What is made of a page's HTML, and that no page makes it take long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.page import PARTS_MAX, extracted

URL = "https://www.site.example/a"
WORDS = "Words that make up a sentence. "
TAGS = [
    "<p>",
    "</p>",
    "<h2>",
    "</h2>",
    "<li>",
    "<ul>",
    "</ul>",
    "<table>",
    "<td>",
    "<script>",
    "</script>",
    "<!--",
]


def test_a_page_of_many_parts_keeps_title_headings_and_words_and_loses_menus_and_scripts() -> None:
    section = f"<h2>Part</h2><p>{WORDS}</p>"
    html = (
        f"<title>Long</title><body><nav><p>Menu</p></nav><script>go()</script>{section * PARTS_MAX}"
    )

    page = extracted(html, URL)

    assert page.title == "Long"
    assert page.text.startswith("## Part\n\nWords that")
    assert "Menu" not in page.text
    assert "go()" not in page.text


def test_words_outside_paragraphs_are_read_without_scripts() -> None:
    page = extracted(f"<body><script>go()</script><div>{WORDS}<span>More.</span></div>", URL)

    assert "sentence. More." in " ".join(page.text.split())
    assert "go()" not in page.text


@pytest.mark.parametrize("html", ["", " ", "<!-- -->", "<html>", "<body><script>x</script>"])
def test_a_page_without_text_gives_none(html: str) -> None:
    assert extracted(html, URL).text == ""


@given(st.lists(st.one_of(st.sampled_from(TAGS), st.text(max_size=20)), max_size=30).map("".join))
def test_any_html_is_taken_apart(html: str) -> None:
    extracted(html, URL)


def test_a_page_that_nests_deeper_than_usual_is_read_to_its_end() -> None:
    page = extracted(f"<body><h1>Top</h1>{'<div>' * 600}<p>{WORDS * 9}</p><p>The end.</p>", URL)

    assert "The end." in page.text
