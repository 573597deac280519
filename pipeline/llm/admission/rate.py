"""Find out how many requests a minute an endpoint takes that does not say so, and keep to it.

Pure: told when a request was sent and when one was refused, it says when the next may go. The
clock is the caller's. `gate.py` asks before each call; docs/admission.md derives the rule.

The idea: a token bucket that refuses is empty. Between two refusals it is empty twice, so what
was accepted in between is what was refilled, to within one request: `rate = accepted / time`.
That is exact however the requests were spaced, and needs no window, no average and no guess of
the bucket's size. So requests go out evenly, first a little below the estimate, then creeping
up until the next refusal, which makes the estimate better and the next creep smaller.

* open       nobody has refused yet: no limit but a steep ramp at the start of a burst
* searching  refused, nothing known: one request, waiting twice as long after each refusal, then
             faster and faster until the next one
* indifferent  refused now and then, whatever the rate (`indifference.py`): no limit, until refusals
             become many
* pacing     an estimate; when the creep finds no refusal, it doubles its steps (the limit rose)
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.llm.admission.indifference import Indifference

RAMP_START = 32  # requests at once while nothing is known
RAMP_DOUBLES_S = 0.05  # then twice as many: as fast as one process can send, unless refused
BUSY_GAP_S = 1.0  # nothing sent for so long: the next request begins a new burst
SEARCH_WAIT_S = 0.25  # first pause of a search
SEARCH_WAIT_MAX_S = 40.0
SEARCH_GROWTH = 2.0
EVIDENCE_MAX = 400  # accepted requests that count; older ones fade
EVIDENCE_MIN = 8
CREEP_MIN = 200.0  # requests, however slow the limit: refused are at most one in so many
CREEP_MAX_S = 60.0
CREEP = 2.0  # a creep is so many times as long as the evidence it starts from
STEP_MIN, STEP_MAX = 0.004, 0.15  # how far below and above the estimate a creep goes
REACTION_MIN_S = 0.1  # a faster rate is not raised again before refusals could be back
COOLED_SHARE = 0.02  # of all time may go to waiting because a refusal said how long
RATE_MAX_S = 10_000.0
HISTORY = 1_000  # requests since a refusal that are looked at
RAISE_MIN = 6
CLOSED_LIKE_A_WINDOW = 3  # refusals in a row, each after twice as long
RECENT = 4  # so many refusals, each too soon, are no accident
MARGIN_STEP, MARGIN_MAX = 0.004, 0.3
BURST_SHARE = 0.8

Phase = Literal["open", "searching", "pacing", "indifferent"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that went out: give it back when it is refused."""

    serial: int
    at_s: float
    saved_up: bool = False  # went with time saved up while idle, not on its own turn


@dataclass(frozen=True, slots=True)
class RateReading:
    """What is known now, for people."""

    phase: Phase
    rate_per_s: float | None  # requests go out at this rate; None: no limit known
    estimate_per_s: float | None  # of the endpoint's limit
    evidence: int  # accepted requests the estimate rests on
    burst: int
    refused: int


