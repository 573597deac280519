"""Whether a failed attempt is made again, and after how long."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    AuthError,
    BadRequest,
    CallError,
    ContextTooLong,
    DeadlineExceeded,
    ModelNotFound,
    NoConnection,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unreachable,
)
from pipeline.llm.retry import (
    MAX_ATTEMPTS,
    GiveUp,
    Retry,
    after_broken_call,
    after_failure,
    retry_after_s,
)
from pipeline.llm.wire import CONNECT_TIMEOUT_S

NOON_S = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


@pytest.mark.parametrize(
    "kind", [ServerFailed, Unreachable, StreamBroken, DeadlineExceeded, RateLimited]
)
def test_what_may_pass_is_tried_three_times(kind: type[CallError]) -> None:
    decisions = [after_failure(kind("x"), n, random.Random(1)) for n in (1, 2, 3)]

    assert [type(decision) for decision in decisions] == [Retry, Retry, GiveUp]
    assert MAX_ATTEMPTS == 3


@pytest.mark.parametrize(
    "error",
    [
        *(kind("x") for kind in (AuthError, QuotaError, ModelNotFound, ContextTooLong)),
        *(kind("x") for kind in (BadRequest, NotAnEndpoint)),
        ParameterRefused("x", parameter="seed"),
        ServerFailed("an error with status 200", status=200),
    ],
    ids=lambda error: error.code,
)
def test_what_would_fail_again_is_not_tried_again(error: CallError) -> None:
    assert isinstance(after_failure(error, 1, random.Random(1)), GiveUp)


def stalled() -> DeadlineExceeded:
    error = DeadlineExceeded("x")
    error.began = True
    return error


@pytest.mark.parametrize("error", [StreamBroken("x"), Unreachable("x"), stalled()])
def test_a_broken_call_is_made_anew_only_where_replies_break_by_chance(error: CallError) -> None:
    rng = random.Random(1)
    again = after_broken_call(error, is_flaky=True, rng=rng)

    assert isinstance(again, Retry)
    assert 0.0 <= again.delay_s <= 4.0
    assert isinstance(after_broken_call(error, is_flaky=False, rng=rng), GiveUp)


@pytest.mark.parametrize(
    "kind", [ServerFailed, NoConnection, RateLimited, DeadlineExceeded, AuthError, ContextTooLong]
)
def test_what_is_the_endpoints_state_or_the_requests_fault_is_not(kind: type[CallError]) -> None:
    assert isinstance(after_broken_call(kind("x"), is_flaky=True, rng=random.Random(1)), GiveUp)


@given(seed=st.integers(), attempt=st.integers(1, 2), asked=st.none() | st.floats(0, 120))
def test_the_delay_is_jittered_and_never_shorter_than_asked(
    seed: int, attempt: int, asked: float | None
) -> None:
    error = RateLimited("x", retry_after_s=asked)

    decision = after_failure(error, attempt, random.Random(seed))

    assert isinstance(decision, Retry)
    assert (asked or 0.0) <= decision.delay_s <= max(asked or 0.0, 2.0 ** (attempt - 1))


class Latest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def test_a_host_that_drops_packets_is_given_up_within_ten_seconds() -> None:
    waited_s, attempt = CONNECT_TIMEOUT_S, 1
    while isinstance(again := after_failure(NoConnection("x"), attempt, Latest()), Retry):
        waited_s += again.delay_s + CONNECT_TIMEOUT_S
        attempt += 1

    assert attempt == 2
    assert waited_s <= 10.0


def test_jitter_is_full() -> None:
    delays = [after_failure(ServerFailed("x"), 1, random.Random(seed)) for seed in range(200)]

    drawn = [decision.delay_s for decision in delays if isinstance(decision, Retry)]
    assert min(drawn) < 0.05 and max(drawn) > 0.95


def test_a_provider_that_asks_for_more_than_two_minutes_ends_the_call() -> None:
    decision = after_failure(RateLimited("x", retry_after_s=120.5), 1, random.Random(1))

    assert isinstance(decision, GiveUp)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "20"}, 20.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:12:20 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"x-ratelimit-reset-requests": "17ms"}, 0.017),
        ({"x-ratelimit-reset-tokens": "6m1.5s"}, 361.5),
        ({"x-ratelimit-reset": str(int(NOON_S) + 30)}, 30.0),
        ({"x-ratelimit-reset": str((int(NOON_S) + 30) * 1_000)}, 30.0),
        ({"anthropic-ratelimit-requests-reset": "2026-09-21T14:13:50Z"}, 30.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "900",
                "x-ratelimit-reset-tokens": "50s",
            },
            2.0,
        ),
        ({"retry-after": "3", "x-ratelimit-reset": "90"}, 3.0),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers, wall_s=NOON_S) == pytest.approx(seconds)


@given(st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset"]), st.text(max_size=30)))
def test_no_header_at_all_makes_it_raise(headers: dict[str, str]) -> None:
    waits = retry_after_s(headers, wall_s=NOON_S)

    assert waits is None or waits >= 0
