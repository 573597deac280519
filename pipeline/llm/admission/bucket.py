"""A limit that is known: how much of it is left, and when there is enough again.

Pure; the clock is the caller's. A bucket holds at most `capacity`, refills evenly, and may be
corrected by what the provider says. What a call takes is an estimate until it is settled, so the
level may fall below zero; then everybody waits until the debt is refilled.

A provider counts in buckets or in fixed windows and does not say which. "Used up, reset in 5 s"
is 5 s to wait from a window, and no more than that from a bucket; so it is waited for, unless
the limit was seen to come back evenly (`comes_back_in_s`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pipeline.models import LimitUnit, ToldLimit

LimitSource = Literal["configured", "header", "429 body", "learned", "told"]  # told: to any of us

_MINUTE_S = 60.0
PERIODS_S = (1.0, _MINUTE_S, 3_600.0, 86_400.0)  # periods providers count in
EVENLY_WITHIN = 0.1  # a told refill fits a period to within so much, or none
RESET_WITHIN = 1.05  # resets are told in whole seconds, so slightly beyond the period


@dataclass(frozen=True, slots=True)
class LimitReading:
    """One limit as people see it. `available` is None where only the rate is known."""

    unit: LimitUnit
    per_minute: float
    available: float | None
    source: LimitSource


class Bucket:
    """`limit` of `unit` in `period_s`. `even` spreads them evenly instead of allowing bursts."""

    def __init__(
        self,
        unit: LimitUnit,
        limit: float,
        period_s: float = _MINUTE_S,
        *,
        source: LimitSource = "configured",
        even: bool = False,
    ) -> None:
        self.unit: LimitUnit = unit
        self.source: LimitSource = source
        self.limit = limit
        self.period_s = period_s
        self.capacity = 1.0 if even else limit
        self.heard_s = -math.inf  # when the provider spoke of it last
        self._level = self.capacity
        self._at_s = -math.inf
        self._reset_s = -math.inf  # when all is back, as told
        self._is_shut = False  # until then: used up, and not known to refill evenly
        self._is_even = False
        self._taken = 0.0  # since the reset was told

    @property
    def per_s(self) -> float:
        return self.limit / self.period_s

    def available(self, now: float) -> float:
        self._refill(now)
        return self._level

    def wait_s(self, now: float, need: float) -> float:
        """How long until `need` is there; a need beyond the capacity waits for a full bucket."""
        self._refill(now)
        need = min(need, self.capacity)
        lacking = need - self._level
        if lacking <= 1e-9:
            return 0.0
        if self._reset_s <= now:
            return lacking / self.per_s
        lacking_then = max(0.0, need - self._level_at_reset)
        if self._is_shut:
            return self._reset_s - now + lacking_then / self.per_s
        evenly_s = lacking / self.per_s
        return evenly_s if lacking_then else min(evenly_s, self._reset_s - now)

    def take(self, now: float, amount: float) -> None:
        self._refill(now)
        self._level -= amount
        self._taken += amount

    def give_back(self, now: float, amount: float) -> None:
        """Correct a reservation; a negative `amount` means that it was too small."""
        self._refill(now)
        self._level = min(self.capacity, self._level + amount)
        self._taken -= amount

    def correct(self, now: float, told: ToldLimit, unheard: float) -> None:
        """Take over what the provider says; `unheard` was sent but is not in its count yet.

        What cannot be a limit (less than 1, infinity) is ignored as a whole.
        """
        if not is_possible(told):
            return
        self._refill(now)
        self.heard_s = now
        if told.limit is not None:
            self.limit = self.capacity = told.limit
            self._fit_period(told)
        if told.remaining is not None:
            self._level = min(self.capacity, told.remaining - unheard)
            self._taken = unheard
            self._reset_s = now + told.reset_s if told.reset_s else -math.inf
            self._is_shut = told.remaining <= 0.0 and not self._is_even and self._reset_s > now

    def _fit_period(self, told: ToldLimit) -> None:
        even_s = comes_back_in_s(told)
        limit, left = told.limit, told.remaining
        # when more than half is used up, a window may look as if it came back evenly
        if limit and left is not None and limit / 2.0 <= left < limit:
            self._is_even = even_s is not None
        if told.period_s:
            self.period_s = told.period_s
        elif even_s is not None and (self._is_even or even_s > self.period_s):
            self.period_s = even_s
        elif told.reset_s and told.reset_s > RESET_WITHIN * self.period_s:
            longer = (each for each in PERIODS_S if told.reset_s <= RESET_WITHIN * each)
            self.period_s = next(longer, told.reset_s)

    def reading(self, now: float) -> LimitReading:
        per_minute = self.limit / (self.period_s / _MINUTE_S)
        return LimitReading(self.unit, per_minute, round(self.available(now), 1), self.source)

    @property
    def _level_at_reset(self) -> float:
        return max(self._level, self.capacity - max(0.0, self._taken))

    def _refill(self, now: float) -> None:
        if -math.inf < self._reset_s <= now:
            self._flow(self._reset_s)
            self._level = self._level_at_reset
            self._reset_s, self._is_shut = -math.inf, False
        self._flow(now)

    def _flow(self, until_s: float) -> None:
        if until_s > self._at_s:
            if self._level < self.capacity and not self._is_shut:
                more = (until_s - self._at_s) * self.per_s
                self._level = min(self.capacity, self._level + more)
            self._at_s = until_s


def is_possible(told: ToldLimit) -> bool:
    """False for figures that no limit has; some endpoints send 0 for "none"."""
    figures = (told.limit, told.remaining, told.reset_s, told.period_s)
    if not all(figure is None or 0.0 <= figure < math.inf for figure in figures):
        return False
    return told.limit is None or told.limit >= 1.0


def comes_back_in_s(told: ToldLimit) -> float | None:
    """The period of a limit that comes back evenly, from how long what was used takes to.

    None when it fits none of the periods providers count in: then it comes back at once.
    """
    if not told.limit or told.remaining is None or not told.reset_s or not is_possible(told):
        return None
    used = told.limit - told.remaining
    if used <= 0:
        return None
    fits = math.log(told.limit) + math.log(told.reset_s) - math.log(used)
    known_s = min(PERIODS_S, key=lambda known: abs(math.log(known) - fits))
    return known_s if abs(math.log(known_s) - fits) <= EVENLY_WITHIN else None
