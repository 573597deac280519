"""What the engine promises, and what it runs: interfaces and plain values.

An engine carries only "execute run_id"; the tables are the truth about the run. The handler is
the pipeline itself, injected, so that the engine knows nothing about agents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from pipeline.budgets import Ledger
from pipeline.engine.health import Part
from pipeline.events import AnyEvent
from pipeline.journal import Journal
from pipeline.knowledge.service import Knowledge
from pipeline.llm.admission.team import TeamSnapshot
from pipeline.models import Endpoint, RunSpec, RunStatus
from pipeline.settings import Settings

WIND_DOWN_S = 5.0  # what a cancelled run gets to close its calls


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run may use besides its spec. `typed_endpoint` is set when its key was typed."""

    settings: Settings
    owner: str
    typed_endpoint: Endpoint | None = None
    ledger: Ledger | None = None  # where budgets are kept; None: in memory
    knowledge: Knowledge | None = None  # the documents of all owners


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How an execution ended, in the columns of `runs`."""

    status: RunStatus
    degraded: tuple[str, ...] = ()
    error: str = ""
    error_code: str = ""
    makespan_s: float | None = None
    saved_share: float | None = None


RunHandler = Callable[[RunSpec, Journal, RunContext], Awaitable[RunOutcome]]
RunEnded = Callable[[str, RunSpec, Sequence[AnyEvent]], None]  # id, spec, all facts; at once
HandOver = Callable[[Connection, int], None]  # in the transaction of the run's row, with its epoch
Execute = Callable[[str], Awaitable[bool]]  # False: it should be executed again


class Engine(Protocol):
    """Decides which process executes a run, and when. Ids only; no data."""

    async def submit(self, run_id: str, priority: int = 0) -> None:
        """Have the run executed, once; an id that is already queued or executing is left alone."""

    async def cancel(self, run_id: str) -> None:
        """Forget the run if it is queued; cancel its coroutine if it is executing. Does not wait."""

    async def serve(self, handler: Execute, concurrency: int) -> None:
        """Execute runs, highest priority first, `concurrency` at once, until `aclose`."""

    async def aclose(self) -> None:
        """Take no more runs, cancel those executing and return when they have ended."""


class Execution(Protocol):
    """How the runs this process takes in get executed: here, or by others. Owned by one loop."""

    @property
    def is_engine(self) -> bool:
        """True when runs execute in this process."""

    @property
    def failure(self) -> BaseException | None:
        """Why this process stopped executing runs, if it did and cannot mend it."""

    def health(self, unfinished: int) -> Part:
        """How the queue is, for `/readyz`; `unfinished` runs are in the store."""

    async def start(self) -> None:
        """Begin to execute and watch. Raises `StoreError` with what to do."""

    async def aclose(self) -> None:
        """Interrupt what executes here, so that it continues elsewhere or at the next start."""

    async def workers(self) -> int | None:
        """Processes that take runs from the queue now; None where there is no team."""

    async def team(self, owner: str, *, patient: bool = False) -> TeamSnapshot | None:
        """What the team does now, as the owner may see it; None where there is no team.

        Also None while nothing is known yet, unless it is `patient` and waits up to two seconds.
        """

    async def drain(self) -> frozenset[str]:
        """Take no more runs; the ids of those still executing here. Meant to be asked again."""

    def check_typed_key(self) -> None:
        """Raise `EngineBusy` when a run on a typed key could not execute in this process."""

    def handing_over(
        self, run_id: str, priority: int, *, typed: bool
    ) -> AbstractAsyncContextManager[HandOver | None]:
        """Have the run executed once its row is stored, inside the `with`.

        What is given belongs into the transaction that stores it. A typed key keeps it here.
        """

    def cancelling(self, run_id: str) -> HandOver | None:
        """What belongs into the transaction that cancels or deletes the run."""

    async def cancelled(self, run_id: str) -> None:
        """Stop what executes of a run that is cancelled in the store. Does not wait."""

    def watch(self, run_id: str) -> None:
        """Have `journal` know the run for the next ten seconds, if it executes elsewhere."""

    def journal(self, run_id: str) -> Journal | None:
        """Of a watched run that executes in another process, as far as is known. Any thread."""
