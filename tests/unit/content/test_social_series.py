"""A long text as a numbered series: whole sentences, whole links, nothing lost."""

import re

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.social import counted, finished_series, platforms, split_series

SERIES = tuple(p.name for p in platforms().values() if p.series)
NUMBER = re.compile(r" \((\d+)/(\d+)\)\Z")

words = st.sampled_from(
    [
        "word", "Satz.", "Frage?", "https://example.com/a.b/c?d=e#f", "{link}", "#hash_tag", "@a@b.example",
        "👨‍👩‍👧‍👦", "🇩🇪", "e\u0301" * 30, "蜜蜂很重要。冬天怎么办？", "\n\n", "x" * 90,
    ]
)  # fmt: skip
texts = st.lists(words | st.text(max_size=40), max_size=120).map(" ".join)


def bodies(posts: list[str]) -> list[str]:
    return [NUMBER.sub("", post) for post in posts]


def signs(text: str) -> list[str]:
    return [sign for sign in regex.findall(r"\X", text) if not sign.isspace()]


def test_the_networks_that_have_series_are_data() -> None:
    assert SERIES == ("x", "bluesky", "mastodon", "threads")


def test_a_text_that_fits_is_one_post_without_a_number() -> None:
    assert split_series("x", " Short. ") == ["Short."]
    assert split_series("x", "  \n") == []


def test_posts_end_after_sentences_and_are_numbered() -> None:
    text = "One sentence of thirty letters. " * 18  # 32 each

    posts = split_series("x", text)

    assert posts == [
        f"{' '.join(['One sentence of thirty letters.'] * n)} ({i}/3)"
        for i, n in enumerate((8, 8, 2), 1)
    ]
    assert [counted("x", post).used for post in posts] == [261, 261, 69]


def test_ten_posts_and_more_have_room_for_their_longer_numbers() -> None:
    posts = split_series("bluesky", "word " * 700)

    assert [NUMBER.search(post).groups() for post in posts] == [  # type: ignore[union-attr]
        (str(n), str(len(posts))) for n in range(1, len(posts) + 1)
    ]
    assert len(posts) == 13  # 58 words each
    assert all(counted("bluesky", post).ok for post in posts)


def test_a_link_that_no_post_can_hold_stands_whole_in_one_that_is_said_not_to_fit() -> None:
    link = "https://example.com/" + "a" * 400

    posts = split_series("bluesky", f"Before it. {link} After it.")

    assert bodies(posts) == ["Before it.", link, "After it."]
    assert [counted("bluesky", post).ok for post in posts] == [True, False, True]


def test_on_x_a_long_link_is_short() -> None:
    link = "https://example.com/" + "a" * 400

    assert split_series("x", f"Before it. {link}") == [f"Before it. {link}"]


@given(st.sampled_from(SERIES), texts)
def test_every_post_fits_and_nothing_is_lost(platform: str, text: str) -> None:
    posts = split_series(platform, text)

    assert signs("".join(bodies(posts))) == signs(text) or len(posts) == 1
    assert all(counted(platform, post).ok for post in posts)


@given(st.sampled_from(SERIES), texts)
def test_no_link_hashtag_or_character_is_split(platform: str, text: str) -> None:
    whole = re.compile(r"\{link\}|https?://[^\s<>\"]+|#\w+")

    posts = bodies(split_series(platform, text))

    assert [m for post in posts for m in whole.findall(post)] == whole.findall(text)
    assert [s for post in posts for s in signs(post)] == signs(text)


@pytest.mark.slow
@pytest.mark.parametrize("platform", SERIES)
def test_a_very_long_text_is_split_in_good_time(platform: str) -> None:
    posts = split_series(platform, "A sentence that is not long at all. " * 600)  # 21,600

    assert all(counted(platform, post).ok for post in posts)


def test_a_series_is_made_of_the_longest_post_of_the_same_variant() -> None:
    long = "A sentence that is not long at all. " * 12
    posts = [
        {"platform": "x", "variant": "a", "text": "Short. {link}", "hashtags": ["roof"]},
        {"platform": "linkedin", "variant": "a", "text": f"{long}{{link}}", "hashtags": []},
        {"platform": "mastodon", "variant": "a", "text": "Short.", "hashtags": []},
        {"platform": "x", "variant": "b", "text": "Short. {link}", "hashtags": []},
        {"platform": "facebook", "variant": "b", "text": "Also short.", "hashtags": []},
    ]

    series = finished_series({"posts": posts})

    assert [(s["platform"], s["variant"], s["made_from"]) for s in series] == [
        ("x", "a", "linkedin")
    ]
    assert [post["text"][-6:] for post in series[0]["posts"]] == [" (1/2)", " (2/2)"]
    assert series[0]["posts"][-1]["text"].endswith("{link}\n\n#roof (2/2)")
    assert all(post["count"]["ok"] for post in series[0]["posts"])


def test_a_post_that_is_too_long_is_a_series_of_itself() -> None:
    long = "A sentence that is not long at all. " * 10
    post = {"platform": "x", "variant": "a", "text": long, "hashtags": []}

    (series,) = finished_series({"posts": [post]})

    assert series["made_from"] == "x"
    assert " ".join(bodies([p["text"] for p in series["posts"]])) == long.strip()
