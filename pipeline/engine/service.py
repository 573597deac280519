"""What the runtime does, inside its loop: take runs in, cancel, continue, delete and wait.

The durable change always comes first. Who executes, and how the queue is kept agreeing with the
tables, is the `Execution`'s: `embedded.py` for one process, `team.py` for many.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta

from pipeline.agents.roster import ROSTER
from pipeline.base_url import address, check_base_url, same_base_url
from pipeline.derived import Edits, Parent, derive, edited_checkpoint
from pipeline.engine.continuing import continued_with
from pipeline.engine.embedded import EmbeddedExecution
from pipeline.engine.executor import Executor
from pipeline.engine.health import Part, database_part
from pipeline.engine.keys import KeyRing
from pipeline.engine.port import WIND_DOWN_S, Execution, HandOver, RunEnded, RunHandler
from pipeline.errors import SpecError, StoreError
from pipeline.journal import Journal
from pipeline.knowledge.service import Knowledge
from pipeline.knowledge.uploads import Uploads
from pipeline.knowledge.vectors import Embedder
from pipeline.llm.admission import GateSnapshot
from pipeline.llm.admission.team import TeamSnapshot
from pipeline.models import AgentOutput, Endpoint, RunRecord, RunSpec, RunStatus
from pipeline.plan import make_plan
from pipeline.settings import Settings
from pipeline.store import Store, database_file, database_url, is_postgresql

CLOSING = timedelta(seconds=2)  # what is waited for a process that may be dead
WAIT_POLL_S = 0.1  # how often `wait` looks at a run that does not execute here
PROBE_S = 2.0  # what the database has to answer a question about its health


class RunService:
    """Owned by one loop. Start with `await RunService.start(…)`, end with `aclose()`."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        keys: KeyRing,
        execution: Execution,
        knowledge: Knowledge,
    ) -> None:
        self.store = store
        self.knowledge = knowledge
        self.uploads = Uploads(knowledge)
        self.executor = executor
        self._keys = keys
        self._execution = execution

    @classmethod
    async def start(
        cls,
        settings: Settings,
        handler: RunHandler,
        concurrency: int | None = None,
        *,
        told: RunEnded | None = None,
        embedder: Embedder | None = None,
        gates: Callable[[], Sequence[GateSnapshot]] = lambda: (),
    ) -> RunService:
        """Open the store, continue what is unfinished. Raises `StoreError` with what to do.

        With `concurrency` this process is a worker of a team and takes so many runs at once.
        `told` hears of every run that ended here. `embedder` makes the vectors of own documents.
        `gates` are shown to the other processes of a team.
        """
        url = database_url(settings)
        if concurrency is not None and not is_postgresql(url):
            raise SpecError(
                "Workers share their runs through PostgreSQL, and DATABASE_URL names none.",
                "Set it like postgresql+asyncpg://user:password@host/database. Without a team the "
                "dashboard executes its runs itself.",
            )
        store = await Store.open(url)
        keys = KeyRing()
        knowledge = Knowledge(store.documents, embedder)
        executor = Executor(store, handler, settings, keys, told, knowledge)
        execution: Execution
        if is_postgresql(url):
            from pipeline.engine.team import TeamExecution  # its drivers: only where they are used

            execution = TeamExecution(store, executor, url, settings, concurrency, gates)
        else:
            execution = EmbeddedExecution(
                store, executor, database_file(url), settings.max_concurrent_runs
            )
        service = cls(store, executor, keys, execution, knowledge)
        try:
            await execution.start()
        except BaseException:
            await service.aclose()
            raise
        return service

    async def aclose(self) -> None:
        """Interrupt what executes (it continues at the next start), store everything, let go."""
        try:
            await self.uploads.aclose()
            await self._execution.aclose()
        finally:
            await self.knowledge.aclose()
            await self.store.aclose()

    @property
    def is_engine(self) -> bool:
        return self._execution.is_engine

    @property
    def failure(self) -> BaseException | None:
        """Why this process stopped taking runs, if it did; nothing of it mends itself."""
        return self._execution.failure

    def watch(self, run_id: str) -> None:
        """Have `journal` know the run for the next ten seconds, wherever it executes."""
        self._execution.watch(run_id)

    def journal(self, run_id: str) -> Journal | None:
        """Of a run that executes or ended here, or is watched. Any thread."""
        return self.executor.journal(run_id) or self._execution.journal(run_id)

    async def workers(self) -> int | None:
        """Processes that take runs from the queue now; None where there is no team."""
        return await self._execution.workers()

    async def team(self, owner: str, *, patient: bool = False) -> TeamSnapshot | None:
        """What the team does now, as the owner may see it; None where there is no team."""
        return await self._execution.team(owner, patient=patient)

    async def drain(self) -> frozenset[str]:
        """Take no more runs; the ids of those still executing here. Meant to be asked again.

        What is queued stays so in the store, for the process that executes it next.
        """
        return await self._execution.drain()

    async def health(self) -> tuple[Part, ...]:
        """How database and queue are; within a little more than `PROBE_S`."""
        error = None
        unfinished = 0
        try:
            async with asyncio.timeout(PROBE_S):
                await self.store.probe()
                unfinished = len(await self.store.unfinished_runs())
        except TimeoutError:
            error = "no_answer"
        except StoreError as refusal:
            error = refusal.code
        return database_part(error, PROBE_S), self._execution.health(unfinished)

    async def submit(
        self,
        spec: RunSpec,
        owner: str,
        typed_endpoint: Endpoint | None = None,
        run_id: str | None = None,
        priority: int = 0,
    ) -> str:
        """Store the run and have it executed. The same `run_id` again is the same run.

        Raises `SpecError` for an address that holds a secret or is none: rows are kept and shown.
        """
        run_id = run_id or secrets.token_urlsafe(16)
        base_url = typed_endpoint.base_url if typed_endpoint is not None else spec.base_url
        if base_url is not None:
            check_base_url(base_url)
        if typed_endpoint is not None:
            spec = self._with_typed_key(run_id, owner, spec, typed_endpoint)
        async with self._handing_over(run_id, priority, spec) as also:
            await self.store.insert_run(run_id, owner, spec, priority, also=also)
        return run_id

    async def cancel(self, run_id: str, owner: str) -> bool:
        """Stop the run for good. False when it is missing or has already ended."""
        also = self._execution.cancelling(run_id)
        cancelled = await self.store.cancel(run_id, owner, also=also)
        if cancelled:
            await self._execution.cancelled(run_id)
        return cancelled

    async def resume(
        self,
        run_id: str,
        owner: str,
        *,
        allow_unsourced: bool | None = None,
        typed_endpoint: Endpoint | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        max_cost_usd: float | None = None,
    ) -> None:
        """Continue a failed, cancelled or keyless run from its last finished agent.

        `model` is for the agents that are left; what is finished stays, whatever wrote it.
        Raises `SpecError` when it is missing, in no such state, or its key must be typed first.
        """
        record = await self._record(run_id, owner)
        spec = record.spec
        if allow_unsourced is not None:
            spec = spec.model_copy(update={"allow_unsourced": allow_unsourced})
        budget = {"max_tokens": max_tokens, "max_cost_usd": max_cost_usd}
        spec = spec.model_copy(update={name: v for name, v in budget.items() if v is not None})
        if model is not None:
            events = await self.store.events(run_id, owner)
            spec = continued_with(spec, model, events, await self.store.checkpoints(run_id, owner))
        spec = self._with_key(run_id, owner, spec, typed_endpoint)
        async with self._handing_over(run_id, record.priority, spec) as also:
            await self.store.requeue(run_id, owner, spec, also=also)

    async def rerun(
        self,
        run_id: str,
        owner: str,
        edits: Edits,
        typed_endpoint: Endpoint | None = None,
    ) -> str:
        """Begin a new run with what this one finished, and `edits`; returns its id.

        Raises `SpecError` when the run is missing or not over, an edit does not fit, or its key
        must be typed first.
        """
        record = await self._record(run_id, owner)
        if not record.status.is_final:
            raise SpecError(
                "This run is not over.", "Wait for its end or cancel it, then run again from here."
            )
        events = await self.store.events(run_id, owner)
        parent = Parent(record, events, await self.store.checkpoints(run_id, owner))
        derivation = derive(parent, edits)
        new_id = secrets.token_urlsafe(16)
        spec = self._with_key(new_id, owner, derivation.spec, typed_endpoint)
        async with self._handing_over(new_id, record.priority, spec) as also:
            await self.store.insert_run(
                new_id,
                owner,
                spec,
                record.priority,
                also=also,
                derived=derivation.fact,
                offered=derivation.offered,
            )
        return new_id

    async def approve(self, run_id: str, owner: str, outline: AgentOutput | None = None) -> None:
        """Let a run go on that waits for its outline's approval; `outline` replaces it.

        Raises `SpecError` when it is missing or does not wait.
        """
        record = await self._record(run_id, owner)
        spec = record.spec.model_copy(update={"outline_approved": True})
        edited = None
        if outline is not None:
            name = make_plan(ROSTER, spec.mode, spec.switches, spec.options).outliner
            checkpoints = await self.store.checkpoints(run_id, owner)
            if name not in checkpoints:
                raise SpecError("This run has no outline yet.", "Wait until it asks for approval.")
            edited = edited_checkpoint(checkpoints[name], outline)
        async with self._handing_over(run_id, record.priority, spec) as also:
            await self.store.approve(run_id, owner, spec, edited, also=also)

    async def delete(self, run_id: str, owner: str) -> bool:
        """Stop the run if need be and remove everything of it. False when it is missing."""
        if await self.cancel(run_id, owner):
            with suppress(TimeoutError):  # its late writes are fenced off anyway
                async with asyncio.timeout(WIND_DOWN_S):
                    await self.executor.ended(run_id)
        deleted = await self.store.delete_run(run_id, owner)
        if deleted:
            self.executor.forget(run_id)
        return deleted

    async def wait(self, run_id: str, timeout_s: float) -> RunRecord | None:
        """The run once it neither waits nor executes; as it is when the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._rests(run_id):  # noqa: ASYNC110 - another process may end it
                    await asyncio.sleep(WAIT_POLL_S)
        return await self.store.find_run(run_id)

    async def _rests(self, run_id: str) -> bool:
        await self.executor.ended(run_id)
        record = await self.store.find_run(run_id)
        unfinished = record is not None and record.status in (RunStatus.QUEUED, RunStatus.RUNNING)
        if unfinished or run_id in self.executor.busy:
            return False
        return record is None or not await self._is_closing(record)

    async def _is_closing(self, record: RunRecord) -> bool:
        """Cancelled a moment ago, and whoever executed it has yet to tell how its agents ended."""
        if record.status is not RunStatus.CANCELLED or record.finished_at is None:
            return False
        if not record.epoch or datetime.now(UTC) - record.finished_at > CLOSING:
            return False
        return not await self.store.has_told_its_end(record.id, record.epoch)

    def _handing_over(
        self, run_id: str, priority: int, spec: RunSpec
    ) -> AbstractAsyncContextManager[HandOver | None]:
        typed = spec.key_source == "typed"
        return self._execution.handing_over(run_id, priority, typed=typed)

    async def _record(self, run_id: str, owner: str) -> RunRecord:
        record = await self.store.get_run(run_id, owner)
        if record is None:
            raise SpecError("There is no such run.", "It may have been deleted.")
        return record

    def _with_key(
        self, run_id: str, owner: str, spec: RunSpec, typed_endpoint: Endpoint | None
    ) -> RunSpec:
        """The spec of a run that goes on, its key at hand. Raises `SpecError` when that is gone."""
        if typed_endpoint is not None:
            _check_same_place(spec, typed_endpoint)
            return self._with_typed_key(run_id, owner, spec, typed_endpoint)
        if spec.key_source == "typed" and not self._keys.find(run_id, owner, spec.base_url):
            raise SpecError(
                "The key of this run is gone.",
                "Type it again to continue (any word where the endpoint needs none).",
            )
        return spec

    def _with_typed_key(
        self, run_id: str, owner: str, spec: RunSpec, endpoint: Endpoint
    ) -> RunSpec:
        self._execution.check_typed_key()
        self._keys.remember(run_id, owner, endpoint)
        return spec.model_copy(update={"key_source": "typed", "base_url": endpoint.base_url})


def _check_same_place(spec: RunSpec, endpoint: Endpoint) -> None:
    """A run's prompts, and a key typed for it, go to the run's own address and nowhere else."""
    if spec.key_source != "typed" or not same_base_url(spec.base_url, endpoint.base_url):
        raise SpecError(
            f"This run does not use {address(endpoint.base_url)}.",
            "Start a new run to use another endpoint.",
        )
