"""kill -9 at random moments of whole runs; the provider's own log is the witness."""

from __future__ import annotations

import pytest

from scripts.crash.campaign import Order
from scripts.crash_campaign import carry_out


@pytest.mark.slow
async def test_nothing_is_lost_and_nothing_is_paid_for_twice_when_the_engine_is_killed() -> None:
    verdict, _ = await carry_out(Order(kills=8, seed=7, at_once=3, longest_s=4.0), "engine")

    assert verdict.problems == []
    assert verdict.kills == 8
    assert verdict.finished_called_again == 0
    assert verdict.agents_again <= verdict.agents_in_flight
    assert verdict.agents_in_flight > 0, "no kill hit anything: the campaign proves nothing"
    assert verdict.recovery_s
