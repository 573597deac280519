"""The Evidence tab on its own: what it shows, what it hides, and that hostile words stay text."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pipeline.content.article import assemble
from pipeline.content.evidence import evidence_of
from pipeline.export.evidence_html import evidence_html
from pipeline.models import Source
from tests.unit.export.hostile import active_content, rows

pytestmark = pytest.mark.slow


def drawn(text: str | None) -> AppTest:
    def script(text: str | None) -> None:
        from pages._evidence_tab import draw_evidence
        from pipeline.content.article import assemble
        from pipeline.content.evidence import evidence_of
        from pipeline.models import Source

        source = Source(
            "Saaaa1", "Roofs", "https://example.org/roofs", "web", "A roof loses 25 % of the heat.",
            "Example House", "2024-05-01",
        )  # fmt: skip
        if text is None:
            draw_evidence(None)
        else:
            draw_evidence(evidence_of(assemble(text, None, [source], []), "English"))

    return AppTest.from_function(script, args=(text,)).run()


TEXT = (
    "# Roofs\n\nA roof loses 25 % of the heat [Saaaa1]. A roof loses 40 % of the heat [Saaaa1]. "
    "Coal is warm [S9999].\n\nInsulate before the winter comes again.\n"
)


def html_of(app: AppTest) -> str:
    return str(app.main.get("html")[0].proto.body)


def test_what_needs_a_look_is_shown_first_with_passage_number_and_source() -> None:
    app = drawn(TEXT)

    shown = html_of(app)
    assert not app.exception
    assert "✕" in shown and "Not supported" in shown and "Not in the passage: 40" in shown
    assert "A citation of no known source was taken out here." in shown
    assert "[1] " in shown and "published 2024-05-01" in shown
    assert 'href="https://example.org/roofs"' in shown
    assert "Insulate before" not in shown


def test_the_filter_shows_all_or_what_is_flagged() -> None:
    app = drawn(TEXT)

    app.segmented_control(key="evidence_filter").set_value("All").run()
    assert "Insulate before" in html_of(app)
    app.segmented_control(key="evidence_filter").set_value("Flagged").run()
    assert "Coal is warm" in html_of(app) and "25 %" not in html_of(app)


def test_a_run_without_an_article_says_so() -> None:
    app = drawn(None)

    assert "no article" in app.caption[0].value


@pytest.mark.slow
def test_hostile_passages_titles_and_statements_stay_text() -> None:
    for row in rows():
        source = Source("Saaaa1", row, row, "web", row, row, row)
        article = assemble(
            f"# T\n\n{row} and more words of this row [Saaaa1].\n", None, [source], []
        )

        assert active_content(evidence_html(evidence_of(article, "English"))) == [], row
