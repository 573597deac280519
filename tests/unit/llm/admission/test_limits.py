"""What providers say of their limits, in their own spellings."""

from __future__ import annotations

import math
from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.admission.bucket import Bucket, comes_back_in_s
from pipeline.llm.admission.limits import (
    limits_from_headers,
    limits_from_words,
    wait_from_words,
)
from pipeline.models import ToldLimit

NOON_S = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC

SPELLINGS: dict[str, tuple[dict[str, str], tuple[ToldLimit, ...]]] = {
    "OpenAI": (
        {
            "x-ratelimit-limit-requests": "3500",
            "X-RateLimit-Remaining-Requests": "3498",
            "x-ratelimit-reset-requests": "17ms",
            "x-ratelimit-limit-tokens": "90000",
            "x-ratelimit-remaining-tokens": "89997",
            "x-ratelimit-reset-tokens": "6m1.5s",
        },
        (
            ToldLimit("requests", 3500.0, 3498.0, 0.017),
            ToldLimit("tokens", 90_000.0, 89_997.0, 361.5),
        ),
    ),
    "Anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:50Z",
            "anthropic-ratelimit-input-tokens-limit": "40000",
            "anthropic-ratelimit-tokens-limit": "48000",
        },
        (ToldLimit("requests", 50.0, 49.0, 30.0), ToldLimit("tokens", 48_000.0)),
    ),
    "by period": (
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-reset-tokens-minute": "1.5",
        },
        (
            ToldLimit("requests", 14_400.0, 14_399.0, None, 86_400.0),
            ToldLimit("tokens", 60_000.0, None, 1.5, 60.0),
        ),
    ),
    "without a unit": (
        {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "x-ratelimit-reset": "1"},
        (ToldLimit("requests", 10.0, 9.0, 1.0),),
    ),
    "the draft standard": (
        {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "4", "RateLimit-Reset": "9"},
        (ToldLimit("requests", 100.0, 4.0, 9.0),),  # of a list, the first
    ),
    "a reset alone says no limit": ({"x-ratelimit-reset": "5"}, ()),
    "nonsense": ({"x-ratelimit-limit-requests": "many", "x-other": "3"}, ()),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_headers_are_read_in_any_spelling(name: str) -> None:
    headers, expected = SPELLINGS[name]

    assert limits_from_headers(headers, NOON_S) == expected


WORDS: dict[str, tuple[ToldLimit, ...]] = {
    "Rate limit reached for gpt-3.5 on requests per min (RPM): Limit 3, Used 3, Requested 1. "
    "Please try again in 20s. Visit the page.": (ToldLimit("requests", 3.0, 0.0, None, 60.0),),
    "Rate limit reached for m on tokens per min (TPM): Limit 90,000, Used 88,500, Requested "
    "2,000. Please try again in 1m3.5s.": (ToldLimit("tokens", 90_000.0, 1_500.0, None, 60.0),),
    "Limit 200 / min. Please try again in 6ms": (),
    "Rate limit reached: RPD: Limit 100, Used 100": (
        ToldLimit("requests", 100.0, 0.0, None, 86_400.0),
    ),
    "Too many concurrent requests, limit: 5": (ToldLimit("in_flight", 5.0),),
    "slow down": (),
    "requests per min exceeded": (),
}


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_refusal_are_read(words: str) -> None:
    assert limits_from_words(words) == WORDS[words]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 20s. Visit", 20.0),
        ("try again in 1h2m3s", 3_723.0),
        ("Please retry after 58 seconds.", 58.0),
        ("retry after 2 minutes", 120.0),
        ("try again in 350ms", 0.35),
        ("try again in 150 milliseconds", 0.15),
        ("try again later", None),
    ],
)
def test_the_time_to_wait_is_read_from_words(words: str, seconds: float | None) -> None:
    assert wait_from_words(words) == (seconds if seconds is None else pytest.approx(seconds))


@given(words=st.text(max_size=200), name=st.text(max_size=40), value=st.text(max_size=40))
def test_what_a_provider_says_never_breaks_the_reading(words: str, name: str, value: str) -> None:
    limits_from_words(words)
    wait_from_words(words)
    limits_from_headers({f"x-ratelimit-{name}": value, f"x-ratelimit-limit-{name}": value})


@pytest.mark.parametrize(
    ("told", "period_s"),
    [
        (ToldLimit("requests", 3500.0, 3498.0, 0.034), 60.0),
        (ToldLimit("requests", 14_400.0, 14_370.0, 179.56), 86_400.0),
        (ToldLimit("requests", 10.0, 9.0, 0.1), 1.0),
        (ToldLimit("requests", 10.0, 10.0, 1.0), None),  # nothing used: nothing to tell from
        (ToldLimit("requests", 60.0, 55.0, 59.0), None),  # a window's end
        (ToldLimit("requests", 60.0, 0.0, 1e308), None),
    ],
)
def test_the_period_follows_from_how_fast_a_limit_comes_back(
    told: ToldLimit, period_s: float | None
) -> None:
    assert comes_back_in_s(told) == period_s


