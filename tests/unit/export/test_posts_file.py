"""The posts as a file: what a person copies, word for word, and nothing a renderer acts on."""

from dataclasses import replace

from markdown_it import MarkdownIt

from pipeline.content.social import finished_posts, finished_series, platforms
from pipeline.export.posts import to_posts_markdown
from pipeline.models import DEMO_LABEL, UNSOURCED_LABEL
from pipeline.views.posts import post_cards
from tests.unit.export.hostile import rows
from tests.unit.export.samples import bundle


def file_of(*posts: dict[str, object], title: str = "Roofs") -> str:
    data = {"posts": [{"hashtags": [], **post} for post in posts]}
    cards = post_cards(finished_posts(data), finished_series(data))
    return to_posts_markdown(bundle().run, title, cards)


def test_both_variants_stand_under_their_network_with_their_counts() -> None:
    text = file_of(
        {"platform": "x", "variant": "a", "text": "One."},
        {"platform": "x", "variant": "b", "text": "Two. " * 100},
    )

    assert "## X\n\n### Variant A\n\n```text\nOne.\n```\n\n4 of 280" in text
    assert "### Variant B\n" in text
    assert "Cut to fit: it had 499, X takes 280." in text
    assert "### Variant B in 2 posts" in text


def test_the_file_of_a_demo_says_so() -> None:
    assert DEMO_LABEL in bundle(demo=True).posts_markdown().replace("\\", "")


def test_the_posts_of_an_unsourced_draft_say_so() -> None:
    made = bundle(demo=False)
    del made.checkpoints["web_researcher"]  # type: ignore[attr-defined]

    assert UNSOURCED_LABEL in made.posts_markdown().replace("\\", "")


def test_hostile_text_is_code_and_unchanged() -> None:
    payloads = [row for row in rows() if row.strip()]
    posts: list[dict[str, object]] = [
        {"platform": "facebook", "variant": "a", "text": f"See {row}\n```\n````` {row}"}
        for row in payloads
    ]

    tokens = MarkdownIt("commonmark").parse(file_of(*posts, title=payloads[0]))

    fences = [token for token in tokens if token.type == "fence"]
    assert len(fences) == len(payloads)
    assert not [token for token in tokens if token.type == "html_block"]
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} <= {"text", "strong_open", "strong_close", "softbreak"}


def test_a_run_without_posts_has_no_such_file() -> None:
    made = bundle()
    without = {n: c for n, c in made.checkpoints.items() if n != "social_promoter"}

    assert replace(made, checkpoints=without).posts_markdown() == ""
    assert len(platforms()) == 7
