"""Which terms a text is found by."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.knowledge.terms import (
    LANGUAGES,
    language_of,
    matches,
    query_terms,
    term_id,
    terms_of,
)

GERMAN = (
    "Die Wärmepumpe entzieht der Außenluft Wärme und gibt sie an das Haus ab. Sie ist leise, aber "
    "nicht in jedem Haus eine gute Wahl, weil alte Heizkörper mit einer hohen Temperatur arbeiten."
)
FRENCH = (
    "La pompe à chaleur est une machine qui prend la chaleur dans l'air et la donne à la maison."
)
SPANISH = "La bomba de calor es una máquina que toma el calor del aire y lo lleva a la casa con los"
ENGLISH = "The heat pump takes the heat out of the air and brings it into the house."


@pytest.mark.parametrize(
    ("text", "language"),
    [(GERMAN, "german"), (FRENCH, "french"), (SPANISH, "spanish"), (ENGLISH, "english")],
)
def test_the_language_of_a_page_is_told_by_its_commonest_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_text_that_tells_no_language_is_taken_for_english() -> None:
    assert language_of("42 • ΔT 3.5 K") == "english"


def test_a_word_is_found_in_another_form_and_its_language() -> None:
    assert set(terms_of("houses", "english")) == set(terms_of("house", "english"))
    assert query_terms("Häuser", {"german"})[0] & set(terms_of("Häusern", "german"))


def test_a_query_is_looked_for_in_every_language_of_the_documents() -> None:
    (word,) = query_terms("Heizungen", {"german", "english"})

    assert word & set(terms_of("Heizung", "german"))
    assert word & set(terms_of("heizungen", "english"))


def test_common_words_and_single_letters_find_nothing() -> None:
    assert terms_of("the a of and x y", "english") == []
    assert query_terms("what is the", {"english"}) == []


def test_words_without_spaces_between_them_are_found_by_pairs() -> None:
    assert set(terms_of("热泵", "english")) <= set(terms_of("空气源热泵系统", "english"))


def test_terms_are_the_same_numbers_for_ever() -> None:
    assert term_id("pump") == 4_392_929_317_953_479_902


def test_a_query_is_marked_where_it_stands_in_whatever_form() -> None:
    text = "Heat pumps heat the house. A pump is quiet."

    assert [text[a:b] for a, b in matches(text, "heating pump", {"english"})] == [
        "Heat",
        "pumps",
        "heat",
        "pump",
    ]


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text_finds_itself(text: str, language: str) -> None:
    terms = set(terms_of(text, language))

    assert terms <= frozenset[int]().union(*query_terms(text, {language}))


@given(st.text(), st.text())
def test_marks_are_in_order_and_apart(text: str, query: str) -> None:
    marks = matches(text, query, {"english"})

    assert all(a < b for a, b in marks)
    assert all(end <= start for (_, end), (start, _) in pairwise(marks))
