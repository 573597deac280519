import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.article import Article, assemble
from pipeline.content.seo import cut_to, keyword_count, make_slug, seo_view, width
from pipeline.content.seo.checks import WEIGHTS
from pipeline.content.seo.pixels import ELLIPSIS
from pipeline.content.seo.snippet import SITE, snippets
from pipeline.content.seo.structured import head_html, json_ld, open_graph

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

    assert verdicts(view).pop("alt_text") is None  # an article by a model shows no pictures
    assert {v for name, v in verdicts(view).items() if name != "alt_text"} == {True}
    assert view["score"] == 100
    assert view["slug"] == "roof-insulation"


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"title": "Roof insulation"}, "title_length"),
        ({"title": "Roof insulation " * 5}, "title_length"),
        ({"meta_description": "x" * 156}, "description_length"),
        ({"title": "W" * 40}, "title_pixels"),  # 40 characters are few enough, 755 pixels are not
        ({"meta_description": "W" * 100}, "description_pixels"),
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


def test_structured_data_says_language_and_day_when_they_are_known() -> None:
    made = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    data = json.loads(json_ld("T", "", [], article(), language="German", created=made))

    assert (data["inLanguage"], data["dateCreated"]) == ("de", "2026-05-04T12:00:00+00:00")
    assert "author" not in data
    assert "inLanguage" not in json.loads(json_ld("T", "", [], article(), language="Klingon"))


def test_the_lines_for_a_head_are_escaped() -> None:
    evil = '"><script>alert(1)</script>'

    lines = head_html(evil, evil, open_graph(evil, evil, [evil]), json_ld(evil, "", [], article()))

    assert lines.count("<script") == 1
    assert lines.count('type="application/ld+json"') == 1
    assert "alert(1)</script>" not in lines


def test_the_weights_add_up_to_a_hundred() -> None:
    assert sum(WEIGHTS.values()) == 100


def test_a_title_in_chinese_is_judged_by_its_pixels_alone() -> None:
    view = seo_view({**REPORT, "title": "屋顶" * 10}, article())

    assert verdicts(view)["title_length"] is None
    assert verdicts(view)["title_pixels"] is True  # 20 signs of 20 pixels


@pytest.mark.parametrize(
    ("text", "units"),  # advance widths in Arial's own table, 2048 to the em
    [("A", 1366), ("i", 455), ("W", 1933), (" ", 569), ("0", 1139), ("é", 1139), ("Ж", 1891)],
)
def test_glyphs_are_as_wide_as_arial_draws_them(text: str, units: int) -> None:
    assert width(text, 20) == pytest.approx(units / 2048 * 20)


def test_signs_outside_the_table_have_a_width_that_is_said() -> None:
    assert width("屋🏠", 10) == 20.0  # full squares
    assert width("\u200b\u0301", 10) == 0.0  # not seen
    assert width("ử", 10) == pytest.approx(width("u", 10))  # as without accents
    assert width("\u16a0", 10) == 5.5  # an average letter


def test_a_text_that_fits_stays_and_another_is_cut_between_words() -> None:
    assert cut_to("Short title", 20, 580) == "Short title"
    assert cut_to("one two threefold", 10, width("one two thr" + ELLIPSIS, 10)) == "one two …"
    assert cut_to("x" * 100, 10, 50).endswith("x …")


@given(st.text(max_size=200), st.floats(min_value=40, max_value=900))
def test_what_is_shown_always_fits(text: str, limit: float) -> None:
    assert width(cut_to(text, 14, limit), 14) <= limit + 1e-9


def test_a_phone_shows_less_than_a_desktop_and_both_say_what_was_cut() -> None:
    long = (
        "Roof insulation and what it saves in a long cold winter in the north of the country " * 3
    )

    desktop, phone = snippets(long, long, "roof-insulation")

    assert desktop.cut == phone.cut == ("title", "description")
    assert len(phone.description) < len(desktop.description)
    assert desktop.breadcrumb == f"{SITE} › roof-insulation"
    assert snippets("Roofs", "", "roofs")[0].cut == ()
