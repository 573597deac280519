"""What the processes of a team show of themselves together: plain, frozen values. Pure.

A process shows its own gates as `GateSnapshot`s; here are the sums over all of them, beside what
they share: one row of limits for each endpoint and model, one queue of runs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.snapshot import WaiterReading


@dataclass(frozen=True, slots=True)
class SharedRow:
    """The limits that all processes keep together for one endpoint and model, as they are now."""

    endpoint: str
    model: str
    limits: tuple[LimitReading, ...]
    cooling_s: float


@dataclass(frozen=True, slots=True)
class TeamGate:
    """All processes' gates of one endpoint and model, as one owner may see them.

    The numbers count every call of the `processes` that are heard; `waiters` are the owner's.
    `limits` are the shared ones and what processes found out by themselves. `circuit`: why the
    endpoint is left alone, in words; empty when it is not.
    """

    endpoint: str
    model: str
    processes: int
    in_flight: int
    waiting: int
    waiters: tuple[WaiterReading, ...]
    limits: tuple[LimitReading, ...]
    admitted_last_minute: int
    tokens_last_minute: float
    refused_last_minute: int
    cooling_s: float
    circuit: str = ""


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """One worker. `heard_s` is how long ago it last gave a sign of life.

    `concurrency`, `in_flight` and `waiting` (calls) are None until it has told of itself;
    `is_silent`: it has not lately, though it was asked, so that nobody knows what it does.
    """

    id: str
    concurrency: int | None
    runs: int
    in_flight: int | None
    waiting: int | None
    heard_s: float
    is_silent: bool


@dataclass(frozen=True, slots=True)
class TeamSnapshot:
    """A team at one moment. `running` counts against `max_running`; runs on typed keys do not.

    `age_s` is how old the database's part of it is: seconds, when the database does not answer.
    """

    running: int
    max_running: int
    running_typed: int
    queued: int
    workers: tuple[WorkerReading, ...]
    gates: tuple[TeamGate, ...]
    age_s: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
