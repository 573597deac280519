import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.outputs import Platform, SocialPosts
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
PLATFORMS = ("x", "linkedin", "bluesky", "mastodon", "threads", "facebook", "instagram")


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
        ("threads", "ab👍", 6),  # an emoji counts its bytes
        ("threads", "a👨‍👩‍👧‍👦é", 27),  # four people of 4 bytes, three joiners of 3
        ("facebook", "a👍", 3),
        ("instagram", "a👍", 3),
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
    assert finished["cut"] is False
    assert finished["hashtags_left_out"] == ["#muchtoolong"]
    assert finished["notes"] == ["Hashtags left out: #muchtoolong. There was no room."]
    assert finished["count"] == {"used": 276, "limit": 280, "method": "weighted", "ok": True}


def test_a_network_gets_no_more_hashtags_than_it_takes() -> None:
    tags = ["one", "two", "three", "four", "five", "six"]
    posts = [
        {"platform": "instagram", "variant": "a", "text": "A #zero b.", "hashtags": tags},
        {"platform": "threads", "variant": "a", "text": "Words.", "hashtags": ["one", "two"]},
    ]

    instagram, threads = finished_posts({"posts": posts})

    assert instagram["text"] == "A #zero b.\n\n#one #two #three #four"
    assert instagram["notes"] == ["Hashtags left out: #five, #six. Instagram takes 5 in a post."]
    assert threads["text"] == "Words.\n\n#one"
    assert threads["hashtags_left_out"] == ["#two"]


def test_what_code_cannot_mend_is_said() -> None:
    links = " ".join(f"https://example.com/{n}" for n in range(6))
    posts = [
        {"platform": "threads", "variant": "a", "text": f"#a #b {links}", "hashtags": []},
        {"platform": "instagram", "variant": "a", "text": "See {link}", "hashtags": []},
    ]

    threads, instagram = finished_posts({"posts": posts})

    assert threads["notes"] == [
        "It has 2 hashtags; Threads takes 1.",
        "It has 6 links; Threads takes 5.",
    ]
    assert instagram["notes"] == ["Instagram does not make links clickable."]


def test_a_cut_post_says_how_long_it_was() -> None:
    post = {"platform": "x", "variant": "b", "text": "One sentence here. " * 20, "hashtags": []}

    (finished,) = finished_posts({"posts": [post]})

    assert finished["cut"] is True
    assert finished["notes"] == ["Cut to fit: it had 379, X takes 280."]


def test_posts_stored_before_there_were_variants_get_theirs_by_order() -> None:
    old = [{"platform": p, "text": "Words.", "hashtags": []} for p in ("x", "linkedin", "x")]

    assert [post["variant"] for post in finished_posts({"posts": old})] == ["a", "a", "b"]
    assert [post.variant for post in SocialPosts.model_validate({"posts": old}).posts] == [
        "a",
        "a",
        "b",
    ]


def test_every_network_of_the_schema_has_limits() -> None:
    assert get_args(Platform) == tuple(platforms())


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
