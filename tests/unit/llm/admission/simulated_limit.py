"""Simulate an endpoint with a hidden limit and callers that never run out of work.

A small discrete-event simulation with its own clock: requests leave when the controller lets
them, arrive a little unevenly, and are accepted or refused by a token bucket nobody told the
controller about. Nothing here is taken from the code under test but the controller itself.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.llm.admission.rate import RateController, Sent


@dataclass(frozen=True)
class HiddenLimit:
    """A token bucket. `changes` are `(at_s, per_minute)`; `retry_after_s` goes with a refusal."""

    per_minute: float
    burst: float = 5.0
    latency_s: float = 2.0  # of an accepted request, on average
    round_trip_s: float = 0.05  # of a refused one
    jitter_s: float = 0.002  # how unevenly requests arrive
    retry_after_s: float = 0.0
    busy_s: float = 0.0  # so long the sender only prepares requests at first, one every 2 ms
    changes: tuple[tuple[float, float], ...] = ()
    window_s: float = 0.0  # not a bucket: so many until the window ends, then anew


@dataclass
class Outcome:
    """What the server saw, by time."""

    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)

    def share_of_ideal(self, begin_s: float, end_s: float, per_minute: float) -> float:
        count = sum(begin_s <= at < end_s for at in self.accepted_s)
        return count / ((end_s - begin_s) * per_minute / 60.0)

    def refused_share(self, begin_s: float, end_s: float) -> float:
        refused = sum(begin_s <= at < end_s for at in self.refused_s)
        accepted = sum(begin_s <= at < end_s for at in self.accepted_s)
        return refused / max(1, refused + accepted)


class _Server:
    def __init__(self, limit: HiddenLimit) -> None:
        self._burst = limit.burst
        self._per_s = limit.per_minute / 60.0
        self._changes = list(limit.changes)
        self._level = limit.burst
        self._at_s = 0.0
        self._window_s = limit.window_s
        self._window, self._used = 0, 0

    def accepts(self, now: float) -> bool:
        if self._window_s:
            return self._accepts_in_window(now)
        while self._changes and self._changes[0][0] <= now:
            self._per_s = self._changes.pop(0)[1] / 60.0
        self._level = min(self._burst, self._level + (now - self._at_s) * self._per_s)
        self._at_s = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def _accepts_in_window(self, now: float) -> bool:
        if int(now / self._window_s) != self._window:
            self._window, self._used = int(now / self._window_s), 0
        if self._used >= self._per_s * self._window_s:
            return False
        self._used += 1
        return True


def simulate(
    limit: HiddenLimit,
    duration_s: float,
    *,
    seed: int = 0,
    max_in_flight: float = math.inf,
    pauses: Sequence[tuple[float, float]] = (),
    controller: RateController | None = None,
) -> Outcome:
    """`pauses` are times in which nobody wants to send."""
    rng, server, outcome = random.Random(seed), _Server(limit), Outcome()
    controller = controller or RateController()
    news: list[tuple[float, int, str, Sent]] = []
    now = cool_until_s = 0.0
    in_flight = count = 0
    while True:
        go_s = math.inf
        if in_flight < max_in_flight:
            go_s = max(now, controller.next_allowed_s(now), cool_until_s)
            go_s = next((end for begin, end in pauses if begin <= go_s < end), go_s)
        event_s = news[0][0] if news else math.inf
        if min(go_s, event_s) > duration_s:
            return outcome
        count += 1
        if go_s < event_s:
            now = go_s
            in_flight += 1
            if now < limit.busy_s:
                now += 0.002
            leaves_s = max(now, limit.busy_s)
            arrives_s = leaves_s + limit.round_trip_s / 2 + rng.uniform(0.0, limit.jitter_s)
            heapq.heappush(news, (arrives_s, count, "arrives", controller.on_sent(now)))
            continue
        now, _, kind, sent = heapq.heappop(news)
        if kind == "arrives":
            accepted = server.accepts(now)
            (outcome.accepted_s if accepted else outcome.refused_s).append(now)
            latency_s = limit.latency_s * rng.uniform(0.5, 1.5) if accepted else 0.0
            back_s = now + limit.round_trip_s / 2 + latency_s
            heapq.heappush(news, (back_s, count, "ok" if accepted else "429", sent))
            continue
        in_flight -= 1
        if kind == "429":
            controller.on_429(now, sent, limit.retry_after_s)
            cool_until_s = max(cool_until_s, now + limit.retry_after_s)