class RateController:
    """When the next request may go, learned from refusals alone."""

    def __init__(self) -> None:
        self._serial = 0
        self._refused = 0
        self._phase: Phase = "open"
        # open
        self._burst_began_s = -math.inf
        self._burst_sent = 0
        self._burst_allowed = RAMP_START
        self._burst_raised_s = -math.inf
        self._last_sent_s = -math.inf
        # searching and pacing
        self._rate = math.inf
        self._next_s = -math.inf
        self._estimate: float | None = None
        self._evidence = 0
        self._burst = 1.0  # what the bucket holds, as far as is known
        # requests and seconds of the burst that was refused first, until nothing of it is unknown
        self._first_burst: tuple[int, float] | None = None
        self._first_refused = 0
        # since the last refusal
        self._recent: deque[tuple[Sent, int]] = deque(maxlen=RECENT)  # refusals, refused so far
        self._early = 0
        self._margin = (
            0.0  # share of the estimate kept free: arrivals are not as even as departures
        )
        self._mark: Sent | None = None  # the refusal that left the bucket empty; None: not known
        self._turns: deque[tuple[int, float]] = deque(maxlen=HISTORY)  # sent since: serial, at_s
        self._acted_serial = 0  # requests up to this one were sent before the last reaction
        self._closed = 0  # refusals since anything was accepted
        self._most_closed = 0  # since the mark
        self._is_probe_out = False
        self._paced = 0
        self._raised_at: tuple[int, float] = (0, 0.0)
        self._raises = 0
        self._lag_s = REACTION_MIN_S / 2  # from sending to being refused
        self._cooled_s = 0.0  # what a refusal costs in waiting, on average
        self._cooled_until_s = -math.inf
        self._indifference = Indifference()

    def reading(self) -> RateReading:
        if self._indifference.is_on:
            return RateReading("indifferent", None, None, 0, int(self._burst), self._refused)
        known = self._phase != "open"
        return RateReading(
            self._phase,
            self._rate if known else None,
            self._estimate,
            self._evidence,
            int(self._burst),
            self._refused,
        )

    def next_allowed_s(self, now: float) -> float:
        """The earliest moment for the next request; in the past when it may go at once."""
        if self._phase != "open" or self._indifference.is_on:
            return self._next_s
        if now - self._last_sent_s > BUSY_GAP_S or self._burst_sent < self._burst_allowed:
            return -math.inf
        return self._burst_raised_s + RAMP_DOUBLES_S

    def on_sent(self, now: float) -> Sent:
        self._serial += 1
        saved_up = False
        if self._indifference.is_on:
            self._indifference.sent()
            self._next_s = max(self._next_s, now) + self._indifference.interval_s
        elif self._phase == "open":
            self._count_burst(now)
        else:
            saved_up = self._take_turn(now)
        self._last_sent_s = now
        return Sent(self._serial, now, saved_up)

    def on_429(self, now: float, sent: Sent, cooled_s: float = 0.0) -> None:
        """`sent` was refused; `cooled_s` is how long the endpoint wants to be left alone."""
        self._refused += 1
        self._lag_s += 0.2 * (min(now - sent.at_s, 5.0) - self._lag_s)
        if self._indifference.is_on:
            self._stay_indifferent(now, sent, cooled_s)
            return
        if self._first_burst is not None and sent.serial <= self._first_burst[0]:
            self._first_refused += 1
        if sent.serial <= self._acted_serial:
            self._move_mark(sent)
            self._next_s = max(self._next_s, now + cooled_s)
            return
        times = [at_s for serial, at_s in self._turns if serial < sent.serial]
        if self._mark is not None and not times:
            self._stay_closed(now, sent, cooled_s)
            return
        if self._phase == "open":
            self._first_burst = (self._serial, self._last_sent_s - self._burst_began_s)
            self._first_refused = 1
            self._phase, self._rate = "searching", 1.0 / SEARCH_WAIT_S
        else:
            self._learn(times, sent)
        self._restart(now, sent, cooled_s)
        if self._estimate is not None and self._indifference.estimated(self._estimate):
            self._next_s = now + cooled_s

    def _stay_indifferent(self, now: float, sent: Sent, cooled_s: float) -> None:
        """Nothing is learned from it, unless refusals are so many that it is a limit after all."""
        self._next_s = max(self._next_s, now + cooled_s)
        if not self._indifference.refused():
            self._estimate, self._evidence, self._first_burst = None, 0, None
            self._phase, self._rate = "searching", 1.0 / SEARCH_WAIT_S
            self._turns.clear()
            self._restart(now, sent, cooled_s)

    # open

    def _count_burst(self, now: float) -> None:
        """A step of the ramp begins when its first request really goes: a busy loop ramps slower,
        so that refusals are read before more goes out. What went well once may go at once again."""
        if now - self._last_sent_s > BUSY_GAP_S:
            self._burst_began_s = self._burst_raised_s = now
            self._burst_sent = 0
        elif self._burst_sent >= self._burst_allowed:
            self._burst_allowed *= 2
            self._burst_raised_s = now
        self._burst_sent += 1

    # searching and pacing

    def _take_turn(self, now: float) -> bool:
        """Move the next turn on; True when this one went on time saved up while idle."""
        interval = 1.0 / self._rate
        if self._is_probe_out:  # and was not refused, or it would not be out any more
            self._closed, self._is_probe_out = 0, False
        elif self._closed:
            self._is_probe_out = True
            interval = max(interval, self._reaction_s)
        late_s = now - self._next_s
        allowance_s = max((self._burst - 1.0) * interval * BURST_SHARE, min(interval, 0.05))
        if late_s > allowance_s + interval:  # nobody wanted to send: the bucket may have run over
            self._mark = None
            self._turns.clear()
        else:
            self._paced += 1
        self._next_s = max(self._next_s, now - allowance_s) + interval
        self._turns.append((self._serial, now))
        self._creep(now)
        return late_s > interval and late_s > 0.05

    def _creep(self, now: float) -> None:
        if self._estimate is None:
            since, at_s = self._raised_at
            if self._paced > since and now - at_s >= self._reaction_s:
                self._rate = min(RATE_MAX_S, self._rate * SEARCH_GROWTH)
                self._raised_at = (self._paced, now)
            return
        length, step = self._creep_length, self._step
        if self._paced <= length:
            factor = 1.0 - step + 2.0 * step * self._paced / length
        else:
            since, at_s = self._raised_at
            far = self._paced - max(since, length) >= max(length / 16, RAISE_MIN)
            if far and now - at_s >= self._reaction_s:
                self._raises += 1
                self._raised_at = (self._paced, now)
            factor = 1.0 + step * 2.0**self._raises
        self._rate = min(RATE_MAX_S, self._estimate * (factor - self._margin))

    @property
    def _creep_length(self) -> float:
        """Paced requests until the rate is as far above the estimate as it was below."""
        estimate = self._estimate or 0.0
        longest = max(CREEP_MIN, CREEP_MAX_S * estimate)  # a limit that rose must be found as well
        length = min(max(CREEP * self._evidence, EVIDENCE_MIN), longest)
        return max(length, self._cooled_s * estimate / COOLED_SHARE)

    @property
    def _step(self) -> float:
        return min(STEP_MAX, max(STEP_MIN, 1.0 / max(1, self._evidence)))

    @property
    def _reaction_s(self) -> float:
        return max(REACTION_MIN_S, 2.0 * self._lag_s)

    # refusals

    def _move_mark(self, sent: Sent) -> None:
        """A refusal of the burst that was reacted to: nothing new but a later empty bucket."""
        if self._mark is None or sent.serial > self._mark.serial:
            self._mark = sent
            self._drop_turns(sent)

    def _drop_turns(self, sent: Sent) -> None:
        while self._turns and self._turns[0][0] <= sent.serial:
            self._turns.popleft()

    def _stay_closed(self, now: float, sent: Sent, cooled_s: float) -> None:
        """Refused again with nothing accepted in between: ask once more after twice as long.

        The estimate stays: a fixed window that is used up refuses everything until it ends, and
        what was accepted per window is still the rate.
        """
        self._closed += 1
        self._most_closed = max(self._most_closed, self._closed)
        self._is_probe_out = False
        self._drop_turns(sent)
        self._acted_serial = self._serial
        self._paced = self._raises = 0
        self._raised_at = (0, now)
        first_s = SEARCH_WAIT_S if self._estimate is None else 2.0 / self._estimate
        pause_s = min(first_s * 2.0 ** min(self._closed, 30), max(first_s, SEARCH_WAIT_MAX_S))
        self._next_s = max(self._next_s, now + max(pause_s, cooled_s))

    def _learn(self, times: list[float], sent: Sent) -> None:
        if self._mark is None:
            self._recent.clear()
            self._learn_from_full(times, sent)
            return
        self._recent.append((sent, self._refused))
        if self._evidence >= EVIDENCE_MAX / 4:
            self._keep_margin()
        # refused after longer and longer pauses, it was no bucket that ran over in between
        burst = self._burst if self._most_closed < CLOSED_LIKE_A_WINDOW else math.inf
        bounds = rate_bounds(self._mark.at_s, times, sent.at_s, burst)
        if bounds is None:
            return
        low, high = bounds
        accepted, middle = len(times), (low + high) / 2.0
        if self._estimate is None:
            self._estimate, self._evidence = middle, accepted
        elif not 0.95 * low <= self._estimate <= 1.05 * high:  # not the limit it was
            self._estimate, self._evidence = middle, max(EVIDENCE_MIN, accepted)
        else:
            share = accepted / (self._evidence + accepted)
            self._estimate += share * (middle - self._estimate)
            self._evidence += accepted
        self._evidence = min(EVIDENCE_MAX, self._evidence)
        self._distrust_burst()
        if self._estimate is not None and self._first_burst is not None:
            first, first_s = self._first_burst
            self._burst = max(1.0, first - self._first_refused - self._estimate * first_s)

    def _keep_margin(self) -> None:
        """Refused much sooner than the creep meant to: leave more room; much later: less."""
        early = 1.0 - self._paced / (self._creep_length / 2.0)
        change = MARGIN_STEP * early + 0.1 * self._margin * early
        self._margin = min(MARGIN_MAX, max(0.0, self._margin + max(change, -MARGIN_STEP)))

    def _distrust_burst(self) -> None:
        """Refused too soon again and again: the answers do not fit the bucket that was assumed.

        What was accepted since the oldest of these refusals is no more than what was refilled,
        whatever the bucket holds.
        """
        self._early = self._early + 1 if self._paced < 0.05 * self._creep_length else 0
        if self._early < RECENT or len(self._recent) < RECENT or self._estimate is None:
            return
        (first, refused), (last, refused_now) = self._recent[0], self._recent[-1]
        seconds = last.at_s - first.at_s
        accepted = last.serial - first.serial - (refused_now - refused)
        if seconds <= 0.0 or accepted / seconds >= self._estimate:
            return
        self._estimate, self._evidence = max(accepted, 1) / seconds, EVIDENCE_MIN
        self._burst = max(2.0, self._burst)
        if self._first_burst is not None:  # all of it may have arrived at once, from a busy sender
            self._burst = max(self._burst, float(self._first_burst[0] - self._first_refused))
            self._first_burst = None
        self._early = 0
        self._recent.clear()

    def _learn_from_full(self, times: list[float], sent: Sent) -> None:
        """Refused after a pause in which the bucket may have filled."""
        if sent.saved_up:
            self._first_burst = None
            self._burst = max(1.0, self._burst / 2.0)
        if self._estimate is not None and times:
            high = (len(times) + 1) / max(sent.at_s - times[0], 1e-3)
            if high < self._estimate:
                self._estimate, self._evidence = high, EVIDENCE_MIN

    def _restart(self, now: float, sent: Sent, cooled_s: float) -> None:
        """From here on the bucket is empty: begin the creep anew, a little later."""
        self._mark = sent
        self._drop_turns(sent)
        self._closed = self._most_closed = 0
        self._is_probe_out = False
        self._acted_serial = self._serial
        self._paced = self._raises = 0
        self._raised_at = (0, now)
        if self._estimate is not None:
            self._phase = "pacing"
            self._rate = self._estimate * (1.0 - self._step - self._margin)
            self._cooled_s += 0.2 * (cooled_s - self._cooled_s)
            pause_s = (2.0 if self._burst >= 2.0 else 1.0) / self._rate
        else:
            pause_s = 1.0 / self._rate
        self._next_s = max(self._next_s, now + max(pause_s, cooled_s))


