"""Decide how many calls may be in flight: the set limit, less while the endpoint is overloaded.

Pure. The window begins at the limit. A sign of overload (a server error, no first token in time,
a refusal that names concurrency) takes a third away, once per second at most; every window of
good replies gives one back (AIMD, as TCP does).
"""

from __future__ import annotations

import math

SHRINK = 2.0 / 3.0
SHRINK_EVERY_S = 1.0


class InFlightWindow:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._window = float(limit)
        self._shrunk_s = -math.inf

    @property
    def size(self) -> int:
        return max(1, int(self._window))

    def overloaded(self, now: float, in_flight: int) -> None:
        if now - self._shrunk_s < SHRINK_EVERY_S:
            return  # calls that failed together are one sign, not many
        self._shrunk_s = now
        self._window = max(1.0, SHRINK * min(self._window, float(max(1, in_flight))))

    def good(self, in_flight: int) -> None:
        """A reply came while `in_flight` calls were out, itself included."""
        if self._window < self.limit and in_flight >= self.size:
            self._window = min(float(self.limit), self._window + 1.0 / self._window)
