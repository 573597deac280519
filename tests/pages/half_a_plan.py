"""A pipeline that writes half a plan and goes on until it is cancelled."""

from __future__ import annotations

import asyncio
import threading

from pages._runtime import _holder
from pipeline.engine import RunContext, RunOutcome, Runtime
from pipeline.events import AgentFinished, AgentStarted, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.models import RunSpec, RunStatus
from pipeline.settings import Settings

BEGIN_S = 30.0


class HalfAPlan:
    """Takes the place of the pages' runtime's pipeline; `closing_s` is what closing its call takes."""

    def __init__(self, closing_s: float = 0.0) -> None:
        self.runtime = Runtime(Settings(), self._run)
        self._closing_s = closing_s
        self._begun = threading.Event()
        _holder().runtime = self.runtime
        self.runtime.start()

    def wait(self) -> None:
        assert self._begun.wait(BEGIN_S)

    async def _run(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        journal.record(RunStarted, wall_at=wall_now())
        journal.record(AgentStarted, agent="topic_planner")
        journal.add_text("topic_planner", "Half a plan")
        self._begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self._closing_s)
            journal.record(AgentFinished, agent="topic_planner", state="cancelled")
        return RunOutcome(RunStatus.DONE)
