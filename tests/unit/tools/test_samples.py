"""The bundled collection, and that a search in it can come back empty."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tools.samples import TOP_PASSAGES, documents, find_passages
from pipeline.tools.search import PassageIndex

SHELVES = ("web", "knowledge")
SAMPLE_THEMES = ("heat pumps", "code reviews", "urban beekeeping")


def test_the_collection_has_both_shelves_and_rich_sample_themes() -> None:
    by_shelf = {shelf: [d for d in documents() if d.shelf == shelf] for shelf in SHELVES}
    assert min(map(len, by_shelf.values())) >= 10
    for theme in SAMPLE_THEMES:
        assert sum(theme in document.tags for document in documents()) >= 4


@pytest.mark.parametrize("document", documents(), ids=lambda d: d.name)
def test_an_article_is_of_reading_length_in_several_passages(document: object) -> None:
    passages = document.passages  # type: ignore[attr-defined]
    words = sum(len(passage.passage.split()) for passage in passages)

    assert 150 <= words <= 350
    assert len(passages) >= 3


def test_ids_are_unique_over_the_whole_collection() -> None:
    ids = [passage.id for document in documents() for passage in document.passages]

    assert len(set(ids)) == len(ids)


def test_an_id_depends_on_the_words_alone() -> None:
    (found,) = [d for d in documents() if d.name == "worm-bins"]

    # changes only with the text of the passage or the name of the document
    assert found.passages[0].id == "S9127025bdd"


@pytest.mark.parametrize("shelf", SHELVES)
@pytest.mark.parametrize(
    ("query", "theme"),
    [
        ("heat pumps in old buildings", "heat pumps"),
        ("radiator size and flow temperature for a heat pump retrofit", "heat pumps"),
        ("how small teams can run useful code reviews", "code reviews"),
        ("urban beekeeping for beginners common mistakes", "urban beekeeping"),
        ("composting kitchen waste", "home composting"),
        ("Bicycle commuting", "bicycle commuting"),
    ],
)
def test_a_search_finds_passages_of_its_theme_only(shelf: str, query: str, theme: str) -> None:
    of_theme = {
        passage.id
        for document in documents()
        if theme in document.tags
        for passage in document.passages
    }

    found = find_passages(query, shelf)

    assert 1 <= len(found) <= TOP_PASSAGES
    assert {passage.id for passage in found} <= of_theme


@pytest.mark.parametrize("shelf", SHELVES)
@pytest.mark.parametrize(
    "query",
    [
        "medieval falconry common problems",
        "quantum computing for chess players",
        "how to choose a used car",
        "planning a wedding on a small budget",
        "learning guitar as an adult",
        "best practices and tips for beginners: step by step guide",
        "the of and",
        "!!!",
        "量子计算机",
    ],
)
def test_an_unrelated_topic_finds_nothing(shelf: str, query: str) -> None:
    assert find_passages(query, shelf) == []


@given(st.text(max_size=300), st.sampled_from(SHELVES))
def test_any_query_is_answered(query: str, shelf: str) -> None:
    assert len(find_passages(query, shelf)) <= TOP_PASSAGES


def test_threads_searching_at_once_all_get_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: find_passages("heat pumps", "web"), range(40)))

    assert all(result == found[0] for result in found)
    assert found[0]


def test_an_empty_shelf_finds_nothing() -> None:
    assert PassageIndex([]).best("anything", 5) == []


def test_importing_the_tools_does_not_import_the_search_engine() -> None:
    code = "import sys, pipeline.tools; print({'bm25s', 'numpy', 'Stemmer'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)

    assert said.stdout.strip() == b"set()"
