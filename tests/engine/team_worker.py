"""A worker process whose agents take their time and write down what they do; for `test_team.py`.

`python -m tests.engine.team_worker LOG AGENT_S CONCURRENCY`, with DATABASE_URL and GANTRY_LEASE_S in
the environment. Each line of LOG is `what run agent epoch pid`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine import RunContext, RunOutcome, Runtime
from pipeline.engine.worker import work
from pipeline.errors import GantryError
from pipeline.events import AgentFinished, AgentStarted, RunFinished, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.models import AgentOutput, AgentState, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import load_settings

AGENTS = ("planner", "writer", "editor")
TOKEN_S = 0.02


@dataclass(frozen=True)
class SlowPipeline:
    """Three agents, one after another; each streams for `agent_s`, in `TOKEN_S` steps."""

    log: Path
    agent_s: float

    async def __call__(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        journal.record(RunStarted, wall_at=wall_now(), reused=sorted(journal.checkpoints))
        for agent in AGENTS:
            if agent not in journal.checkpoints:
                await self._work(agent, journal)
        journal.record(RunFinished, status="done")
        return RunOutcome(RunStatus.DONE, makespan_s=1.0)

    async def _work(self, agent: str, journal: Journal) -> None:
        self._note("calls", agent, journal)
        journal.record(AgentStarted, agent=agent)
        for number in range(round(self.agent_s / TOKEN_S)):
            journal.add_text(agent, f"{number} ")
            await asyncio.sleep(TOKEN_S)
        output = AgentOutput(f"{agent} in epoch {journal.epoch}")
        await journal.commit(Checkpoint(agent, "key", journal.epoch, output, Usage(1, 1)))
        self._note("kept", agent, journal)
        journal.record(AgentFinished, agent=agent, state=AgentState.DONE.value)

    def _note(self, what: str, agent: str, journal: Journal) -> None:
        line = f"{what} {journal.run_id} {agent} {journal.epoch} {os.getpid()}\n"
        with self.log.open("a") as log:  # one write: lines of several processes do not mix
            log.write(line)


def main(log: str, agent_s: str, concurrency: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    pipeline = SlowPipeline(Path(log), float(agent_s))
    try:
        work(Runtime(load_settings(), pipeline, concurrency=int(concurrency)))
    except GantryError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
