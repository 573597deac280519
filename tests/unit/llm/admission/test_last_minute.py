"""What came in the last minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.admission.last_minute import MINUTE_S, LastMinute


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 1_000)), max_size=50))
def test_it_is_what_came_within_a_minute_to_within_a_second(steps: list[tuple[float, int]]) -> None:
    counted, came, now = LastMinute(), [], 1_000.0
    for passed_s, amount in steps:
        now += passed_s
        counted.add(now, amount)
        came.append((now, amount))

    surely = sum(amount for at, amount in came if at > now - MINUTE_S + 1)
    possibly = sum(amount for at, amount in came if at > now - MINUTE_S - 1)
    assert surely <= counted.total(now) <= possibly
    assert counted.total(now + MINUTE_S + 1) == 0.0


def test_what_was_counted_too_much_is_taken_back_and_never_leaves_less_than_nothing() -> None:
    counted = LastMinute()

    counted.add(0.0, 100.0)
    counted.add(30.0, -60.0)

    assert counted.total(31.0) == 40.0
    assert counted.total(65.0) == 0.0  # what it was taken from is no longer counted
