"""Keys stay out of what is stored, shown or logged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.redaction import HIDDEN, redact, remember_secret, without_known

KEY = "canary-7f3a9b2e5d1c4860"


@pytest.mark.parametrize(
    "text",
    [f"Incorrect API key provided: {KEY}.", f'{{"authorization": "{KEY}"}}', KEY, f"{KEY}{KEY}"],
)
def test_a_value_that_is_known_is_hidden_wherever_it_stands(text: str) -> None:
    remember_secret(KEY)

    assert KEY not in without_known(text)
    assert KEY.encode() not in without_known(text.encode())
    assert HIDDEN in redact(text)


def test_a_key_is_found_in_json_too_where_it_is_written_otherwise() -> None:
    awkward = 'quote"and\\back-12345'
    remember_secret(awkward)

    hidden = without_known(json.dumps({"error": f"no {awkward}, sorry"}).encode())

    assert json.loads(hidden) == {"error": f"no {HIDDEN}, sorry"}


@pytest.mark.parametrize("word", ["not-needed", "ollama", "none", "password", "", "  "])
def test_a_placeholder_is_no_secret(word: str) -> None:
    remember_secret(word)

    assert without_known(f"The {word} is a word.") == f"The {word} is a word."


@given(st.text(), st.text())
def test_the_rest_of_a_text_stays_as_it_was(before: str, after: str) -> None:
    remember_secret(KEY)

    assert without_known(f"{before}{KEY}{after}") == f"{before}{HIDDEN}{after}"


def test_a_key_that_holds_another_is_hidden_whole() -> None:
    remember_secret("inner-secret-1234")
    remember_secret("outer-inner-secret-1234-outer")

    assert without_known("outer-inner-secret-1234-outer") == HIDDEN


@pytest.mark.parametrize(
    "text",
    ["Bearer abcdef123456", "sk-proj-abc123", "eyJhbGciOi.eyJzdWIi.c2ln", "AIzaSyA1234567890"],
)
def test_what_looks_like_a_key_is_hidden_in_short_texts_for_people(text: str) -> None:
    assert redact(f"said {text} today") == f"said {HIDDEN} today"
