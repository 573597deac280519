"""A short form of `benchmarks/page_response.py`: ten runs at once all end, and the pages answer."""

from __future__ import annotations

import pytest

from benchmarks.gestures import ROUND
from benchmarks.page_response import AT_ONCE, measure
from pipeline.models import RunStatus

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]


def test_ten_runs_at_once_all_end_while_a_person_uses_the_pages(chromium_path: str) -> None:
    figures = measure(1, "fast", chromium=chromium_path)

    assert set(figures.runs) == {RunStatus.DONE.value}
    assert figures.runs[RunStatus.DONE.value] >= AT_ONCE
    assert max(figures.at_once) == AT_ONCE  # they were under way together
    heard = [one.name for one in figures.busy.took]
    assert heard == [gesture.name for gesture in ROUND]  # one without an answer would have raised
