"""Decide when a call is so late with its first token that a second, identical one should be sent.

Pure: first-token times in, a deadline out. Token time dominates a call, so eager second requests
cost more than they save (research: 3 % more requests for 0.7 % of the mean); what they do help
against is the stalled call. Hence the deadline lies far beyond what is usual.
"""

from __future__ import annotations

from collections import deque

from pipeline.llm.admission.snapshot import HedgeCounts

SAMPLES_MIN = 8
SAMPLES_MAX = 100
MEDIANS = 5.0
DEADLINE_MIN_S = 2.0
RARE_SHARE = 0.97  # of the samples were faster than the deadline, at least
EXTRA_SHARE = 0.05  # of all calls may be second requests


class FirstTokenTimes:
    """The last first-token times of one endpoint and model, and what was made of them."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._deadline_s: float | None = None
        self._unseen = 0  # samples the deadline does not rest on yet
        self._calls = 0
        self._sent = self._won = self._lost = 0

    @property
    def counts(self) -> HedgeCounts:
        return HedgeCounts(self._sent, self._won, self._lost)

    def add(self, seconds: float) -> None:
        self._calls += 1
        self._samples.append(seconds)
        self._unseen += 1

    def deadline_s(self) -> float | None:
        """After so long without a token a second request may go; None while that is not known.

        Five medians, but never sooner than nearly all were, nor than two seconds.
        """
        if self._unseen >= SAMPLES_MIN:
            ordered = sorted(self._samples)
            median = ordered[len(ordered) // 2]
            rare = ordered[min(len(ordered) - 1, int(RARE_SHARE * len(ordered)))]
            self._deadline_s = max(DEADLINE_MIN_S, MEDIANS * median, rare)
            self._unseen = 0
        return self._deadline_s

    def may_send(self) -> bool:
        """True while second requests are a small share of all; the first one always is."""
        return self._sent < max(1.0, EXTRA_SHARE * self._calls)

    def sent(self) -> None:
        self._sent += 1

    def ended(self, won: bool) -> None:
        if won:
            self._won += 1
        else:
            self._lost += 1
