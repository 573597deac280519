"""The article on the page: citations lead to their source, and nothing a model wrote does."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from pipeline.content.article import Article, assemble
from pipeline.export.page import ANCHOR, page_markdown, page_sources
from tests.unit.export.hostile import active_content, rows
from tests.unit.export.samples import SOURCE, bundle

_careless = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def article(text: str) -> Article:
    return assemble(text, None, [SOURCE], [])


def shown(text: str) -> str:
    return str(_careless.render(page_markdown(article(text))))


def test_a_citation_leads_to_its_entry_in_the_list() -> None:
    made = article("# Roofs\n\nHeat leaves [Saaaa1].\n")

    assert f'<a href="#{ANCHOR}1">[1]</a>' in _careless.render(page_markdown(made))
    assert f'<li id="{ANCHOR}1">' in page_sources(made.sources)
    assert 'href="https://example.org/roofs"' in page_sources(made.sources)
    assert 'target="_blank"' in page_sources(made.sources)


@pytest.mark.parametrize(
    "words",
    [
        f"[a](#{ANCHOR}1)",
        "[a](#source-1)",
        "[a](<#source-1>)",
        "![a](#source-1)",
        f"[a]: #{ANCHOR}1\n\n[a]",
        f'<a id="{ANCHOR}1" href="#x">a</a>',
        rf"[\[1\]](#{ANCHOR}1)",
        f"<#{ANCHOR}1>",
    ],
)
def test_a_link_into_the_page_that_a_model_wrote_stays_text(words: str) -> None:
    html = shown(f"# T\n\nCited [Saaaa1].\n\n{words}\n")

    assert re.findall(r"<a [^>]*>", html) == [f'<a href="#{ANCHOR}1">']
    assert " id=" not in re.sub(r"&lt;.*?&gt;", "", html).replace("&quot;", "")


def test_every_heading_stands_below_the_pages_own() -> None:
    html = shown("# T\n\n## A\n\n# Second\n\nUnder\n=====\n\nLine\n---\n\n###### F\n\n- x\n---\n")

    levels = re.findall(r"<(h\d)>([^<]*)", html)
    assert levels == [
        ("h2", "T"),
        ("h3", "A"),
        ("h3", "Second"),
        ("h3", "Under"),
        ("h3", "Line"),
        ("h6", "F"),
    ]


def test_code_keeps_its_signs() -> None:
    assert "# not a heading" in page_markdown(article("# T\n\n```\n# not a heading\n```\n"))


@pytest.mark.slow
@pytest.mark.parametrize("payload", rows())
def test_hostile_text_is_inert_on_the_page(payload: str) -> None:
    made = bundle(payload, marks=(f"Missing {payload}",)).article

    assert made is not None
    html = _careless.render(page_markdown(made))
    assert set(active_content(html)) <= {f"a href=#{ANCHOR}1"}
    assert active_content(page_sources(made.sources)) == []
    assert set(re.findall(r'href="#([^"]*)"', html)) <= {f"{ANCHOR}1"}
