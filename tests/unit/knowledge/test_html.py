"""HTML becomes its visible text; nothing is fetched and nothing hidden gets in."""

from __future__ import annotations

import html
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.knowledge.convert import DocumentError
from pipeline.knowledge.convert.html import read_html
from tests.unit.knowledge.hostile import HOSTILE_LINES


def text_of(source: str | bytes) -> str:
    data = source.encode() if isinstance(source, str) else source
    return read_html(data, "page.html").pages[0].markdown


def test_headings_lists_tables_and_code_become_markdown() -> None:
    page = """<!doctype html><title>Heat</title><body><h1>Boilers <em>now</em></h1>
    <p>They  are
    hot.<br>Very.</p><h2>Parts</h2><ul><li>burner<ul><li>jet</li></ul></li><li><p>flue</p></li></ul>
    <table><tr><th>part</th><th>price</th></tr><tr><td>flue</td><td>a|b</td></tr></table>
    <pre><code>if x:
    # not a heading
    y()</code></pre><blockquote>Quoted.</blockquote>"""

    assert text_of(page) == (
        "# Boilers now\n\nThey are hot.\nVery.\n\n## Parts\n\n- burner\n  - jet\n- flue\n\n"
        "| part | price |\n| --- | --- |\n| flue | a\\|b |\n\n"
        "```\nif x:\n    # not a heading\n    y()\n```\n\nQuoted."
    )
    assert read_html(page.encode(), "x.html").title == "Heat"


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>secret</script>",
        "<script>var a = '<p>secret</p>'</script>",
        "<style>secret</style>",
        "<noscript>secret</noscript>",
        "<template>secret</template>",
        "<svg><text>secret</text></svg>",
        "<iframe srcdoc='secret'>secret</iframe>",
        "<object>secret</object>",
        "<textarea>secret</textarea>",
        "<!-- secret -->",
        "<?php secret ?>",
        "<p hidden>secret</p>",
        "<div hidden><p>secret</p><ul><li>secret</ul></div>",
        "<p style='color:red; DISPLAY : none'>secret</p>",
        "<p style='visibility:hidden'>secret</p>",
        "<span style='font-size:0'>secret</span>",
        "<span style='opacity:0;'>secret</span>",
        "<table hidden><tr><td>secret<td>secret</table>",
        "<table><tr><td>a<td hidden>secret<tr><td>b<td>c</table>",
        "<pre>a<span hidden>secret</span></pre>",
        "<input type=hidden value=secret>",
        "<img alt=secret src=secret>",
        "<a href='javascript:secret' title=secret>a</a>",
    ],
)
def test_what_a_reader_of_the_page_does_not_see_is_left_out(hidden: str) -> None:
    found = text_of(f"<html><body><p>before</p>{hidden}<p>after</p>")

    assert "secret" not in found
    assert found.startswith("before") and found.endswith("after")


def test_what_is_only_small_or_faint_is_kept() -> None:
    assert text_of("<html><p style='font-size:0.5em;opacity:0.4'>small print") == "small print"


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    page = (
        '<!DOCTYPE html PUBLIC "x" "http://127.0.0.1:9/x.dtd" [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
        '<html><head><base href="http://127.0.0.1:9/"><link rel=stylesheet href=x.css>'
        '<meta http-equiv=refresh content="0;url=http://127.0.0.1:9/">'
        "</head><body><img src=x.png><iframe src=y></iframe><p>text &a;"
    )

    assert text_of(page).endswith("text &a;")


def test_hostile_lines_as_text_come_through_unchanged() -> None:
    lines = [line for line in HOSTILE_LINES if all(c.isprintable() for c in line)]

    found = text_of("<html>" + "".join(f"<p>{html.escape(line)}</p>" for line in lines))

    shown = [line.removeprefix("\\") for line in found.split("\n\n")]
    assert shown == [" ".join(line.split()) for line in lines]


def test_hostile_lines_as_markup_are_read_without_harm() -> None:
    for line in HOSTILE_LINES:
        found = text_of(f"<html><p>before</p><div>{line.encode('utf-8', 'replace').decode()}</div>")

        assert found.startswith("before")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_page_or_an_empty_one(data: bytes) -> None:
    found = read_html(data, "x.html")

    assert found.kind == "html"
    found.pages[0].markdown.encode()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<html><p>Größe".encode("cp1252"), "Größe"),
        ('<html><meta charset="iso-8859-2"><p>Zażółć'.encode("iso-8859-2"), "Zażółć"),
        (
            '<html><meta http-equiv=x content="text/html; charset=windows-1251"><p>Тепло'.encode(
                "cp1251"
            ),
            "Тепло",
        ),
        ('<html><meta charset="shift_jis"><p>田中さん'.encode("shift_jis"), "田中さん"),
        ('<html><meta charset="iso-8859-1"><p>Größe'.encode(), "Größe"),
        ('<html><meta charset="unicode_escape"><p>\\x41é'.encode("cp1252"), "\\x41é"),
        ('<?xml version="1.0" encoding="utf-8"?><html><p>Größe'.encode(), "Größe"),
        ("<html><p>Größe".encode("utf-16"), "Größe"),
    ],
)
def test_the_encoding_is_found(source: bytes, text: str) -> None:
    assert text_of(source) == text


LONG_PAGES = {
    "nested": "<div>" * 2_000 + "deep",
    "attributes": f"<p {'a=b ' * 200_000}>deep",
    "words": "<p>word " * 200_000 + "deep",
    "cells": "<table>" + "<tr>" * 1_000 + "<td>x" * 50_000 + "</table>deep",
    "closed again": "<a><b><i></i></b></a>" * 50_000 + "deep",
}


@pytest.mark.slow
@pytest.mark.parametrize("page", LONG_PAGES.values(), ids=LONG_PAGES.keys())
def test_long_pages_are_read_in_time_and_to_their_end(page: str) -> None:
    before = time.process_time()

    found = text_of(f"<html>{page}")

    assert "deep" in found
    assert time.process_time() - before < 20


@pytest.mark.parametrize("tags", ["<div>", "<ul><li>", "<table><tr><td>", "<a><b><i>"])
def test_a_page_that_nests_too_deep_is_refused_rather_than_cut(tags: str) -> None:
    with pytest.raises(DocumentError) as refused:
        text_of("<html>before" + tags * 50_000 + "deep")

    assert refused.value.reason == "broken"
