"""The runs an engine executes now: each in a task of its own, cancelled once and left to clean up."""

from __future__ import annotations

import asyncio

from anyio import CancelScope

from pipeline.engine.port import Execute


class RunTasks:
    """Owned by one loop."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[bool], str] = {}

    @property
    def run_ids(self) -> frozenset[str]:
        return frozenset(self._tasks.values())

    async def execute(self, handler: Execute, run_id: str, cancellation: CancelScope) -> bool:
        """Execute the run until it ends or `cancellation` is called. False: it is not done yet.

        PgQueuer's scope cancels again and again what waits in it, so the run itself is outside:
        it gets one cancel and may then clean up in peace.
        """
        task: asyncio.Task[bool] = asyncio.ensure_future(handler(run_id))
        task.set_name(f"run:{run_id}")
        self._tasks[task] = run_id
        try:
            with cancellation:
                await asyncio.wait({task})
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if task.cancelled():
                return cancellation.cancel_called  # else this process is what stops
            return task.result()
        finally:
            task.cancel()  # only when the job itself was torn down; else it has ended
            del self._tasks[task]

    def cancel(self, run_id: str) -> None:
        """Cancel what is executing of the run. Does not wait."""
        for task, executing in self._tasks.items():
            if executing == run_id:
                task.cancel()

    async def aclose(self) -> None:
        """Cancel all of them and return when they have ended."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
