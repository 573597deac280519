import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.article import Article, assemble
from pipeline.content.seo import json_ld, keyword_count, make_slug, seo_view

TEXT = (
    "# Roof insulation that pays\n\nRoof insulation keeps heat inside a house in winter.\n\n"
    "## Choosing roof insulation\n\n"
    + "Plain words about something else entirely stand here. "
    * 12
)
REPORT = {
    "title": "Roof insulation: how to start and what it saves",
    "meta_description": "What roof insulation does for a house, what it costs, where to start.",
    "slug": "Roof Insulation!",
    "focus_keyword": "roof insulation",
    "secondary_keywords": ["heat loss"],
    "search_intent": "informational",
    "tags": ["houses"],
    "suggestions": ["Shorten the opening."],
}


def article(text: str = TEXT) -> Article:
    return assemble(text, None, [], [])


def verdicts(view: dict[str, object]) -> dict[str, object]:
    checks = view["checks"]
    assert isinstance(checks, list)
    return {check["name"]: check["ok"] for check in checks}


def test_a_good_report_passes_every_check() -> None:
    view = seo_view({**REPORT, "meta_description": "x" * 70}, article())

    assert set(verdicts(view).values()) == {True}
    assert view["score"] == 100
    assert view["slug"] == "roof-insulation"


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"title": "Roof insulation"}, "title_length"),
        ({"title": "Roof insulation " * 5}, "title_length"),
        ({"meta_description": "x" * 156}, "description_length"),
        ({"focus_keyword": "solar panels"}, "keyword_in_opening"),
        ({"focus_keyword": "house in"}, "keyword_in_title"),
        ({"focus_keyword": "plain words"}, "keyword_density"),
    ],
)
def test_each_fault_fails_its_check_with_advice(change: dict[str, str], failed: str) -> None:
    view = seo_view({**REPORT, **change}, article())

    check = next(c for c in view["checks"] if c["name"] == failed)
    assert check["ok"] is False
    assert check["advice"]


def test_a_skipped_heading_level_is_named() -> None:
    view = seo_view(REPORT, article("# T\n\n#### Deep\n\ntext"))

    check = next(c for c in view["checks"] if c["name"] == "heading_levels")
    assert (check["ok"], check["value"]) == (False, "H1 to H4")


def test_the_score_is_the_share_of_the_weight_that_passed() -> None:
    view = seo_view({**REPORT, "meta_description": "short"}, article())

    checks = [c for c in view["checks"] if c["ok"] is not None]
    passed = sum(c["weight"] for c in checks if c["ok"])
    assert view["score"] == round(100 * passed / sum(c["weight"] for c in checks)) < 100


def test_without_a_specialist_only_what_the_article_shows_is_checked() -> None:
    view = seo_view(None, article())

    assert view["by_model"] is False
    assert view["title"] == "Roof insulation that pays"
    assert verdicts(view)["keyword_in_title"] is None
    assert verdicts(view)["description_length"] is None
    assert verdicts(view)["one_title"] is True


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Größe & Maß: Übung", "grosse-mass-ubung"),
        ("It's a <b>test</b>", "its-a-b-test-b"),
        ("../../etc/passwd", "etc-passwd"),
        ("屋顶", "article"),
        ("a" * 80, "a" * 60),
        ("word " * 30, "word-" * 11 + "word"),
    ],
)
def test_a_slug_is_short_ascii_words(text: str, slug: str) -> None:
    assert make_slug(text) == slug


@given(st.text())
def test_any_text_gives_a_usable_slug(text: str) -> None:
    slug = make_slug(text)

    assert 1 <= len(slug) <= 60
    assert slug.isascii()
    assert slug.replace("-", "").isalnum()


def test_keywords_are_counted_as_whole_words() -> None:
    assert keyword_count("Roof", "roof, roofs and ROOF") == 2
    assert keyword_count("屋顶", "热量从屋顶流失。屋顶") == 2
    assert keyword_count("", "roof") == 0


def test_structured_data_cannot_close_its_script_element() -> None:
    text = json_ld("</script><script>alert(1)</script>", "a & b", [], article())

    assert "<" not in text
    assert json.loads(text)["headline"] == "</script><script>alert(1)</script>"
