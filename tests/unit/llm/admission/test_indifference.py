"""Refusals that have nothing to do with the rate do not slow anybody down; a real limit still does."""

from __future__ import annotations

import random

import pytest

from pipeline.llm.admission.indifference import FALLS, LOOKED_AT, STEPS, Indifference
from pipeline.llm.admission.rate import RateController


def test_estimates_that_fall_step_by_step_are_no_limit() -> None:
    indifference = Indifference()

    for step in range(STEPS + 1):
        indifference.estimated(100.0 * 0.7**step)

    assert indifference.is_on


def test_a_limit_that_fell_at_once_is_one() -> None:
    indifference = Indifference()

    for estimate in (100.0, 40.0, 20.0, 20.1, 19.9, 20.0, 20.2, 20.0):
        indifference.estimated(estimate)

    assert FALLS > 2  # which fell
    assert not indifference.is_on


def test_many_refusals_are_a_limit_after_all() -> None:
    indifference = Indifference()
    indifference.is_on = True

    for number in range(2 * LOOKED_AT):
        indifference.sent()
        if number % 2:
            indifference.refused()

    assert not indifference.is_on


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_an_endpoint_that_refuses_a_tenth_of_everything_is_not_asked_ever_slower(
    seed: int,
) -> None:
    """Sixteen clients, answers after 50 ms: without the notice the rate fell below 1 a second."""
    rng, controller, now, sent_at = random.Random(seed), RateController(), 0.0, []
    answers: list[tuple[float, object, bool]] = []
    while len(sent_at) < 3_000 and now < 600.0:
        for answer in [a for a in answers if a[0] <= now]:
            answers.remove(answer)
            if answer[2]:
                controller.on_429(now, answer[1])  # type: ignore[arg-type]
        if len(answers) < 16 and controller.next_allowed_s(now) <= now:
            sent_at.append(now)
            answers.append((now + 0.05, controller.on_sent(now), rng.random() < 0.1))
        else:
            now += 0.005

    assert len(sent_at) == 3_000
    last = sent_at[-500:]
    assert (len(last) - 1) / (last[-1] - last[0]) > 10.0  # a second
