"""The engine of a team: PgQueuer with its PostgreSQL driver, shared by any number of processes.

Jobs are leases: a worker that dies stops its heartbeat, and another takes its jobs over. PgQueuer
acknowledges by job alone; here a job is only acknowledged, prolonged or given back by the worker
that holds it, so that one thought dead cannot take a lease from its successor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.errors import RetryRequested
from pgqueuer.models import CancellationEvent, Context, Job, TableChangedEvent, TracebackRecord
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.types import JOB_STATUS, JobId, QueueEntrypoint, QueueManagerId
from sqlalchemy import URL, Connection

from pipeline.engine.port import Execute, HandOver
from pipeline.engine.run_tasks import RunTasks
from pipeline.engine.steady_connection import SteadyConnection, connection_name
from pipeline.errors import StoreError, StoreUnreachable

ENTRYPOINT = "execute_run"
WORKER, PLAIN = "worker", "queue"  # how the server names the connection of one that takes runs
BATCH = 10  # jobs taken from the queue at once, at most
LOOK_EVERY_S = 2.0  # at most; how long after its lease a dead worker's job is noticed
AGAIN_AFTER = timedelta(seconds=1)  # a run whose store did not answer
SCHEMA_LOCK = 0x47414E54  # "GANT": two processes that start at once must not both install
KEPT_LOG = timedelta(days=7)

logger = logging.getLogger(__name__)
_sql = QueryQueueBuilder()
_queue = _sql.qualified.queue_table
_log = _sql.qualified.queue_table_log


@dataclass(frozen=True, slots=True)
class Holding:
    """What one worker has in hand. `beat_s`: how long ago it last prolonged a lease."""

    runs: int
    beat_s: float


@dataclass(frozen=True, slots=True)
class QueueReading:
    """The queue at one moment. `held` is by worker, living or not; `workers` are connected."""

    queued: int
    held: Mapping[str, Holding]
    workers: int


class PostgresEngine:
    """Owned by one loop. Implements `pipeline.engine.port.Engine`.

    `lease_s` is how long a worker may be silent before its runs go to others. `guard` is called
    before anything is said to the queue; it must not return in a process that was frozen.
    """

    def __init__(
        self,
        url: URL,
        lease_s: float,
        guard: Callable[[], None] = lambda: None,
        name: str = PLAIN,
    ) -> None:
        # a server that is away longer has lost us our leases anyway
        self.connection = SteadyConnection(url, name, patience_s=2 * lease_s)
        self._lease_s = lease_s
        self._queries = _OwnedQueries(self.connection, guard)
        self._queue = PgQueuer(self.connection, queries=self._queries)
        self._runs = RunTasks()
        self._closing = False
        self._queries.on_lost = self._runs.interrupt

    @property
    def process(self) -> str:
        """As the queue knows this process."""
        return str(self._queue.qm.queue_manager_id)

    async def prepare(self) -> None:
        """Install the queue's tables or bring them up to date. Raises `StoreError`."""
        await install_queue(self.connection)

    # For whoever changes `runs`: to be carried out in the same transaction

    def submitting(self, run_id: str, priority: int) -> HandOver:
        """Have the run executed once that transaction is committed."""

        def change(connection: Connection, epoch: int) -> None:
            connection.exec_driver_sql(
                _sql.build_enqueue_query("skip"), _job(run_id, priority, epoch)
            )

        return change

    def cancelling(self, run_id: str) -> HandOver:
        """Take the run out of the queue and stop whoever executes it, on commit."""

        def change(connection: Connection, _epoch: int) -> None:
            rows = connection.exec_driver_sql(_FORGET, (ENTRYPOINT, run_id.encode())).all()
            if rows:
                event = _cancellation([row[0] for row in rows])
                connection.exec_driver_sql(
                    "SELECT pg_notify($1, $2)", (_sql.settings.channel, event)
                )

        return change

    # The port

    async def submit(self, run_id: str, priority: int = 0, epoch: int = 0) -> None:
        """`epoch` is the run's last one: a job of an earlier execution that is about to be
        acknowledged does not stand in the way, the same job again does."""
        await self.connection.fetch(
            _sql.build_enqueue_query("skip"), *_job(run_id, priority, epoch)
        )

    async def cancel(self, run_id: str) -> None:
        self._runs.stop(run_id)
        rows = await self.connection.fetch(_FORGET, ENTRYPOINT, run_id.encode())
        if rows:
            await self._queries.notify_job_cancellation(
                [JobId(int(str(row["id"]))) for row in rows]
            )

    async def serve(self, handler: Execute, concurrency: int, everywhere: int = 0) -> None:
        """`concurrency` runs at once here, and `everywhere` in all processes together (0: no limit)."""
        self._queries.slots = concurrency

        @self._queue.entrypoint(
            ENTRYPOINT, concurrency_limit=everywhere, accepts_context=True, on_failure="hold"
        )
        async def execute(job: Job, context: Context) -> None:
            await self._execute(handler, job, context)

        batch = min(BATCH, max(1, concurrency // 2))
        await self._queue.qm.run(
            batch_size=batch,
            max_concurrent_tasks=max(concurrency, 2 * batch),
            dequeue_timeout=timedelta(seconds=min(LOOK_EVERY_S, self._lease_s / 2)),
            heartbeat_timeout=timedelta(seconds=self._lease_s),
            log_aggregation_interval=timedelta(0),  # statistics nobody reads
        )

    def drain(self) -> None:
        """Take no more runs; those executing go on."""
        self._queue.shutdown.set()

    async def aclose(self) -> None:
        """Take no more runs, give those executing back to the queue, and return."""
        self._closing = True
        self.drain()
        await self._runs.aclose()

    def stop(self, run_id: str) -> None:
        """Cancel the run if it is executing here."""
        self._runs.stop(run_id)

    async def workers(self) -> int:
        """Connected processes that take runs, of those this user may see."""
        (row,) = await self.connection.fetch(_WORKERS, connection_name(WORKER))
        return int(str(row["count"]))

    async def reading(self) -> QueueReading:
        """How many runs wait, and who has how many in hand."""
        rows: list[Any] = await self.connection.fetch(_READING, ENTRYPOINT)
        return QueueReading(
            queued=sum(row["runs"] for row in rows if row["process"] is None),
            held={
                row["process"]: Holding(row["runs"], row["beat_s"])
                for row in rows
                if row["process"] is not None
            },
            workers=await self.workers(),
        )

    async def active(self) -> frozenset[str]:
        """Runs that are queued, or held by a worker whether it lives or not."""
        rows = await self.connection.fetch(_ACTIVE, ENTRYPOINT)
        return frozenset(bytes(row["payload"]).decode() for row in rows)  # type: ignore[call-overload]

    async def forget_old(self) -> None:
        """Drop what the queue noted about jobs of long ago."""
        await self.connection.execute(_FORGET_LOG, KEPT_LOG)

    async def _execute(self, handler: Execute, job: Job, context: Context) -> None:
        if self._queue.shutdown.is_set():
            raise RetryRequested  # taken just before closing: for another worker
        run_id = (job.payload or b"").decode()
        if await self._runs.execute(handler, run_id, context.cancellation):
            return
        raise RetryRequested(timedelta(0) if self._closing else AGAIN_AFTER)


async def install_queue(connection: SteadyConnection) -> None:
    """PgQueuer's tables, made or brought up to date. Idempotent; any number of processes at once."""
    await connection.execute("SELECT pg_advisory_lock($1)", SCHEMA_LOCK)
    try:
        queries = Queries(connection)
        if await queries.schema_is_installed():
            await queries.upgrade()
        else:
            await queries.install()
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", SCHEMA_LOCK)


def migrate_queue(url: URL) -> None:
    """`install_queue` for the command line. Raises `StoreError`. Not inside a loop."""

    async def carry_out() -> None:
        connection = SteadyConnection(url, "migrate", patience_s=0)
        try:
            await install_queue(connection)
        finally:
            await connection.aclose()

    asyncio.run(carry_out())


class _OwnedQueries(Queries):
    """PgQueuer's statements, for jobs this worker holds only. `slots` bounds what it takes."""

    def __init__(self, connection: SteadyConnection, guard: Callable[[], None]) -> None:
        super().__init__(connection)
        self.slots = 1
        self.on_lost: Callable[[], None] = lambda: None
        self._connection = connection
        self._guard = guard
        self._holder: QueueManagerId | None = None

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        self._guard()
        self._holder = queue_manager_id
        try:
            # PgQueuer's own bound is never below two
            return await super().dequeue(
                batch_size, entrypoints, queue_manager_id, self.slots, heartbeat_timeout
            )
        except StoreError:
            self.on_lost()  # PgQueuer waits for what executes before it says so
            raise

    async def log_jobs(
        self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]
    ) -> None:
        self._guard()

        async def work(connection: asyncpg.Connection[Any]) -> None:
            held = await self._held(connection, [job.id for job, _, _ in job_status])
            await Queries(AsyncpgDriver(connection)).log_jobs(
                [one for one in job_status if one[0].id in held]
            )

        await self._connection.transact(work)

    async def update_heartbeat(self, job_ids: list[JobId]) -> None:
        self._guard()
        try:
            await self._connection.execute(_BEAT, sorted(set(job_ids)), self._holder)
        except StoreUnreachable as error:
            # the connection has said so; PgQueuer would, with a traceback, three times a second
            logger.debug("A heartbeat got lost: %s", error)

    async def retry_job(
        self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None
    ) -> None:
        self._guard()

        async def work(connection: asyncpg.Connection[Any]) -> None:
            if job.id in await self._held(connection, [job.id]):
                # without the traceback: giving a run back is no failure
                await Queries(AsyncpgDriver(connection)).retry_job(job, delay, None)
                # PgQueuer's trigger says nothing of updates, and the others should not wait
                await connection.execute(
                    "SELECT pg_notify($1, $2)", _sql.settings.channel, _changed()
                )

        await self._connection.transact(work)

    async def _held(self, connection: asyncpg.Connection[Any], ids: Sequence[JobId]) -> set[JobId]:
        return {row["id"] for row in await connection.fetch(_HELD, sorted(ids), self._holder)}


_WORKERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = $1 AND datname = current_database()
"""
# the table's name comes from PgQueuer's settings, which take nothing but an identifier
_OF_RUN = "WHERE entrypoint = $1 AND payload = $2"
_HELD_HERE = "WHERE id = ANY($1::bigint[]) AND queue_manager_id = $2"
_FORGET = f"DELETE FROM {_queue} {_OF_RUN} RETURNING id"  # noqa: S608
_ACTIVE = f"SELECT payload FROM {_queue} WHERE entrypoint = $1 AND status IN ('queued', 'picked')"  # noqa: S608
_READING = f"""
    SELECT CASE WHEN status = 'picked' THEN queue_manager_id::text END AS process,
        count(*)::int AS runs,
        coalesce(extract(epoch FROM clock_timestamp() - max(heartbeat)), 0)::float8 AS beat_s
    FROM {_queue} WHERE entrypoint = $1 AND status IN ('queued', 'picked') GROUP BY 1
"""  # noqa: S608
_HELD = f"SELECT id FROM {_queue} {_HELD_HERE} ORDER BY id FOR UPDATE"  # noqa: S608
_BEAT = f"UPDATE {_queue} SET heartbeat = NOW() {_HELD_HERE}"  # noqa: S608
_FORGET_LOG = f"DELETE FROM {_log} WHERE created < NOW() - $1::interval"  # noqa: S608


def _job(run_id: str, priority: int, epoch: int) -> tuple[list[Any], ...]:
    return (
        [priority],
        [ENTRYPOINT],
        [run_id.encode()],
        [timedelta(0)],
        [f"{run_id}:{epoch}"],
        ["null"],
    )


def _changed() -> str:
    return TableChangedEvent(
        channel=_sql.settings.channel,
        sent_at=datetime.now(UTC),
        type="table_changed_event",
        operation="update",
        table=_queue,
    ).model_dump_json()


def _cancellation(ids: list[int]) -> str:
    return CancellationEvent(
        channel=_sql.settings.channel,
        sent_at=datetime.now(UTC),
        type="cancellation_event",
        ids=[JobId(one) for one in ids],
    ).model_dump_json()
