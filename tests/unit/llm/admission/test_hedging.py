"""When a first token is so late that a second request may go."""

from __future__ import annotations

from pipeline.llm.admission.hedging import DEADLINE_MIN_S, SAMPLES_MIN, FirstTokenTimes


def times(*seconds: float) -> FirstTokenTimes:
    made = FirstTokenTimes()
    for value in seconds:
        made.add(value)
    return made


def test_nothing_is_late_before_it_is_known_what_is_usual() -> None:
    assert times(*[0.5] * (SAMPLES_MIN - 1)).deadline_s() is None
    assert times(*[0.5] * SAMPLES_MIN).deadline_s() == 2.5


def test_the_deadline_is_never_eager() -> None:
    assert times(*[0.01] * 50).deadline_s() == DEADLINE_MIN_S
    # a tail that is part of the usual: one in ten takes six seconds
    assert times(*([0.5] * 45 + [6.0] * 5)).deadline_s() == 6.0


def test_a_single_stall_does_not_move_it() -> None:
    assert times(*([0.5] * 99 + [60.0])).deadline_s() == 2.5


def test_second_requests_stay_a_small_share() -> None:
    made = times(*[0.5] * 100)
    sent = 0
    while made.may_send():
        made.sent()
        sent += 1

    assert sent == 5
    assert times(*[0.5] * SAMPLES_MIN).may_send()  # the first one always


def test_they_are_counted_by_how_they_ended() -> None:
    made = times(*[0.5] * 100)
    for won in (True, False, False):
        made.sent()
        made.ended(won)

    assert (made.counts.sent, made.counts.won, made.counts.lost) == (3, 1, 2)
