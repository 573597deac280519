"""Text without end from outside costs time in its length, not in the square of it.

Each case is a run of signs that took a pattern the square of its length once. At this length that
is minutes, which the suite's time limit does not give; linear is a moment.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.content.addresses import addresses, unlink
from pipeline.content.article import plain_line, split_title, unwrap
from pipeline.content.citations import drop_markers, strip_references
from pipeline.content.inert import _defuse
from pipeline.content.readability import computed_metrics, prose_paragraphs, sentences
from pipeline.export.markdown import _without_directives
from pipeline.llm.redact import provider_words

pytestmark = pytest.mark.slow

CHARS = 300_000


def no_address(_url: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("work", "before", "unit", "after"),
    [
        (prose_paragraphs, "", "a@", ""),
        (prose_paragraphs, "", "a.", "@"),
        (prose_paragraphs, "", "x", ""),
        (sentences, "", ".", "x"),
        (sentences, "", '."', "x"),
        (sentences, "", "A. ", ""),
        (_defuse, "", "\\", "x"),
        (_without_directives, "", "\\", "x"),
        (strip_references, "# ", "#", "x"),
        (strip_references, "# ", " ", "x"),
        (drop_markers, "[", " ", "x"),
        (split_title, "# a", " ", "x"),
        (split_title, "# a", "#", "x"),
        (plain_line, "", "**a ", ""),
        (plain_line, "", "~~a", ""),
        (unwrap, "```", "\n", "x"),
        (addresses, "http://a", ")", "x"),
        (lambda text: unlink(text, no_address), "[a](", " ", "x"),
        (lambda text: unlink(text, no_address), "[a](http://a", " ", "x"),
        (provider_words, "", "eyJ-", ""),
    ],
)
def test_a_long_run_of_signs_is_read_once(
    work: Callable[[str], object], before: str, unit: str, after: str
) -> None:
    work(before + unit * (CHARS // len(unit)) + after)


def test_what_is_computed_for_a_text_is_remembered() -> None:
    text = "A sentence of its own, for this test alone. " * 30

    first = computed_metrics(text, "English")

    assert computed_metrics(text, "English") is first
    assert computed_metrics(text, "German") is not first
