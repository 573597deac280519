"""Decide whether a failed call is tried again, and when. Pure: no clock of its own, no I/O.

`failures.py` says what went wrong; this module knows the policy (at most three failures, full
jitter, a provider's wish to wait obeyed up to two minutes, patience with rate limits);
`client.py` does the waiting, for rate limits `admission/` does.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline.errors import (
    CallError,
    ContextTooLong,
    DeadlineExceeded,
    ModelNotFound,
    NoConnection,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unreachable,
)

MAX_ATTEMPTS = 3
MAX_CONNECTS = 2  # to a host that drops packets: people are told within ten seconds
BACKOFF_BASE_S = 1.0
BACKOFF_MAX_S = 20.0
RETRY_AFTER_MAX_S = 120.0  # asked to wait longer: stop, the run can be continued later

_RETRIED = (DeadlineExceeded, RateLimited, ServerFailed, StreamBroken, Unreachable)
_OF_THE_MODEL = (  # another model at the same endpoint may well do it
    ContextTooLong,
    DeadlineExceeded,
    ModelNotFound,
    RateLimited,
    ServerFailed,
    StreamBroken,
)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_EPOCH_S = 1_000_000_000  # a "reset" above this is a time, not a duration


@dataclass(frozen=True, slots=True)
class Retry:
    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


def after_failure(error: CallError, attempt: int, rng: random.Random) -> Retry | GiveUp:
    """Decide after failed attempt number `attempt`, counted from 1.

    The delay is drawn from 0 … `BACKOFF_BASE_S` · 2^(attempt-1) (full jitter), and is never
    shorter than the provider asked for.
    """
    if not isinstance(error, _RETRIED):
        return GiveUp("another attempt would fail the same way")
    if error.status == 200 and isinstance(error, RateLimited | ServerFailed):
        return GiveUp("the endpoint answered with an error instead of a reply")
    if attempt >= MAX_ATTEMPTS:
        return GiveUp(f"{MAX_ATTEMPTS} attempts failed")
    if attempt >= MAX_CONNECTS and isinstance(error, NoConnection):
        return GiveUp(f"{MAX_CONNECTS} attempts found nobody there")
    asked_s = retry_after_of(error)
    if asked_s > RETRY_AFTER_MAX_S:
        return GiveUp(f"the endpoint asks to wait {asked_s:.0f} s")
    return Retry(max(asked_s, _jittered_s(attempt, rng)))


def broke(error: CallError) -> bool:
    """True when a reply was on its way and did not come whole.

    False for what speaks of the endpoint's state or of the request: it would be the same again.
    """
    if isinstance(error, DeadlineExceeded):
        return error.began
    return isinstance(error, StreamBroken | Unreachable) and not isinstance(error, NoConnection)


def after_broken_call(error: CallError, *, is_flaky: bool, rng: random.Random) -> Retry | GiveUp:
    """Decide whether a call all whose attempts failed is made anew, with attempts of its own.

    Where one reply in five breaks, three in a row break in one call of a hundred. That is bad luck,
    and worth a new call, where replies are known to break by chance: `is_flaky`, others broke and
    came whole when asked for again. Elsewhere a reply that broke three times breaks for a reason.
    """
    if not broke(error):
        return GiveUp("another call would fail the same way")
    if not is_flaky:
        return GiveUp("the replies of others do not break")
    return Retry(_jittered_s(MAX_ATTEMPTS, rng))


def _jittered_s(attempt: int, rng: random.Random) -> float:
    return rng.uniform(0.0, min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** (attempt - 1)))


def after_refusal(
    error: RateLimited, refusals: int, lasted_s: float, patience_s: float
) -> Retry | GiveUp:
    """Decide after refusal number `refusals` by a rate limit, `lasted_s` after the first.

    A refused request cost nothing and says nothing about the model: it may be tried again while
    `patience_s` has not passed, and three times in any case. When is the gate's decision; the
    delay given back is the least the provider asked for.
    """
    if error.status == 200:
        return GiveUp("the endpoint answered with an error instead of a reply")
    asked_s = retry_after_of(error)
    if asked_s > RETRY_AFTER_MAX_S:
        return GiveUp(f"the endpoint asks to wait {asked_s:.0f} s")
    if refusals >= MAX_ATTEMPTS and lasted_s >= patience_s:
        return GiveUp(f"refused {refusals} times in {lasted_s:.0f} s")
    return Retry(asked_s)


def worth_another_model(error: CallError) -> bool:
    """True when a call failed for good in a way that may be its model's alone.

    Never for a refused key, an empty account, a refused prompt or an endpoint nobody reaches.
    """
    return isinstance(error, _OF_THE_MODEL)


def retry_after_of(error: CallError) -> float:
    """How long the provider asked to wait, in seconds; 0 when it did not say."""
    if isinstance(error, RateLimited | ServerFailed):
        return error.retry_after_s or 0.0
    return 0.0


def retry_after_s(headers: Mapping[str, str], wall_s: float | None = None) -> float | None:
    """Read how long to wait from response headers (any case); None when they do not say.

    `wall_s` is the wall clock now, in seconds since 1970: dates count from it. When both
    `retry-after` and `retry-after-ms` are there, the longer one holds.
    """
    now_s = time.time() if wall_s is None else wall_s
    lower = {name.lower(): value for name, value in headers.items()}
    asked_s = asked_wait_s(headers, now_s)
    return _longest_reset(lower, now_s) if asked_s is None else asked_s


def asked_wait_s(headers: Mapping[str, str], wall_s: float | None = None) -> float | None:
    """As `retry_after_s`, by the headers that ask for a wait alone; limits' resets do not count."""
    now_s = time.time() if wall_s is None else wall_s
    lower = {name.lower(): value for name, value in headers.items()}
    told = [
        _milliseconds(lower.get("retry-after-ms", "")),
        read_seconds(lower.get("retry-after", ""), now_s),
    ]
    return max((value for value in told if value is not None), default=None)


def _longest_reset(headers: Mapping[str, str], now_s: float) -> float | None:
    """The limit that is used up decides; when none says it is, the longest reset does."""
    resets: list[tuple[bool, float]] = []
    for name, value in headers.items():
        if "ratelimit-reset" in name or ("ratelimit-" in name and name.endswith("-reset")):
            seconds = read_seconds(value, now_s)
            if seconds is not None:
                left = headers.get(name.replace("reset", "remaining"), "")
                resets.append((left.strip() == "0", seconds))
    return max(resets)[1] if resets else None


def _milliseconds(text: str) -> float | None:
    number = _plain_number(text)
    return None if number is None else number / 1_000


def read_seconds(text: str, now_s: float) -> float | None:
    """Seconds from "20", "1m30.5s", "17ms", a Unix time (s or ms), an HTTP or an ISO date."""
    text = text.strip()
    number = _plain_number(text)
    if number is not None:
        if number >= _EPOCH_S * 1_000:
            number /= 1_000
        return max(0.0, number - now_s) if number >= _EPOCH_S else number
    if text and not _DURATION.sub("", text):
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in _DURATION.findall(text))
    moment = _date(text)
    return None if moment is None else max(0.0, moment.timestamp() - now_s)


def _plain_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _date(text: str) -> datetime | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
