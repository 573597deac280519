"""The runs an engine executes now: each in a task of its own, cancelled once and left to clean up."""

from __future__ import annotations

import asyncio

from anyio import CancelScope

from pipeline.engine.port import Execute


class RunTasks:
    """Owned by one loop."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[bool], str] = {}
        self._stopped: set[asyncio.Task[bool]] = (
            set()
        )  # cancelled, and why does not matter any more

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
                self._cancel(task)
                await asyncio.wait({task})
            if task.cancelled():
                # by a person: it is done; else because this process stops
                return cancellation.cancel_called or task in self._stopped
            return task.result()
        finally:
            task.cancel()  # only when the job itself was torn down; else it has ended
            del self._tasks[task]
            self._stopped.discard(task)

    def stop(self, run_id: str) -> None:
        """Cancel what is executing of the run, for good. Does not wait."""
        for task, executing in self._tasks.items():
            if executing == run_id:
                self._cancel(task)

    def interrupt(self) -> None:
        """Cancel all of them, because this process cannot go on with them. Does not wait."""
        for task in self._tasks.keys() - self._stopped:
            task.cancel()

    async def aclose(self) -> None:
        """Interrupt all of them and return when they have ended."""
        self.interrupt()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _cancel(self, task: asyncio.Task[bool]) -> None:
        if task not in self._stopped:
            self._stopped.add(task)
            task.cancel()
