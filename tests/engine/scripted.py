"""A pipeline of three agents that does what the test says, for this process or a child's.

It keeps the handler's rules: finished agents are reused, facts and checkpoints go through the
journal, cancellation is recorded and passed on.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict
from pathlib import Path

from pipeline.engine import RunContext, RunOutcome, Runtime
from pipeline.events import AgentFinished, AgentStarted, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.models import AgentOutput, AgentState, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import Settings

AGENTS = ("planner", "writer", "editor")


class ScriptedPipeline:
    """`held` agents wait until released or cancelled; `bugs` raise; everything done is in `worked`."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.bugs: dict[str, Exception] = {}
        self.closing = asyncio.Event()  # a cancelled agent waits for it before it lets go
        self.closing.set()
        self.outcome = RunOutcome(RunStatus.DONE, makespan_s=1.0)
        self.worked: list[str] = []
        self.contexts: list[RunContext] = []
        self.specs: list[RunSpec] = []
        self.reached: dict[str, threading.Event] = defaultdict(threading.Event)
        self._released: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.at_once = 0
        self.padding = ""  # of every output
        self.most_at_once = 0

    async def __call__(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        self.specs.append(spec)
        self.contexts.append(context)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        journal.record(RunStarted, wall_at=wall_now(), reused=sorted(journal.checkpoints))
        try:
            for agent in AGENTS:
                if agent not in journal.checkpoints:
                    await self._work(agent, journal)
        finally:
            self.at_once -= 1
        return self.outcome

    async def release(self, agent: str) -> None:
        """Let a held agent go on, for good. Called in the loop."""
        self.held.discard(agent)
        self._released[agent].set()

    async def _work(self, agent: str, journal: Journal) -> None:
        journal.record(AgentStarted, agent=agent)
        self.worked.append(agent)
        self.reached[agent].set()
        if agent in self.bugs:
            raise self.bugs[agent]
        try:
            if agent in self.held:
                await self._released[agent].wait()
        except asyncio.CancelledError:
            await self.closing.wait()
            journal.record(AgentFinished, agent=agent, state=AgentState.CANCELLED.value)
            raise
        output = AgentOutput(f"{agent} in epoch {journal.epoch}" + self.padding)
        await journal.commit(Checkpoint(agent, "key", journal.epoch, output, Usage(1, 1)))
        journal.record(AgentFinished, agent=agent, state=AgentState.DONE.value)


def child(folder: Path, held: str) -> None:
    """Submit a run, say its id once `held` has begun, and wait to be killed."""
    pipeline = ScriptedPipeline()
    pipeline.held.add(held)
    with Runtime(Settings(data_dir=folder, database_url=None), pipeline) as runtime:
        run_id = runtime.submit(RunSpec(topic="Tidal power"))
        pipeline.reached[held].wait(30)
        print(run_id, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    child(Path(sys.argv[1]), sys.argv[2])
