"""A limit that is known: how much of it is left, and when there is enough again.

Pure; the clock is the caller's. A bucket holds at most `capacity`, refills evenly, and may be
corrected by what the provider says. What a call takes is an estimate until it is settled, so the
level may fall below zero; then everybody waits until the debt is refilled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pipeline.models import LimitUnit, ToldLimit

LimitSource = Literal["configured", "header", "429 body", "learned"]

_MINUTE_S = 60.0
# periods providers count in; a told refill is taken for the nearest
PERIODS_S = (1.0, _MINUTE_S, 3_600.0, 86_400.0)


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
        self._level = self.capacity
        self._at_s = -math.inf

    @property
    def per_s(self) -> float:
        return self.limit / self.period_s

    def available(self, now: float) -> float:
        self._refill(now)
        return self._level

    def wait_s(self, now: float, need: float) -> float:
        """How long until `need` is there; a need beyond the capacity waits for a full bucket."""
        self._refill(now)
        lacking = min(need, self.capacity) - self._level
        return lacking / self.per_s if lacking > 1e-9 else 0.0

    def take(self, now: float, amount: float) -> None:
        self._refill(now)
        self._level -= amount

    def give_back(self, now: float, amount: float) -> None:
        """Correct a reservation; a negative `amount` means that it was too small."""
        self._refill(now)
        self._level = min(self.capacity, self._level + amount)

    def correct(self, now: float, told: ToldLimit, unheard: float) -> None:
        """Take over what the provider says; `unheard` was sent but is not in its count yet."""
        self._refill(now)
        if told.limit is not None:
            self.limit = self.capacity = told.limit
            self.period_s = told.period_s or told_period_s(told) or self.period_s
        if told.remaining is not None:
            self._level = min(self.capacity, told.remaining - unheard)

    def reading(self, now: float) -> LimitReading:
        return LimitReading(
            self.unit, self.per_s * _MINUTE_S, round(self.available(now), 1), self.source
        )

    def _refill(self, now: float) -> None:
        if now > self._at_s:
            if self._level < self.capacity:
                self._level = min(self.capacity, self._level + (now - self._at_s) * self.per_s)
            self._at_s = now


def told_period_s(told: ToldLimit) -> float | None:
    """The period a limit counts in, from how long what was used takes to come back."""
    if not told.limit or told.remaining is None or not told.reset_s:
        return None
    used = told.limit - told.remaining
    if used <= 0:
        return None
    period_s = told.limit * told.reset_s / used
    return min(PERIODS_S, key=lambda known: abs(math.log(known / period_s)))
