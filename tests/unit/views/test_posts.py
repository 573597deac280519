"""What the cards of the posts tab show."""

from pipeline.content.social import finished_posts, finished_series, platforms
from pipeline.views.posts import PostCard, post_cards

LONG = "A sentence that is not long at all. " * 12


def cards(*posts: dict[str, object]) -> list[PostCard]:
    data = {"posts": [{"hashtags": [], **post} for post in posts]}
    return post_cards(finished_posts(data), finished_series(data))


def test_cards_stand_in_the_order_of_the_table_and_only_for_networks_with_posts() -> None:
    shown = cards(
        {"platform": "instagram", "variant": "a", "text": "One."},
        {"platform": "x", "variant": "a", "text": "Two."},
    )

    assert [(card.platform, card.title) for card in shown] == [
        ("x", "X"),
        ("instagram", "Instagram"),
    ]
    assert all(card.rule == platforms()[card.platform].note for card in shown)


def test_a_card_has_a_face_for_each_variant_and_each_series() -> None:
    (x, linkedin) = cards(
        {"platform": "x", "variant": "a", "text": "Short. {link}"},
        {"platform": "x", "variant": "b", "text": "Other."},
        {"platform": "linkedin", "variant": "a", "text": LONG},
    )

    assert [face.name for face in x.faces] == ["A", "B", "A in 2 posts"]
    assert [face.name for face in linkedin.faces] == ["A"]
    series = x.faces[2]
    assert [bubble.text[-5:] for bubble in series.bubbles] == ["(1/2)", "(2/2)"]
    assert "from the LinkedIn post" in series.notes[0]


def test_what_code_changed_is_a_flag_and_a_sentence() -> None:
    (x,) = cards({"platform": "x", "variant": "a", "text": LONG, "hashtags": ["one"]})

    assert x.faces[0].flags == ("Cut to fit", "Fewer hashtags")
    assert len(x.faces[0].notes) == 2
    assert "The whole text" in x.faces[1].notes[0]


def test_a_length_says_how_much_is_used_and_whether_it_is_too_much() -> None:
    (x,) = cards({"platform": "x", "variant": "a", "text": "a" * 140})

    bubble = x.faces[0].bubbles[0]

    assert (bubble.length, bubble.share, bubble.ok) == ("140 of 280", 0.5, True)


def test_two_posts_under_one_name_stay_two() -> None:
    (x,) = cards(
        {"platform": "x", "variant": "a", "text": "One."},
        {"platform": "x", "variant": "a", "text": "Two."},
    )

    assert [face.name for face in x.faces] == ["A", "A 2"]


def test_a_run_without_posts_has_no_cards() -> None:
    assert post_cards([], []) == []
