import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.social import (
    LINK_SLOT,
    checked_on,
    counted,
    finished_posts,
    fit_post,
    limits,
    platforms,
    with_hashtags,
)

CASES = json.loads(
    (Path(__file__).parents[2] / "data" / "x-weighted-length.json").read_text(encoding="utf-8")
)["cases"]
PLATFORMS = ("x", "linkedin", "bluesky", "mastodon")


@pytest.mark.parametrize("case", CASES, ids=[case["description"] for case in CASES])
def test_x_counts_as_its_published_cases_say(case: dict[str, object]) -> None:
    count = counted("x", str(case["text"]))

    expected = case["expected"]
    assert isinstance(expected, dict)
    assert (count.used, count.ok) == (expected["weightedLength"], expected["valid"])


@pytest.mark.parametrize(
    ("platform", "text", "used"),
    [
        ("bluesky", "a👨‍👩‍👧‍👦é", 3),
        ("mastodon", "see https://example.org/a/very/long/path/indeed", 27),
        ("mastodon", "hi @user@example.social", 8),
        ("linkedin", "a👍", 3),
        ("x", f"read {LINK_SLOT}", 28),
        ("x", "read example.com/page", 28),
        ("x", "file.txt and 3.5", 16),
    ],
)
def test_each_platform_counts_its_own_way(platform: str, text: str, used: int) -> None:
    assert counted(platform, text).used == used


def test_bluesky_has_a_limit_in_bytes_too() -> None:
    assert counted("bluesky", "👨‍👩‍👧‍👦" * 100).used == 100
    assert counted("bluesky", "👨‍👩‍👧‍👦" * 299).ok is False


def test_an_empty_post_is_not_ok() -> None:
    assert counted("x", "  ").ok is False


def test_a_post_that_fits_is_not_touched() -> None:
    assert fit_post("x", "Short. ") == ("Short. ", False)


def test_a_long_post_ends_after_the_last_sentence_that_fits_and_keeps_its_link() -> None:
    text = f"{'One sentence here. ' * 20}{LINK_SLOT}"

    cut, was_cut = fit_post("x", text)

    assert was_cut
    assert cut == ("One sentence here. " * 13) + LINK_SLOT  # 13 · 19 + 23 = 270
    assert counted("x", cut).used == 270


def test_without_a_sentence_the_cut_is_after_a_word_and_shows() -> None:
    cut, was_cut = fit_post("bluesky", "word " * 100)

    assert was_cut
    assert cut.endswith("word…")
    assert counted("bluesky", cut).used == 300  # 60 · 5 − 1 + 1


def test_without_a_space_the_cut_is_between_characters() -> None:
    cut, _ = fit_post("bluesky", "é" * 400)

    assert cut == "é" * 299 + "…"


def test_hashtags_come_last_and_once() -> None:
    assert with_hashtags("Insulate #now", ["now", "#Roof top", " "]) == "Insulate #now\n\n#Rooftop"


def test_hashtags_go_before_words_do() -> None:
    post = {"platform": "x", "text": "a" * 270, "hashtags": ["one", "muchtoolong"]}

    (finished,) = finished_posts({"posts": [post]})

    assert finished["text"] == "a" * 270 + "\n\n#one"
    assert finished["cut"] is True
    assert finished["count"] == {"used": 276, "limit": 280, "method": "weighted", "ok": True}


def test_a_citation_never_leaves_in_a_post() -> None:
    post = {"platform": "mastodon", "text": "Heat rises [Saaaa1].", "hashtags": []}

    assert finished_posts({"posts": [post]})[0]["text"] == "Heat rises."


def test_no_promoter_means_no_posts() -> None:
    assert finished_posts(None) == []


def test_the_prompt_is_told_every_limit_and_the_table_is_dated() -> None:
    assert set(limits()) == set(platforms()) == set(PLATFORMS)
    assert limits()["x"]["limit"] == 280
    assert len(checked_on()) == 10


@given(st.sampled_from(PLATFORMS), st.text(min_size=1, max_size=4_000))
def test_any_post_is_brought_under_its_limit(platform: str, text: str) -> None:
    fitted, was_cut = fit_post(platform, text)

    assert counted(platform, fitted).ok or not text.strip()
    assert was_cut or fitted == text