def test_a_bucket_refills_evenly_and_carries_a_debt() -> None:
    bucket = Bucket("tokens", 600.0)
    bucket.take(0.0, 600.0)
    bucket.give_back(0.0, -100.0)  # the call used more than was reserved

    assert bucket.available(0.0) == -100.0
    assert bucket.wait_s(0.0, 50.0) == pytest.approx(15.0)
    assert bucket.wait_s(15.0, 50.0) == 0.0
    assert bucket.available(1_000.0) == 600.0


@given(
    takes=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 400)), max_size=30),
    limit=st.floats(50, 2_000),
)
def test_no_window_sees_more_than_the_bucket_holds_and_refills(
    takes: list[tuple[float, float]], limit: float
) -> None:
    bucket, now, taken = Bucket("tokens", limit), 0.0, []
    for gap_s, amount in takes:
        now += gap_s
        amount = min(amount, limit)
        now += bucket.wait_s(now, amount)
        bucket.take(now, amount)
        taken.append((now, amount))

    for i, (begin_s, _) in enumerate(taken):
        for j in range(i, len(taken)):
            total = sum(amount for _, amount in taken[i : j + 1])
            assert total <= limit + limit / 60.0 * (taken[j][0] - begin_s) + 1e-6


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_s", "period_s", "wait_s"),
    [
        (60.0, 0.0, 5.0, 60.0, 5.0),
        (60.0, 0.0, 40.0, 60.0, 40.0),
        (60.0, 0.0, 1.0, 60.0, 1.0),
        (1_000.0, 0.0, 6.0, 60.0, 6.0),
        (50.0, 0.0, 7_200.0, 86_400.0, 7_200.0),
        (60.0, 55.0, 59.0, 60.0, 0.0),
        (60.0, 0.0, 61.0, 60.0, 61.0),
        (3.0, 0.0, 200_000.0, 200_000.0, 200_000.0),
    ],
)
def test_what_is_used_up_is_back_when_the_provider_says(
    limit: float, remaining: float, reset_s: float, period_s: float, wait_s: float
) -> None:
    bucket = Bucket("requests", limit)
    bucket.correct(0.0, ToldLimit("requests", limit, remaining, reset_s), 0.0)

    assert bucket.period_s == period_s
    assert bucket.wait_s(0.0, 1.0) == pytest.approx(wait_s)
    assert bucket.available(reset_s) == limit


def test_a_limit_seen_to_come_back_evenly_needs_no_wait_for_all_of_it() -> None:
    bucket = Bucket("requests", 500.0)
    bucket.correct(0.0, ToldLimit("requests", 500.0, 499.0, 0.12), 0.0)
    bucket.correct(1.0, ToldLimit("requests", 500.0, 0.0, 60.0), 0.0)

    assert bucket.wait_s(1.0, 1.0) == pytest.approx(0.12)


def test_what_was_sent_since_is_not_back_at_the_reset() -> None:
    bucket = Bucket("requests", 60.0)
    bucket.correct(0.0, ToldLimit("requests", 60.0, 0.0, 5.0), 3.0)

    assert bucket.available(4.9) == -3.0
    assert bucket.available(5.0) == 57.0


@pytest.mark.parametrize("limit", [0.0, -1.0, math.inf, math.nan])
def test_what_cannot_be_a_limit_changes_nothing(limit: float) -> None:
    bucket = Bucket("requests", 60.0)
    bucket.correct(0.0, ToldLimit("requests", limit, 0.0, 5.0), 0.0)

    assert (bucket.limit, bucket.wait_s(0.0, 1.0), bucket.available(0.0)) == (60.0, 0.0, 60.0)


def test_hundreds_of_digits_are_no_limit() -> None:
    endless = "9" * 400

    assert limits_from_headers({"x-ratelimit-limit-requests": endless}) == ()
    assert limits_from_words(f"requests per min (RPM): Limit {endless}, Used 3") == ()
    (told,) = limits_from_headers({"x-ratelimit-limit": "5", "x-ratelimit-reset": endless + "s"})
    assert told == ToldLimit("requests", 5.0)


tellings = st.builds(
    ToldLimit,
    st.just("requests"),
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.none() | st.sampled_from([1.0, 60.0]),
)


@given(told=st.lists(st.tuples(st.floats(0, 100), tellings, st.integers(0, 5)), max_size=10))
def test_whatever_is_told_the_wait_is_a_number_and_what_is_waited_for_is_there(
    told: list[tuple[float, ToldLimit, int]],
) -> None:
    bucket, now = Bucket("requests", 60.0), 0.0
    for gap_s, telling, unheard in told:
        now += gap_s
        bucket.correct(now, telling, unheard)
        bucket.take(now, 1.0)
        wait_s = bucket.wait_s(now, 1.0)
        assert 0.0 <= wait_s < math.inf
        then = copy(bucket)
        assert then.wait_s(now + wait_s, 1.0) <= 1e-6 * (1.0 + wait_s)
        bucket.reading(now)
