"""What the engine promises, and what it runs: interfaces and plain values.

An engine carries only "execute run_id"; the tables are the truth about the run. The handler is
the pipeline itself, injected, so that the engine knows nothing about agents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pipeline.budgets import Ledger
from pipeline.journal import Journal
from pipeline.models import Endpoint, RunSpec, RunStatus
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run may use besides its spec. `typed_endpoint` is set when its key was typed."""

    settings: Settings
    owner: str
    typed_endpoint: Endpoint | None = None
    ledger: Ledger | None = None  # where budgets are kept; None: in memory


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
Execute = Callable[[str], Awaitable[None]]


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
