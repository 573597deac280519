import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.content.inert import WORD_JOINER, clean_text, escape_markdown, inert_markdown
from pipeline.content.prose import map_prose, pieces, prose_of


@pytest.mark.parametrize(
    ("hostile", "inert"),
    [
        ("a <b>x</b>", "a &lt;b>x&lt;/b>"),
        (r"a \<b>", "a &lt;b>"),
        ("1 < 2 and x<y", "1 < 2 and x&lt;y"),
        ("`<b>` stays", "`<b>` stays"),
        ("![p](https://a.example/x)", "(picture left out: p)"),
        ("![p][r]", r"\![p][r]"),
        ("[x](javascript:alert(1))", r"[x\](javascript:alert(1))"),
        ("[x](&#106;avascript:alert(1))", r"[x\](&#106;avascript:alert(1))"),
        ("[x](/etc)", r"[x\](/etc)"),
        ("[x](https://a.example/)", "[x](https://a.example/)"),
        ("[x][r]\n\n[r]: javascript:alert(1)", "[x][r]\n\n\\[r]: javascript:alert(1)"),
        ("<https://a.example/>", "&lt;https://a.example/>"),
        ("a\x00b\ud800c", "ab�c"),
    ],
)
def test_active_markdown_becomes_text(hostile: str, inert: str) -> None:
    assert inert_markdown(hostile) == inert
    assert inert_markdown(inert) == inert


def test_what_the_patterns_miss_becomes_plain_text() -> None:
    text = "`` ` <b> ` <i>x</i> ``` <u> `"  # code to one reader, markup to another

    html = MarkdownIt("commonmark", {"html": True}).render(inert_markdown(text))

    assert not any(tag in html for tag in ("<b>", "<i>", "<u>"))


def test_formatting_stays() -> None:
    text = (
        "# T\n\n*a* **b** `c`\n\n- d\n\n> e\n\n| f | g |\n|---|---|\n| h | i |\n\n```\n<x>\n```\n"
    )

    assert inert_markdown(text) == text


@given(st.text(alphabet=st.sampled_from(list("ab<>![]()`~\\/:#&;- \n'\"=1.")), max_size=60))
def test_no_text_gets_an_element_a_picture_or_a_bad_link_through(text: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).render(inert_markdown(text))

    plain = MarkdownIt("commonmark", {"html": False}).render(inert_markdown(text))
    assert html == plain
    assert "<img" not in html


@given(st.text())
def test_one_line_shows_exactly_its_words(text: str) -> None:
    words = " ".join(clean_text(text).split())

    assert shown(escape_markdown(text)).replace(WORD_JOINER, "") == words.replace(WORD_JOINER, "")


# What Streamlit's renderer (mdast-util-gfm-autolink-literal) makes links of, in text it has read.
BARE_URL = re.compile(r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", re.IGNORECASE)
BARE_EMAIL = re.compile(r"([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)")


@given(
    st.lists(
        st.sampled_from([*"aW.:/@-_ &\\<\u2060", "http", "HTTPS", "://", "www.", "1", "&#58;"])
    ).map("".join)
)
@example("http://127.0.0.1:1/v1: nothing answers")
@example("see www.example.org, or write to me@example.org")
def test_no_word_of_a_line_becomes_a_link(text: str) -> None:
    read = shown(escape_markdown(text))

    assert not BARE_URL.search(read)
    assert not BARE_EMAIL.search(read)


def shown(line: str) -> str:
    """What a renderer reads from one line: entities and escapes undone."""
    (_open, inline, _close) = MarkdownIt("commonmark").parse("# " + line)
    return "".join(child.content for child in inline.children or [])


@given(st.text(alphabet=st.sampled_from(list("a`~\n \\[")), max_size=80))
def test_pieces_joined_are_the_text_again(text: str) -> None:
    assert "".join(piece.text for piece in pieces(text)) == text
    assert map_prose(text, lambda prose: prose) == text


def test_an_unclosed_fence_is_code_to_the_end() -> None:
    assert prose_of("a\n~~~\nb `c`\n") == "a\n "
