"""The Changes tab on its own: counts, refusals, and hostile words that stay text."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pipeline.content.word_diff import difference
from pipeline.export.changes_html import difference_html
from tests.unit.export.hostile import active_content, rows

pytestmark = pytest.mark.slow

EVIL = "<img src=x onerror=alert(1)> :red[x] [a](javascript:alert(1))"


def drawn(words: str, *, substituted: bool = False) -> AppTest:
    def script(words: str, substituted: bool) -> None:
        from pages._changes_tab import draw_changes
        from pipeline.content.changes import changes_of
        from pipeline.models import RunSpec
        from tests.unit.export.samples import outputs

        draw_changes(changes_of(RunSpec(topic="t"), outputs(words)), substituted=substituted)

    return AppTest.from_function(script, args=(words, substituted)).run()


def test_edits_and_advice_are_counted_and_told() -> None:
    app = drawn("")

    assert not app.exception
    assert [badge.value for badge in app.markdown if "1 edit applied" in badge.value]
    edits, advice = app.table[0].value, app.table[1].value
    assert list(edits["Becomes"]) == ["Insulate now."]
    assert advice["Result"].to_list() == ["·\u00a0not mentioned"] * 2


def test_hostile_words_are_drawn_as_text() -> None:
    app = drawn(EVIL)

    assert not app.exception
    for table in app.table:
        cells = " ".join(str(cell) for cell in table.value.to_numpy().ravel())
        assert "<img" not in cells
        assert ":red[" not in cells


@pytest.mark.slow
def test_hostile_words_are_inert_in_the_difference() -> None:
    for row in rows():
        assert active_content(difference_html(difference("Some text.", f"Some {row}"))) == [], row


def test_a_publisher_that_was_replaced_is_said_to_have_changed_nothing() -> None:
    app = drawn("", substituted=True)

    assert "The publisher gave no result" in app.caption[0].value
    assert not app.table
