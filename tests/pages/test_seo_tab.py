"""The SEO tab on its own: what a model wrote stays text in the card and in the lines to copy."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages._seo_tab import snippet_html
from pipeline.content.article import assemble
from pipeline.content.seo import seo_view
from tests.unit.export.hostile import active_content, rows

pytestmark = pytest.mark.slow

EVIL = "</script><img src=x onerror=alert(1)> :red[x] $y$ [a](javascript:alert(1))"


def report(words: str) -> dict[str, object]:
    return {
        "title": words,
        "meta_description": words,
        "slug": words,
        "focus_keyword": words,
        "secondary_keywords": [words],
        "search_intent": "informational",
        "tags": [words],
        "suggestions": [words],
    }


def drawn(report: dict[str, object] | None) -> AppTest:
    def script(report: dict[str, object] | None) -> None:
        from pages._seo_tab import draw_seo
        from pipeline.content.article import assemble
        from pipeline.content.seo import seo_view

        draw_seo(seo_view(report, assemble("# A title\n\nSome text.\n", None, [], [])))

    return AppTest.from_function(script, args=(report,)).run()


@pytest.mark.slow
def test_hostile_metadata_is_inert_in_the_preview() -> None:
    for row in rows():
        view = seo_view(report(row), assemble("# T\n\ntext\n", None, [], []))
        found = [active for s in view["snippets"] for active in active_content(snippet_html(s))]

        assert {active.split("=")[0] for active in found} == {"div style"}, row  # our own sizes


def test_the_score_and_every_weight_are_shown() -> None:
    app = drawn(report("Roof insulation: how to start and what it saves"))

    assert not app.exception
    assert app.metric[0].value.endswith("/ 100")
    weights = [int(weight) for weight in app.table[0].value["Weight"]]
    assert sum(weights) == 100


def test_the_models_opinion_is_called_one_and_kept_apart() -> None:
    app = drawn(report("Roofs"))

    assert "A model's opinion. It has no part in the score." in [c.value for c in app.caption]


def test_without_a_specialist_no_opinion_is_shown() -> None:
    app = drawn(None)

    assert not app.exception
    assert not any("thinks" in text.value for text in app.markdown)
    assert app.metric[0].value.endswith("/ 100")


def test_the_lines_to_copy_hold_hostile_words_as_text() -> None:
    app = drawn(report(EVIL))

    assert not app.exception
    head = app.code[-1].value
    assert head.count("<script") == 1
    assert "<img" not in head
