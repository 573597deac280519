"""A short campaign of `benchmarks/chaos.py`: everything ends, nothing wrong is taken for good."""

from __future__ import annotations

import pytest

from benchmarks.chaos import campaign


@pytest.mark.slow
async def test_chaos_ends_every_run_and_lets_nothing_wrong_through() -> None:
    outcome = await campaign(10, 3, fallback=True)

    assert outcome.finished == 10, outcome.errors
    assert (outcome.wrong, outcome.doubled) == ([], [])
    assert all(outcome.met[fault] for fault in ("429", "drop", "broken chunk", "stall"))