def rate_bounds(
    empty_s: float, accepted_s: Sequence[float], refused_s: float, burst: float
) -> tuple[float, float] | None:
    """Between which refill rates (per second) a bucket of `burst` would have answered like this.

    It refused at `empty_s`, accepted at `accepted_s` and refused again at `refused_s`. None when
    no rate would: the clock did not move.
    """
    seconds = refused_s - empty_s
    if seconds <= 0.0:
        return None
    count = len(accepted_s)
    high = _bisect(
        lambda rate: _level(empty_s, accepted_s, refused_s, burst, rate)[1] < 1.0,
        0.5 * (count + 0.5) / seconds,
        (count + 1.0) / seconds,
    )
    if not count:
        return (0.0, high)
    low = _bisect(
        lambda rate: _level(empty_s, accepted_s, refused_s, burst, rate)[0] < 1.0,
        0.5 * (count - 0.5) / seconds,
        count / seconds,
    )
    return (min(low, high), high)


def _bisect(holds: Callable[[float], bool], below: float, above: float) -> float:
    """The largest rate for which `holds`, which it does at `below` and not from somewhere on."""
    while holds(above) and above < RATE_MAX_S:
        below, above = above, 1.5 * above
    for _ in range(12):
        middle = (below + above) / 2.0
        below, above = (middle, above) if holds(middle) else (below, middle)
    return below


def _level(
    empty_s: float, accepted_s: Sequence[float], refused_s: float, burst: float, rate: float
) -> tuple[float, float]:
    """(lowest level an accepted request met, level the refused one met), in requests.

    The bucket held half a request when it refused first: between none and one.
    """
    level, at_s, lowest = 0.5, empty_s, math.inf
    for moment in accepted_s:
        level = min(burst, level + (moment - at_s) * rate)
        lowest, at_s = min(lowest, level), moment
        level = max(0.0, level - 1.0)
    return lowest, min(burst, level + (refused_s - at_s) * rate)
