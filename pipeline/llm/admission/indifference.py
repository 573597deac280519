"""Notice refusals that have nothing to do with how fast one asks. Pure.

Some endpoints refuse a share of all requests whatever the rate: they are overloaded, or a fair
share of theirs is. Taken for a rate limit, each refusal after a slower stretch gives a lower
estimate, without an end. A real limit does not do that: once it is met, or has fallen, the next
estimates agree with it. So a row of estimates that falls step by step says that the rate does
not matter.
"""

from __future__ import annotations

from collections import deque

STEPS = 8  # estimates looked at
FALLS = 6  # so many of them must be lower than the one before
FALL = 0.9  # lower means: by more than a tenth
FALLEN = 0.15  # and the last is no more than this share of the first
FASTER = 2.0  # than the highest estimate there was: fast enough to matter to nobody, yet bounded
LEFT_AT_SHARE = 0.3  # refused more often than that, it is a limit after all
LOOKED_AT = 40  # requests


class Indifference:
    """Told of each new estimate; while `is_on`, of each request and refusal."""

    def __init__(self) -> None:
        self.is_on = False
        self._highest_per_s = 0.0
        self._estimates: deque[float] = deque(maxlen=STEPS + 1)
        self._answers: deque[bool] = deque(maxlen=LOOKED_AT)  # True: refused

    def estimated(self, per_s: float) -> bool:
        """True when this estimate says that the rate does not matter."""
        self._highest_per_s = max(self._highest_per_s, per_s)
        self._estimates.append(per_s)
        pairs = zip(self._estimates, list(self._estimates)[1:], strict=False)
        falls = sum(after < FALL * before for before, after in pairs)
        has_fallen = self._estimates[-1] <= FALLEN * self._estimates[0]
        if len(self._estimates) > STEPS and falls >= FALLS and has_fallen:
            self.is_on = True
            self._estimates.clear()
            self._answers.clear()
        return self.is_on

    @property
    def interval_s(self) -> float:
        """Between two requests while `is_on`."""
        return 1.0 / (FASTER * self._highest_per_s)

    def sent(self) -> None:
        self._answers.append(False)

    def refused(self) -> bool:
        """One of the requests sent lately. False when they are so many that the rate does matter."""
        if self._answers:
            self._answers.popleft()
        self._answers.append(True)
        if len(self._answers) == LOOKED_AT and sum(self._answers) > LEFT_AT_SHARE * LOOKED_AT:
            self.is_on = False
        return self.is_on
