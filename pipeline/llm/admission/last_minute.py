"""Count what came in the last minute, to within a second. Pure; the clock is the caller's."""

from __future__ import annotations

from collections import deque

MINUTE_S = 60


class LastMinute:
    """One sum for each second: however much comes, there are sixty of them."""

    def __init__(self) -> None:
        self._sums: deque[tuple[int, float]] = deque()  # second, what came in it

    def add(self, now: float, amount: float = 1.0) -> None:
        """Less than nothing takes back what was counted too much before."""
        second = int(now)
        if self._sums and self._sums[-1][0] == second:
            amount += self._sums.pop()[1]
        self._sums.append((second, amount))
        self._drop(now)

    def total(self, now: float) -> float:
        self._drop(now)
        return max(0.0, sum(amount for _, amount in self._sums))

    def _drop(self, now: float) -> None:
        while self._sums and self._sums[0][0] <= now - MINUTE_S:
            self._sums.popleft()
