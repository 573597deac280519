"""Text files: the bytes decide the encoding, the characters stay what they are."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.knowledge.convert import LIMITS, Converted, DocumentError, Limits, PageText
from pipeline.knowledge.convert.text import bounded, clean, decoded, read_text

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]))
DATA = Path(__file__).parents[2] / "data"


def text_of(data: bytes, name: str = "notes.txt") -> str:
    return read_text(data, name, "txt").pages[0].markdown


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@given(text=PRINTABLE)
def test_unicode_comes_back_as_it_was_written(encoding: str, text: str) -> None:
    told = decoded((f"x{text}").encode(encoding))

    assert told[0] == f"x{text}"


@pytest.mark.parametrize(
    ("mark", "encoding"), [(codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_BE, "utf-32-be")]
)
def test_a_byte_order_mark_is_obeyed_and_left_out(mark: bytes, encoding: str) -> None:
    assert text_of(mark + "Zażółć".encode(encoding)) == "Zażółć"


def test_what_is_not_utf_8_is_read_as_windows_1252_and_said() -> None:
    converted = read_text("“Größe” – 5 €".encode("cp1252"), "notes.txt", "txt")

    assert converted.pages[0].markdown == "“Größe” – 5 €"
    assert converted.warnings == ("It is not UTF-8; it was read as Windows-1252.",)


def test_characters_that_could_not_be_read_are_counted() -> None:
    _, warnings = decoded(b"caf\xe9 \x81\x8d")

    assert warnings[1] == "2 characters could not be read and show as \ufffd."


@given(st.text())
def test_no_control_character_or_surrogate_is_left(text: str) -> None:
    cleaned = clean(text)

    assert cleaned.encode() == cleaned.encode("utf-8", "strict")
    assert not any(ord(c) < 32 and c not in "\t\n" for c in cleaned)
    assert "\x7f" not in cleaned and "\x00" not in cleaned


def test_every_kind_of_line_end_becomes_one() -> None:
    assert clean("a\r\nb\rc\u2028d\x0ce") == "a\nb\nc\nd\ne"


def test_a_markdown_file_is_titled_by_its_first_heading() -> None:
    converted = read_text(b"\n# Heat *pumps* #\n\nText", "x.md", "md")

    assert converted == Converted("Heat *pumps*", "md", converted.pages)


def test_front_matter_gives_the_title_and_is_no_heading() -> None:
    data = b'---\ntitle: "Heat pumps"\ntags: [a]\n---\n# Boilers\n\nText'

    converted = read_text(data, "x.md", "md")

    assert converted.title == "Heat pumps"
    assert converted.pages[0].markdown == (
        '```\ntitle: "Heat pumps"\ntags: [a]\n```\n\n# Boilers\n\nText'
    )


def test_a_hostile_heading_is_titled_in_time() -> None:
    text = b"# a" + b"# " * 1_000_000 + b"x"

    assert len(read_text(text, "x.md", "md").title) == 300


def test_a_text_file_is_titled_by_its_name() -> None:
    assert read_text(b"# no heading here", "Heat pumps.txt", "txt").title == "Heat pumps"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\plan.txt", "plan"),
        ("a\x00b\u2028c\ud800.txt", "ab c\ufffd"),
        ("", "Untitled document"),
        ("x" * 5_000, "x" * 300),
    ],
)
def test_a_name_is_words_and_no_path(name: str, title: str) -> None:
    assert read_text(b"text", name, "txt").title == title


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_pages_without_text_are_refused_as_empty(text: str) -> None:
    with pytest.raises(DocumentError) as refused:
        bounded((PageText(1, text), PageText(2, "")), LIMITS)

    assert refused.value.reason == "empty"


def test_more_text_than_the_limit_is_refused() -> None:
    with pytest.raises(DocumentError) as refused:
        bounded((PageText(1, "xxxxxx"), PageText(2, "xxxxx")), Limits(max_text_chars=10))

    assert refused.value.reason == "too_large"


@pytest.mark.parametrize("file", ["xss.txt", "blns.txt", "inject.txt"])
def test_hostile_lines_come_through_unchanged(file: str) -> None:
    data = (DATA / file).read_bytes()
    clean_lines = [line for line in data.decode().split("\n") if clean(line) == line]

    found = text_of(data).split("\n")

    assert len(clean_lines) > 10
    assert [line for line in clean_lines if line not in set(found)] == []
