"""A process that stood still leaves before it says anything."""

from __future__ import annotations

import time

import pytest

from pipeline.engine.self_fence import EXIT_FROZEN, SelfFence


@pytest.mark.parametrize(("stood_still_s", "left"), [(7.4, []), (7.6, [EXIT_FROZEN])])
def test_it_leaves_after_three_quarters_of_its_lease(
    monkeypatch: pytest.MonkeyPatch, stood_still_s: float, left: list[int]
) -> None:
    codes: list[int] = []
    fence = SelfFence(10.0, codes.append)
    later = time.time() + stood_still_s
    monkeypatch.setattr(time, "time", lambda: later)

    fence.check()

    assert codes == left
