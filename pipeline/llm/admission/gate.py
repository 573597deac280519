"""Hold calls back until they may go out: the one gate of an endpoint and model.

All runs of a process pass the same gate. Who is next is `fair_queue.py`'s decision, how much is
left of a known limit `bucket.py`'s, how fast an unknown limit lets us go `rate.py`'s, how many
may be in flight `in_flight.py`'s; this module asks them and acts. A slot is held only while a
call is in flight, never during a backoff; nothing is locked while anybody sleeps; one timer per
gate wakes whoever is next.

Time is the running loop's own. A gate belongs to one loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

from pipeline.base_url import address
from pipeline.errors import RateLimited
from pipeline.llm.admission.bucket import Bucket, LimitReading, LimitSource, is_possible
from pipeline.llm.admission.circuit import Breaker, CircuitRules
from pipeline.llm.admission.fair_queue import OWNERS_REMEMBERED, FairQueue, Waiting
from pipeline.llm.admission.hedging import FirstTokenTimes
from pipeline.llm.admission.in_flight import InFlightWindow
from pipeline.llm.admission.last_minute import LastMinute
from pipeline.llm.admission.lease import LeaseHolder
from pipeline.llm.admission.rate import RateController, Sent
from pipeline.llm.admission.shared import GateKey, SharedLimits
from pipeline.llm.admission.snapshot import CircuitReading, GateSnapshot, WaiterReading
from pipeline.llm.admission.ticket import NOBODY, Ticket
from pipeline.llm.retry import RETRY_AFTER_MAX_S
from pipeline.models import LimitUnit, ToldLimit, plausible_tokens

RESTART_DOUBLES_S = 0.1  # after a cool-down: one call, then twice as many every so often
RESTART_CALLS = 64  # after so many the restart is over
WAITERS_SHOWN = 200
WAIT_MAX_S = 86_400.0  # nobody waits longer: whatever is wrong then, waiting does not mend it
PERIODS_KEPT = 5.0  # a told limit that is not heard of for so many periods is forgotten
FLAKY_S = 600.0  # so long after a broken reply was mended others may break by chance too
_MINUTE_S = 60.0

_logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Grant:
    """Permission for one call: give it back with `Gate.release`, whatever happened."""

    ticket: Ticket
    tokens: float  # reserved
    sent: Sent
    at_s: float
    unheard: bool = True  # no answer yet, not even headers
    settled: bool = False
    released: bool = False


class Gate:
    """At most `max_in_flight` calls at once, and no faster than the limits that are known.

    `requests_per_minute` are spread evenly; `tokens_per_minute` may be used in one go. Limits the
    provider tells are kept as well. `shared` makes several processes keep them together.
    """

    def __init__(
        self,
        max_in_flight: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        *,
        key: GateKey = ("", ""),
        shared: SharedLimits | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        _check_limits(max_in_flight, requests_per_minute, tokens_per_minute)
        self.max_in_flight = max_in_flight
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.first_tokens = FirstTokenTimes()
        self.breaker = breaker or Breaker(key[0])  # of the endpoint: all its models share it
        self._key = key
        self._request_buckets: dict[object, Bucket] = {}
        self._token_buckets: dict[object, Bucket] = {}
        if requests_per_minute is not None:
            self._request_buckets["set"] = Bucket("requests", requests_per_minute, even=True)
        if tokens_per_minute is not None:
            self._token_buckets["set"] = Bucket("tokens", tokens_per_minute)
        self._unnamed_s: dict[LimitUnit, float] = {}  # what limits without a period count in
        self._window = InFlightWindow(max_in_flight)
        self._rate = RateController()
        self._queue: FairQueue[asyncio.Future[Grant]] = FairQueue()
        self._in_flight = 0
        self._unheard = [0, 0.0]  # requests and tokens out, not in the provider's count yet
        self._cool_until_s = -math.inf
        self._restarted = RESTART_CALLS  # calls since the last cool-down
        self._wake_up: asyncio.TimerHandle | None = None
        self._wake_up_s = -math.inf
        self._admitted = 0
        self._mended_s = -math.inf
        self._calls, self._tokens = LastMinute(), LastMinute()
        self._refused = 0
        self._has_doubted = False
        self._owners: dict[str, None] = {}
        self._refused_at: deque[float] = deque(maxlen=10_000)
        self._held_mean_s: float | None = None  # how long a call keeps its slot
        self._lease = None if shared is None else LeaseHolder(shared, key, self._hand_out)

    # asking

    @asynccontextmanager
    async def admit(self, ticket: Ticket = NOBODY, tokens: float = 0.0) -> AsyncIterator[Grant]:
        """Hold one slot for the body. Cancelling at any await gives it back."""
        grant = self.try_acquire(ticket, tokens) or await self.acquire(ticket, tokens)
        try:
            yield grant
        finally:
            self.release(grant)

    def try_acquire(self, ticket: Ticket = NOBODY, tokens: float = 0.0) -> Grant | None:
        """Permission without waiting, or None. Never overtakes anybody who waits."""
        if len(self._queue) or self.wait_reason(tokens):
            return None
        return self._grant(ticket, tokens, _now())

    async def acquire(
        self, ticket: Ticket = NOBODY, tokens: float = 0.0, *, since_s: float | None = None
    ) -> Grant:
        """Wait for permission; give it back with `release`. Cancelling gives it back too.

        `since_s` keeps the age of a call that was here before. Raises `RateLimited` when a limit
        the provider told will be used up for longer than anybody should wait.
        """
        loop = asyncio.get_running_loop()
        self._note_owner(ticket.owner)
        turn: asyncio.Future[Grant] = loop.create_future()
        entry = self._queue.push(turn, ticket, loop.time() if since_s is None else since_s, tokens)
        self._hand_out()
        try:
            return await turn
        except BaseException:
            self._queue.discard(entry)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())  # the slot was ours already
            else:
                self._hand_out()  # whoever is next may need less
            raise

    def release(self, grant: Grant) -> None:
        """The call is over: give the slot back. Later calls do nothing."""
        if grant.released:
            return
        grant.released = True
        self.heard(grant)
        held_s = _now() - grant.at_s
        mean_s = self._held_mean_s
        self._held_mean_s = held_s if mean_s is None else mean_s + 0.1 * (held_s - mean_s)
        self._in_flight -= 1
        self._hand_out()

    def wait_reason(self, tokens: float = 0.0) -> str:
        """Why a call would wait now: `cooling`, `in_flight`, `rate`, `tokens`, `shared`, or ""."""
        now = _now()
        if self._in_flight >= self._window.size and self._cool_until_s <= now:
            return "in_flight"
        start_s, reason = self._earliest(now, tokens)
        return reason if start_s > now else ""

    @property
    def is_flaky(self) -> bool:
        """Replies broke by chance lately: one came whole when it was asked for again."""
        return _now() - self._mended_s < FLAKY_S

    @property
    def counts_tokens(self) -> bool:
        """True when tokens are limited: only then is it worth estimating them."""
        return bool(self._token_buckets) or self._lease is not None

    def expected_s(self, tokens: float = 0.0) -> float | None:
        """How long a call that came last would wait, by what is known now; None: not known."""
        return self._expected_s(_now(), len(self._queue), tokens)

    # what calls tell

    def heard(self, grant: Grant, told: tuple[ToldLimit, ...] = ()) -> None:
        """An answer began, with what its headers say of the limits. Later calls do nothing."""
        if not grant.unheard:
            return
        grant.unheard = False
        self._unheard[0] -= 1
        self._unheard[1] -= grant.tokens
        if told:
            self._take_over(told, "header")
            self._news()

    def good(self, grant: Grant) -> None:
        """The call got its reply."""
        self._window.good(self._in_flight)
        self._forget(_now())

    def mended(self) -> None:
        """A call got its reply after another had broken."""
        self._mended_s = _now()

    def settle(self, grant: Grant, used_tokens: float | None) -> None:
        """Replace the reserved tokens by those used; None: not told, the reservation stands.

        Far more than was reserved is not believed: every later call would pay for it.
        """
        if grant.settled or used_tokens is None or math.isnan(used_tokens):
            return
        grant.settled = True
        used = plausible_tokens(used_tokens, grant.tokens)
        if used != used_tokens:
            self._doubt(used_tokens, used)
        spare = grant.tokens - used
        if spare == 0.0:
            return
        now = _now()
        self._tokens.add(now, -spare)
        for bucket in self._token_buckets.values():
            bucket.give_back(now, spare)
        if self._lease is not None:
            self._lease.settle(spare)
        if spare > 0:
            self._hand_out()

    def _doubt(self, told: float, counted: float) -> None:
        if not self._has_doubted:
            self._has_doubted = True
            _logger.warning(
                "%s tells of %g tokens used by a call; %g are counted. More such figures of this "
                "endpoint and model are not logged.",
                address(self._key[0]),
                told,
                counted,
            )

    def refused(self, grant: Grant, error: RateLimited) -> None:
        """The provider refused the call with a 429: everybody waits, and the limits are learned."""
        now = _now()
        self._refused += 1
        self._refused_at.append(now)
        self.heard(grant)
        self.settle(grant, 0.0)
        self._take_over(error.limits, "429 body")
        if any(told.unit == "in_flight" for told in error.limits):
            self._window.overloaded(now, self._in_flight)
        asked_s = error.retry_after_s or 0.0
        asked_s = asked_s if asked_s <= RETRY_AFTER_MAX_S else 0.0
        if not self._explains(now, grant):
            self._rate.on_429(now, grant.sent, asked_s)
        if asked_s:
            self.cool(asked_s)
        self._news()

    def overloaded(self) -> None:
        """A call failed in a way that fewer calls at once may help against."""
        self._window.overloaded(_now(), self._in_flight)

    def cool(self, delay_s: float) -> None:
        """Admit nobody for `delay_s`: the provider told one caller to wait, and means all."""
        self._cool_until_s = max(self._cool_until_s, _now() + delay_s)
        self._restarted = 0
        if self._lease is not None:
            self._lease.cool(delay_s)

    async def aclose(self) -> None:
        """Stop asking the shared port. Nobody may wait any more."""
        self._cancel_timer()
        if self._lease is not None:
            await self._lease.aclose()

    # showing

    def is_used_by(self, owner: str) -> bool:
        """True when the owner asked here lately: others need not know where calls go."""
        return owner in self._owners

    def snapshot(self, owner: str | None = None) -> GateSnapshot:
        """The gate now; with `owner` only their calls by name."""
        now = _now()
        while self._refused_at and now - self._refused_at[0] > _MINUTE_S:
            self._refused_at.popleft()
        urgent, batch = self._queue.counts
        return GateSnapshot(
            endpoint=self._key[0],
            model=self._key[1],
            in_flight=self._in_flight,
            max_in_flight=self.max_in_flight,
            window=self._window.size,
            waiting=urgent + batch,
            waiting_interactive=urgent,
            waiting_batch=batch,
            waiters=self._waiters(now, owner),
            limits=self._limits(now),
            why=_why(self._rate, self._request_buckets, self._window),
            cooling_s=max(0.0, self._cool_until_s - now),
            admitted=self._admitted,
            refused=self._refused,
            refused_last_minute=len(self._refused_at),
            hedges=self.first_tokens.counts,
            circuit=self.breaker.reading(),
            admitted_last_minute=int(self._calls.total(now)),
            tokens_last_minute=self._tokens.total(now),
            used_by=tuple(self._owners) if owner is None else (),
        )

    def _waiters(self, now: float, owner: str | None) -> tuple[WaiterReading, ...]:
        reason = self.wait_reason()
        in_order = enumerate(self._queue.in_order(self._crowded))
        seen = (each for each in in_order if owner is None or each[1].ticket.owner == owner)
        return tuple(
            WaiterReading(
                run_id=entry.ticket.run_id,
                agent=entry.ticket.agent,
                owner=entry.ticket.owner,
                interactive=entry.ticket.interactive,
                reason=self.wait_reason(entry.tokens) if place == 0 else reason or "in_flight",
                waited_s=round(now - entry.since_s, 2),
                expected_s=self._expected_s(now, place, entry.tokens),
            )
            for place, entry in islice(seen, WAITERS_SHOWN)
        )

    def _limits(self, now: float) -> tuple[LimitReading, ...]:
        known = [*self._request_buckets.values(), *self._token_buckets.values()]
        readings = [bucket.reading(now) for bucket in known]
        estimate = self._rate.reading().estimate_per_s
        if estimate is not None:
            readings.append(LimitReading("requests", round(60.0 * estimate, 1), None, "learned"))
        return tuple(readings)

    def _expected_s(self, now: float, place: int, tokens: float) -> float | None:
        """`place` calls go first, each as fast as limits and slots let them."""
        start_s, _ = self._earliest(now, tokens)
        wait_s = max(0.0, start_s - now)
        per_s = [bucket.per_s for bucket in self._request_buckets.values()]
        rate = self._rate.reading().rate_per_s
        if rate is not None:
            per_s.append(rate)
        behind = max(0, place + 1 - max(0, self._window.size - self._in_flight))
        if behind and self._held_mean_s is None:
            return None
        queue_s = place / min(per_s) if per_s else 0.0
        slots_s = behind * (self._held_mean_s or 0.0) / self._window.size
        return round(wait_s + max(queue_s, slots_s), 2)

    # deciding

    @property
    def _crowded(self) -> bool:
        """More runs wait than a quarter of the slots: the older run first, else the longer path."""
        return 4 * self._queue.runs > self._window.size

    def _hand_out(self) -> None:
        """Give slots to those first in line while limits allow; else come back when they do."""
        self._end_the_endless()
        while len(self._queue) and self._in_flight < self._window.size:
            now = _now()
            entry = self._queue.first(now, self._crowded)
            if entry is None:
                return
            start_s, _ = self._earliest(now, entry.tokens)
            if start_s - now > RETRY_AFTER_MAX_S and (used_up := self._used_up(now, entry.tokens)):
                self._give_up(entry, used_up)
                continue
            if start_s > now:
                if start_s < math.inf:
                    self._wake_at(start_s)
                return
            self._queue.take(entry, now)
            if not entry.item.done():
                entry.item.set_result(self._grant(entry.ticket, entry.tokens, now))
        self._cancel_timer()

    def _end_the_endless(self) -> None:
        now = _now()
        while (entry := self._queue.oldest()) is not None and now - entry.since_s >= WAIT_MAX_S:
            too_long = RateLimited(
                "The call has waited a day for its turn.",
                "Raise the limits or start fewer runs, then continue the run.",
            )
            self._give_up(entry, too_long)

    def _news(self) -> None:
        """Limits are not what they were: there may be room, or none for longer than one waits."""
        now = _now()
        while (entry := self._queue.first(now, self._crowded)) is not None:
            used_up = self._used_up(now, entry.tokens)
            if used_up is None:
                break
            self._give_up(entry, used_up)
        self._hand_out()

    def _give_up(self, entry: Waiting[asyncio.Future[Grant]], error: RateLimited) -> None:
        self._queue.discard(entry)
        if not entry.item.done():  # else it was cancelled in this very turn of the loop
            entry.item.set_exception(error)

    def _note_owner(self, owner: str) -> None:
        self._owners.pop(owner, None)
        self._owners[owner] = None  # last used, last forgotten
        if len(self._owners) > OWNERS_REMEMBERED:
            del self._owners[next(iter(self._owners))]

    def _grant(self, ticket: Ticket, tokens: float, now: float) -> Grant:
        self._note_owner(ticket.owner)
        for bucket in self._request_buckets.values():
            bucket.take(now, 1.0)
        for bucket in self._token_buckets.values():
            bucket.take(now, tokens)
        if self._lease is not None:
            self._lease.take(tokens)
        self._in_flight += 1
        self._admitted += 1
        self._calls.add(now)
        self._tokens.add(now, tokens)
        self._restarted += 1
        self._unheard[0] += 1
        self._unheard[1] += tokens
        return Grant(ticket, tokens, self._rate.on_sent(now), now)

    def _earliest(self, now: float, tokens: float) -> tuple[float, str]:
        """When limits let a call of so many tokens go, and which of them decides."""
        if self._cool_until_s > now:
            return self._cool_until_s, "cooling"
        start_s, reason = self._rate.next_allowed_s(now), "rate"
        for bucket in self._request_buckets.values():
            if (at_s := now + bucket.wait_s(now, 1.0)) > start_s:
                start_s = at_s
        for bucket in self._token_buckets.values():
            if (at_s := now + bucket.wait_s(now, tokens)) > start_s and at_s > now:
                start_s, reason = at_s, "tokens"
        if self._restarted < RESTART_CALLS:
            ramp_s = RESTART_DOUBLES_S * math.log2(self._restarted + 1)
            if (at_s := self._cool_until_s + ramp_s) > max(start_s, now):
                start_s, reason = at_s, "cooling"
        if self._lease is not None:
            at_s = self._lease.earliest(now, tokens, len(self._queue))
            if at_s > max(start_s, now):
                start_s, reason = at_s, "shared"
        return start_s, reason

    def _used_up(self, now: float, tokens: float) -> RateLimited | None:
        """A told limit that is used up for too long: nobody should wait for that."""
        needs = [(b, 1.0) for b in self._request_buckets.values()]
        needs += [(b, tokens) for b in self._token_buckets.values()]
        for bucket, need in needs:
            wait_s = bucket.wait_s(now, need)
            if wait_s > RETRY_AFTER_MAX_S and bucket.source != "configured":
                return RateLimited(
                    f"The endpoint's limit of {bucket.limit:g} {bucket.unit} is used up.",
                    f"There is room again in {wait_s:.0f} s. Continue the run after that.",
                    retry_after_s=wait_s,
                )
        return None

    def _take_over(self, told: tuple[ToldLimit, ...], source: LimitSource) -> None:
        now = _now()
        told = tuple(limit for limit in told if is_possible(limit))
        for limit in told:
            if limit.unit == "in_flight":
                continue
            is_requests = limit.unit == "requests"
            buckets = self._request_buckets if is_requests else self._token_buckets
            period_s = limit.period_s or self._unnamed_s.get(limit.unit, _MINUTE_S)
            bucket = buckets.pop(period_s, None)
            if bucket is None:
                if limit.limit is None:
                    continue
                bucket = Bucket(limit.unit, limit.limit, period_s)
            bucket.source = source
            bucket.correct(now, limit, self._unheard[0 if is_requests else 1])
            buckets[bucket.period_s] = bucket  # whoever told it, by whatever name
            if limit.period_s is None:
                self._unnamed_s[limit.unit] = bucket.period_s
        self._forget(now)
        if self._lease is not None and told:
            self._lease.learned(told)

    def _forget(self, now: float) -> None:
        """Drop told limits nobody speaks of any more: they may be gone, or called otherwise."""
        for buckets in (self._request_buckets, self._token_buckets):
            for key, bucket in list(buckets.items()):
                kept_s = PERIODS_KEPT * max(_MINUTE_S, bucket.period_s)
                if bucket.source != "configured" and now - bucket.heard_s > kept_s:
                    del buckets[key]

    def _explains(self, now: float, grant: Grant) -> bool:
        """True when a known limit was used up: the refusal tells nothing about an unknown one."""
        return any(
            bucket.source != "configured" and bucket.wait_s(now, need) > 0.0
            for buckets, need in (
                (self._request_buckets, 1.0),
                (self._token_buckets, grant.tokens),
            )
            for bucket in buckets.values()
        )

    # the one timer

    def _wake_at(self, at_s: float) -> None:
        if self._wake_up is not None:
            if self._wake_up_s == at_s:
                return
            self._wake_up.cancel()
        self._wake_up_s = at_s  # kept here: another loop's handle may not know
        self._wake_up = asyncio.get_running_loop().call_at(at_s, self._wake)

    def _wake(self) -> None:
        self._wake_up = None
        self._hand_out()

    def _cancel_timer(self) -> None:
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None


def _why(rate: RateController, requests: dict[object, Bucket], window: InFlightWindow) -> str:
    reading = rate.reading()
    parts = []
    if reading.phase == "searching":
        parts.append("refused, looking for the rate the endpoint takes")
    elif reading.phase == "indifferent":
        parts.append("refused now and then, whatever the rate: not slowed down for it")
    elif reading.estimate_per_s is not None:
        parts.append(
            f"{60 * reading.estimate_per_s:.0f} requests/min, from {reading.evidence} requests "
            f"accepted between refusals"
        )
    elif not requests:
        parts.append("no limit known")
    if window.size < window.limit:
        parts.append("fewer at once after signs of overload")
    return "; ".join(parts)


def _check_limits(
    max_in_flight: int, requests_per_minute: int | None, tokens_per_minute: int | None
) -> None:
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight is {max_in_flight}; it must be at least 1")
    for name, limit in (
        ("requests_per_minute", requests_per_minute),
        ("tokens_per_minute", tokens_per_minute),
    ):
        if limit is not None and limit < 1:
            raise ValueError(f"{name} is {limit}; use None for no limit")


class GateRegistry:
    """The gates of one loop: the same endpoint and model always get the same gate."""

    def __init__(
        self,
        max_in_flight: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        *,
        shared: SharedLimits | None = None,
        circuit: CircuitRules | None = None,
    ) -> None:
        self._limits = (max_in_flight, requests_per_minute, tokens_per_minute)
        self._shared = shared
        self._rules = circuit
        self._breakers: dict[str, Breaker] = {}
        self._own: set[str] = set()
        self._gates: dict[GateKey, Gate] = {}

    def keep_own(self, base_url: str) -> None:
        """No other process talks to this endpoint (our demo provider): nothing is shared there."""
        self._own.add(base_url.rstrip("/"))

    def gate_for(self, base_url: str, model: str) -> Gate:
        key = (base_url.rstrip("/"), model)
        gate = self._gates.get(key)
        if gate is None:
            breaker = self._breakers.setdefault(key[0], Breaker(key[0], self._rules))
            shared = None if key[0] in self._own else self._shared
            gate = self._gates[key] = Gate(*self._limits, key=key, shared=shared, breaker=breaker)
        return gate

    def circuits(self) -> tuple[CircuitReading, ...]:
        """Endpoints that are left alone now because they seem to be down."""
        readings = (breaker.reading() for breaker in self._breakers.values())
        return tuple(reading for reading in readings if reading is not None)

    def snapshot(self, owner: str | None = None) -> dict[GateKey, GateSnapshot]:
        """Every gate; with `owner` those they use, with only their calls by name."""
        return {
            key: gate.snapshot(owner)
            for key, gate in self._gates.items()
            if owner is None or gate.is_used_by(owner)
        }

    async def aclose(self) -> None:
        """Stop what the gates do by themselves. Nobody may wait any more."""
        for gate in self._gates.values():
            await gate.aclose()


def _now() -> float:
    return asyncio.get_running_loop().time()
