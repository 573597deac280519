"""A limit nobody told of is found, kept, and used to the full: simulated on a clock of its own."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.admission.rate import RAMP_START, RateController, rate_bounds
from tests.unit.llm.admission.simulated_limit import HiddenLimit, simulate


@pytest.mark.parametrize("busy_s", [0.0, 1.0])
def test_the_floor_600_a_minute_with_a_burst_of_five(busy_s: float) -> None:
    """Also when six hundred calls begin at once and the process is busy sending for a second."""
    shares, refused = [], []
    for seed in range(10):
        limit = HiddenLimit(600, 5, busy_s=busy_s)
        outcome = simulate(limit, 80.0, seed=seed, max_in_flight=600)
        shares.append(outcome.share_of_ideal(20.0, 80.0, 600))
        refused.append(outcome.refused_share(20.0, 80.0))

    assert min(shares) >= 0.97
    assert sum(refused) / len(refused) <= 0.005
    assert max(refused) <= 0.01


def random_limit(rng: random.Random) -> HiddenLimit:
    """3 to 6,000 a minute, bursts of 2 to 60, 0.1 to 20 s; jitter up to a tenth of the burst."""
    per_minute = math.exp(rng.uniform(math.log(3), math.log(6_000)))
    burst = rng.choice((2, 3, 5, 8, 20, 60))
    return HiddenLimit(
        per_minute,
        burst,
        latency_s=math.exp(rng.uniform(math.log(0.1), math.log(20))),
        round_trip_s=rng.uniform(0.002, 0.2),
        jitter_s=min(0.02, rng.uniform(0.0, 0.1) * 60.0 / per_minute * burst),
    )


@pytest.mark.parametrize("seed", range(40))
def test_any_hidden_limit_is_used_to_90_percent_with_2_percent_refused(seed: int) -> None:
    """After 20 s or a hundred requests, whichever takes longer: slow limits tell little a second."""
    limit = random_limit(random.Random(seed))
    per_s = limit.per_minute / 60.0
    begin_s = max(20.0, 100.0 / per_s)
    end_s = begin_s + max(60.0, 400.0 / per_s)

    outcome = simulate(limit, end_s, seed=seed)

    assert outcome.share_of_ideal(begin_s, end_s, limit.per_minute) >= 0.9
    assert outcome.refused_share(begin_s, end_s) <= 0.02


@pytest.mark.parametrize("per_minute", [60, 600, 1_200])
def test_a_bucket_without_any_burst_is_kept_to(per_minute: int) -> None:
    """One request at a time: the slightest unevenness is refused, so less of it can be used."""
    limit = HiddenLimit(per_minute, 1, jitter_s=0.02 * 60.0 / per_minute)
    begin_s = max(60.0, 100 * 60.0 / per_minute)
    end_s = begin_s + 400 * 60.0 / per_minute

    outcome = simulate(limit, end_s, seed=1)

    assert outcome.share_of_ideal(begin_s, end_s, per_minute) >= 0.9
    assert outcome.refused_share(begin_s, end_s) <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "found_s"),
    [(600, 300, 60), (600, 60, 60), (1_200, 300, 60), (300, 600, 150), (60, 600, 360)],
)
def test_a_limit_that_changes_is_found_again(before: int, after: int, found_s: float) -> None:
    """A lower one within a minute; a higher one takes as long as two hundred requests and a few."""
    for at_s in (60.0, 95.0, 150.0):  # at whatever moment of a creep
        limit = HiddenLimit(before, changes=((at_s, after),))
        begin_s, end_s = at_s + found_s, at_s + found_s + 180.0

        outcome = simulate(limit, end_s, seed=1)

        assert outcome.share_of_ideal(begin_s, end_s, after) >= 0.9
        assert outcome.refused_share(begin_s, end_s) <= 0.02


@pytest.mark.parametrize("per_minute", [60, 600])
def test_a_fixed_window_is_no_bucket_and_is_lived_with(per_minute: int) -> None:
    """So many until the minute is full: used to less, but neither locked out nor hammered."""
    outcome = simulate(HiddenLimit(per_minute, window_s=60.0), 900.0, seed=1)

    assert outcome.share_of_ideal(300.0, 900.0, per_minute) >= 0.7
    assert outcome.refused_share(300.0, 900.0) <= 0.15


def test_when_a_refusal_costs_a_wait_fewer_are_risked() -> None:
    outcome = simulate(HiddenLimit(600, 5, retry_after_s=1.0), 320.0, seed=1)

    assert outcome.share_of_ideal(20.0, 320.0, 600) >= 0.9
    assert outcome.refused_share(20.0, 320.0) <= 0.005


def test_a_full_bucket_is_used_after_a_pause() -> None:
    limit = HiddenLimit(600, 20)

    outcome = simulate(limit, 200.0, seed=1, pauses=[(100.0, 150.0)])

    assert sum(150.0 <= at < 150.5 for at in outcome.accepted_s) >= 12  # the burst, at once
    assert outcome.share_of_ideal(150.0, 200.0, 600) >= 0.97
    assert outcome.refused_share(150.0, 200.0) <= 0.02


def test_slow_traffic_does_not_make_the_controller_bold() -> None:
    controller = RateController()
    simulate(HiddenLimit(600, 5), 60.0, seed=1, controller=controller)
    known = controller.reading().estimate_per_s

    for second in range(61, 600):  # one request a second proves nothing about ten
        assert controller.next_allowed_s(float(second)) <= second
        controller.on_sent(float(second))

    reading = controller.reading()
    assert reading.estimate_per_s == known
    assert reading.rate_per_s == pytest.approx(known, rel=0.05)


def test_without_a_refusal_there_is_no_limit_but_a_steep_ramp() -> None:
    controller = RateController()
    sent, now = 0, 0.0
    while sent < 1_000:
        now = max(now, controller.next_allowed_s(now))
        controller.on_sent(now)
        sent += 1
        if sent == RAMP_START:
            assert now == 0.0

    assert now < 0.3
    assert controller.reading().phase == "open"
    assert controller.next_allowed_s(now + 10.0) < now


@given(
    rate=st.floats(0.05, 100.0),
    burst=st.integers(2, 60),
    gaps=st.lists(st.floats(0.1, 1.9), min_size=3, max_size=60),
)
def test_the_true_rate_lies_within_the_bounds(rate: float, burst: int, gaps: list[float]) -> None:
    level, now, accepted = 0.5, 0.0, []
    for gap in gaps:  # a bucket that was just empty, asked at uneven times
        now += gap / rate
        level = min(float(burst), level + gap)
        if level < 1.0:
            break
        level -= 1.0
        accepted.append(now)
    else:
        now += (1.0 - min(level, 0.99)) / rate * 0.5 if level < 1.0 else 0.0
        if level >= 1.0:
            return  # never refused: nothing to bound

    bounds = rate_bounds(0.0, accepted, now, float(burst))

    if bounds is not None:
        low, high = bounds
        assert low <= rate * 1.02
        assert high >= rate * 0.98
