"""The engine of one process: PgQueuer with its in-memory adapter.

The same queue manager, priorities and limits as PgQueuer on PostgreSQL, without a server. A run
that fails is a job that succeeded: what happened to it stands in `runs`, never in the queue.
"""

from __future__ import annotations

from datetime import timedelta

from pgqueuer import PgQueuer
from pgqueuer.adapters.inmemory import InMemoryDriver, InMemoryQueries
from pgqueuer.models import Context, Job
from pgqueuer.types import JobId

from pipeline.engine.port import Execute
from pipeline.engine.run_tasks import RunTasks

ENTRYPOINT = "execute_run"
LEASE = timedelta(days=1)  # nobody else can pick a job up, so it must never look abandoned
BATCH = 100  # jobs taken from the queue at once


class InMemoryEngine:
    """Owned by one loop. Implements `pipeline.engine.port.Engine`."""

    def __init__(self) -> None:
        driver = InMemoryDriver()
        self._queries = InMemoryQueries(driver)
        self._queue = PgQueuer(driver, queries=self._queries)
        self._jobs: dict[str, JobId] = {}  # queued or executing, and not cancelled
        self._runs = RunTasks()

    async def submit(self, run_id: str, priority: int = 0) -> None:
        if run_id in self._jobs:
            return
        (job_id,) = await self._queries.enqueue(ENTRYPOINT, run_id.encode(), priority)
        self._jobs[run_id] = job_id

    async def cancel(self, run_id: str) -> None:
        job_id = self._jobs.pop(run_id, None)
        if job_id is not None:
            await self._queries.mark_job_as_cancelled([job_id])

    async def serve(self, handler: Execute, concurrency: int) -> None:
        @self._queue.entrypoint(ENTRYPOINT, concurrency_limit=concurrency, accepts_context=True)
        async def execute(job: Job, context: Context) -> None:
            await self._execute(handler, job, context)

        await self._queue.qm.run(
            batch_size=BATCH,
            heartbeat_timeout=LEASE,
            log_aggregation_interval=timedelta(0),  # statistics nobody reads
        )

    async def aclose(self) -> None:
        self._queue.shutdown.set()
        await self._runs.aclose()

    async def _execute(self, handler: Execute, job: Job, context: Context) -> None:
        if self._queue.shutdown.is_set():
            return  # taken from the queue just before closing; the next start continues it
        run_id = (job.payload or b"").decode()
        try:
            # one that is not done is submitted again by whoever owns this engine
            await self._runs.execute(handler, run_id, context.cancellation)
        finally:
            if self._jobs.get(run_id) == job.id:
                del self._jobs[run_id]
            # its log of finished jobs would grow for ever
            await self._queries.clear_queue_log()
