"""What a gate shows of itself: plain, frozen values that become JSON as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.llm.admission.bucket import LimitReading


@dataclass(frozen=True, slots=True)
class WaiterReading:
    """One waiting call. `expected_s` is how much longer, by what is known now; None: unknown."""

    run_id: str
    agent: str
    owner: str
    interactive: bool
    reason: str
    waited_s: float
    expected_s: float | None


@dataclass(frozen=True, slots=True)
class HedgeCounts:
    """Second requests: all, those that answered first, those that did not."""

    sent: int = 0
    won: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class CircuitReading:
    """An open circuit, as people and `/readyz` see it. `probe_in_s` 0: a probe is due or out."""

    endpoint: str
    open_s: float
    probe_in_s: float
    waiting: int
    error: str  # the last failure, in words


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """A gate at one moment, all of it or as one owner may see it. `window` is `max_in_flight`, or less while the endpoint is overloaded.

    `waiters` are in the order in which they would be admitted now, the first of them at most, and
    only the owner's; the numbers count all. `why` says in words what the current rate rests on.
    `tokens_last_minute` counts what is on its way by its estimate. `used_by`: the owners who asked
    here lately, in a snapshot that is nobody's.
    """

    endpoint: str
    model: str
    in_flight: int
    max_in_flight: int
    window: int
    waiting: int
    waiting_interactive: int
    waiting_batch: int
    waiters: tuple[WaiterReading, ...]
    limits: tuple[LimitReading, ...]
    why: str
    cooling_s: float
    admitted: int
    refused: int
    refused_last_minute: int
    hedges: HedgeCounts
    circuit: CircuitReading | None = None  # of the endpoint; None: closed
    admitted_last_minute: int = 0
    tokens_last_minute: float = 0.0
    used_by: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For those who look from outside: all but `used_by`."""
        shown = asdict(self)
        del shown["used_by"]
        return shown
