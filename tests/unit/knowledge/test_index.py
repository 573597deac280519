"""Passages ranked by words, and whether they are about the query at all."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pipeline.knowledge.index import OwnerIndex, from_bytes, to_bytes
from pipeline.knowledge.terms import terms_of

PASSAGES = (
    "A heat pump moves heat from the cold air outside into the house.",
    "Bees in the city find flowers on balconies, in parks and on roofs.",
    "A code review finds mistakes before they reach the people who use the program.",
    "The pump of a heating system runs for most of the winter.",
)


def index_of(*texts: str, language: str = "english") -> OwnerIndex:
    places = [("d", at) for at in range(len(texts))]
    terms = [from_bytes(to_bytes(terms_of(text, language))) for text in texts]
    return OwnerIndex(1, places, terms, {language})


def found(index: OwnerIndex, query: str, limit: int = 10) -> list[int]:
    return [one.place[1] for one in index.best(query, limit)]


def test_the_passage_with_most_of_the_query_comes_first() -> None:
    assert found(index_of(*PASSAGES), "heat pumps for cold air") == [0, 3]


def test_what_no_passage_is_about_finds_nothing() -> None:
    index = index_of(*PASSAGES)

    assert found(index, "the history of the Roman senate and its people") == []
    assert found(index, "") == []
    assert found(index, "the of and") == []


def test_words_that_stand_in_any_question_prove_nothing_beside_telling_ones() -> None:
    index = index_of("Good tips for people who plan a week of work.", *PASSAGES)

    assert found(index, "good tips for people who keep goldfish") == []


def test_a_small_collection_about_one_thing_is_not_held_against_it() -> None:
    index = index_of("The heat pump is quiet.", "The heat pump is dear.", "A heat pump lasts.")

    assert found(index, "heat pump noise in winter nights") == [0, 1, 2]


def test_an_owner_without_passages_finds_nothing() -> None:
    assert found(index_of(), "anything") == []
    assert found(index_of("", "the of"), "anything") == []


@given(
    st.lists(st.text(alphabet="abc ", max_size=30), max_size=8),
    st.text(alphabet="abc ", max_size=12),
)
def test_ranks_are_the_same_every_time_and_never_too_many(texts: Sequence[str], query: str) -> None:
    first, again = index_of(*texts).best(query, 3), index_of(*texts).best(query, 3)

    assert first == again
    assert len(first) <= 3
    assert [one.score for one in first] == sorted((one.score for one in first), reverse=True)
