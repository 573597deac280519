"""Leave an endpoint alone that is down: one call at a time finds out whether it is back.

`Circuit` decides, purely: closed, or open after failures that speak for the endpoint being down,
and when a call may go as a *probe*. `Breaker` acts: calls wait here, before the gate, while the
circuit is open. Time is in seconds of any clock that only goes forward.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass, field
from typing import Literal

from pipeline.base_url import address
from pipeline.errors import (
    CallError,
    DeadlineExceeded,
    EndpointDown,
    ServerFailed,
    StreamBroken,
    Unreachable,
)
from pipeline.llm.admission.snapshot import CircuitReading

OPENS_AFTER = 3  # failures in a row, of all calls to the endpoint together
FORGOTTEN_S = 300.0  # a failure so long ago is no longer one of them
PROBE_EVERY_S = 5.0
PATIENCE_S = 120.0  # a call waits for the endpoint so long, then it fails; the run can go on later

Verdict = Literal["down", "alive", "unknown"]


def verdict_of(error: CallError) -> Verdict:
    """What a failed attempt says of the endpoint, not of the request.

    Refusals (4xx, 429) come from an endpoint that works; a reply that broke or stalled after it
    began is its own trouble.
    """
    match error:
        case Unreachable():
            return "down"
        case ServerFailed() if (error.status or 0) >= 500:
            return "down"
        case DeadlineExceeded() if not error.began:
            return "down"
        case DeadlineExceeded() | StreamBroken():
            return "alive"
        case _:
            return "unknown" if error.status is None else "alive"


@dataclass(frozen=True, slots=True)
class CircuitRules:
    probe_every_s: float = PROBE_EVERY_S
    patience_s: float = PATIENCE_S
    opens_after: int = OPENS_AFTER


@dataclass(slots=True)
class Circuit:
    """The state of one endpoint. Every method is told the time."""

    rules: CircuitRules
    error: str = ""
    opened_s: float | None = None  # None: closed
    probe_at_s: float = 0.0
    _failed_at: list[float] = field(default_factory=list)  # in a row, the newest last
    _tried: set[str] = field(default_factory=set)  # models that failed since the last sign of life
    _is_going: bool = False  # a probe has its turn and is not sent yet

    @property
    def is_open(self) -> bool:
        return self.opened_s is not None

    def failed(self, now: float, model: str, error: str) -> None:
        """An attempt failed in a way that speaks for the endpoint being down."""
        self._failed_at = [t for t in self._failed_at if now - t < FORGOTTEN_S] + [now]
        self._tried.add(model)
        self.error = error
        if self.opened_s is None and len(self._failed_at) >= self.rules.opens_after:
            self.opened_s, self.probe_at_s = now, now + self.rules.probe_every_s

    def alive(self) -> None:
        """The endpoint answered somebody."""
        if self._failed_at or self.opened_s is not None:
            self._failed_at, self._tried, self.opened_s = [], set(), None
            self._is_going = False

    def may_probe(self, now: float, model: str) -> bool:
        """One probe an interval; a model nobody tried since is worth one of its own."""
        if self._is_going or self.opened_s is None:
            return False
        return now >= self.probe_at_s or model not in self._tried

    def probe_goes(self, model: str) -> None:
        self._is_going = True
        self._tried.add(model)

    def probe_sent(self, now: float) -> None:
        self._is_going, self.probe_at_s = False, now + self.rules.probe_every_s

    def probe_given_up(self) -> None:
        """It was never sent: the next one may go in its place."""
        self._is_going = False


@dataclass(slots=True, eq=False)
class Probe:
    """The turn of one call while the circuit is open."""

    sent: bool = False


@dataclass(slots=True, eq=False)
class _Waiter:
    order: tuple[int, int]  # who has failed least goes first: no call burns all its attempts
    model: str
    turn: asyncio.Future[Probe | None]


class Breaker:
    """The circuit of one endpoint and the calls that wait for it. Belongs to one loop."""

    def __init__(self, endpoint: str, rules: CircuitRules | None = None) -> None:
        self._endpoint = endpoint
        self._rules = rules or CircuitRules()
        self._circuit = Circuit(self._rules)
        self._waiters: list[_Waiter] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._circuit.opened_s is not None

    async def turn(self, model: str, failures: int) -> Probe | None:
        """Return when the circuit closes, or with a `Probe` when this call is to find out.

        Whoever gets a probe must tell `probe_sent` and `probe_over`. Raises `EndpointDown` when
        patience ends.
        """
        turn: asyncio.Future[Probe | None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter((failures, next(self._count)), model, turn)
        self._waiters.append(waiter)
        self._hand_out()
        try:
            async with asyncio.timeout(self._rules.patience_s):
                return await turn
        except BaseException as exc:
            if turn.done() and not turn.cancelled() and (probe := turn.result()) is not None:
                self.probe_over(probe)  # it was ours already: somebody else must go
            if isinstance(exc, TimeoutError):
                raise self._down() from exc
            raise
        finally:
            self._waiters.remove(waiter)

    def probe_sent(self, probe: Probe) -> None:
        probe.sent = True
        self._circuit.probe_sent(_now())
        self._hand_out()

    def probe_over(self, probe: Probe) -> None:
        """The probe's attempt has ended, or never began."""
        if not probe.sent:
            probe.sent = True
            self._circuit.probe_given_up()
        self._hand_out()

    def failed(self, model: str, error: CallError) -> None:
        """Take in what a failed attempt says of the endpoint."""
        verdict = verdict_of(error)
        if verdict == "alive":
            self.alive()
        elif verdict == "down":
            self._circuit.failed(_now(), model, _plainly(error))

    def alive(self) -> None:
        """The endpoint answered somebody: whoever waits may go."""
        was_open = self._circuit.is_open
        self._circuit.alive()
        if was_open:
            self._hand_out()

    def reading(self) -> CircuitReading | None:
        """None while the circuit is closed."""
        circuit, now = self._circuit, _now()
        if circuit.opened_s is None:
            return None
        return CircuitReading(
            endpoint=address(self._endpoint),
            open_s=round(now - circuit.opened_s, 1),
            probe_in_s=round(max(0.0, circuit.probe_at_s - now), 1),
            waiting=len(self._waiters),
            error=circuit.error,
        )

    def expected_s(self) -> float:
        """How long until somebody may go at the earliest."""
        return round(max(0.0, self._circuit.probe_at_s - _now()), 2)

    def _down(self) -> EndpointDown:
        opened_s = self._circuit.opened_s
        since = "" if opened_s is None else f" for {math.ceil(_now() - opened_s)} s"
        return EndpointDown(
            f"{address(self._endpoint)} has been down{since}. Last it said: {self._circuit.error}",
            "Continue the run when the endpoint answers again; what is finished is kept.",
        )

    def _hand_out(self) -> None:
        """Give turns: to all when the circuit is closed, else to the one that may probe."""
        if not self.is_open:
            self._cancel_timer()
            for waiter in self._waiters:
                if not waiter.turn.done():
                    waiter.turn.set_result(None)
            return
        now = _now()
        waiting = [w for w in self._waiters if not w.turn.done()]
        for waiter in sorted(waiting, key=lambda w: w.order):
            if self._circuit.may_probe(now, waiter.model):
                self._circuit.probe_goes(waiter.model)
                waiter.turn.set_result(Probe())
                return
        if waiting:
            self._wake_at(max(self._circuit.probe_at_s, now))

    def _wake_at(self, at_s: float) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_at(at_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        if self._waiters:
            self._hand_out()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _plainly(error: CallError) -> str:
    """Without the provider's own words: whoever shares the endpoint sees this."""
    if isinstance(error, ServerFailed):
        return f"The endpoint failed (HTTP {error.status})."
    return error.message


def _now() -> float:
    return asyncio.get_running_loop().time()
