"""kill -9 at random moments of whole runs; the provider's own log is the witness."""

from __future__ import annotations

import pytest

from scripts.crash.campaign import Order
from scripts.crash_campaign import carry_out


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_is_lost_and_nothing_is_paid_for_twice_when_the_engine_is_killed() -> None:
    order = Order(kills=8, seed=7, at_once=3, longest_s=3.0, is_aimed=True)

    verdict, _ = await carry_out(order, "engine")

    assert verdict.problems == []
    assert verdict.kills == 8
    assert verdict.finished_called_again == 0
    assert verdict.agents_again <= verdict.agents_in_flight
    assert verdict.agents_in_flight > 0, "no kill hit anything: the campaign proves nothing"
    assert verdict.recovery_s


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_is_lost_and_nothing_is_paid_for_twice_when_workers_are_killed() -> None:
    order = Order(kills=6, seed=7, at_once=4, longest_s=3.0, is_aimed=True)

    verdict, _ = await carry_out(order, "workers")

    assert verdict.problems == []
    assert verdict.kills == 6
    assert verdict.finished_called_again == 0
    assert verdict.runs_interrupted > 0, "no kill hit anything: the campaign proves nothing"
