"""A pipeline whose runs pass a gate, as a worker in this process or one of its own; for `test_team_load.py`.

`python -m tests.engine.gated CONCURRENCY`, with DATABASE_URL and GANTRY_LEASE_S in the environment.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from pipeline.engine import RunContext, RunOutcome, Runtime
from pipeline.engine.worker import work
from pipeline.events import RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.llm.admission import GateRegistry, GateSnapshot, Ticket
from pipeline.models import RunSpec, RunStatus
from pipeline.settings import Settings, load_settings
from pipeline.store import database_url
from pipeline.store.shared_limits import PostgresLimits

ENDPOINT = "http://h/v1"
TOKENS = 100.0  # of a call
TOKENS_PER_MINUTE = 60_000


class GatedPipeline:
    """Each run makes one call, of the model its spec names, which ends when `let_go` is called.

    One call at a time goes out of a gate; the others wait.
    """

    def __init__(self, settings: Settings) -> None:
        self.limits = PostgresLimits(
            database_url(settings), requests_per_minute=6_000, tokens_per_minute=TOKENS_PER_MINUTE
        )
        self.gates = GateRegistry(1, 6_000, TOKENS_PER_MINUTE, shared=self.limits)
        self._ends = asyncio.Event()

    def runtime(self, settings: Settings, concurrency: int) -> Runtime:
        return Runtime(
            settings, self, concurrency=concurrency, admission=self.admission, on_stop=self.aclose
        )

    def admission(self, owner: str | None) -> tuple[GateSnapshot, ...]:
        return tuple(self.gates.snapshot(owner).values())

    async def cool(self, model: str, delay_s: float) -> None:
        self.gates.gate_for(ENDPOINT, model).cool(delay_s)

    async def let_go(self) -> None:
        self._ends.set()

    async def aclose(self) -> None:
        await self.gates.aclose()
        await self.limits.aclose()

    async def __call__(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        journal.record(RunStarted, wall_at=wall_now())
        ticket = Ticket(journal.run_id, "topic_planner", context.owner)
        gate = self.gates.gate_for(ENDPOINT, spec.model or "m")
        async with gate.admit(ticket, TOKENS):
            await self._ends.wait()
        return RunOutcome(RunStatus.DONE, makespan_s=1.0)


def main(concurrency: str) -> None:
    logging.basicConfig(level=logging.INFO)
    settings = load_settings()
    work(GatedPipeline(settings).runtime(settings, int(concurrency)))


if __name__ == "__main__":
    main(*sys.argv[1:])
