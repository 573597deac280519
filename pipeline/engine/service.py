"""What the runtime does, inside its loop: take runs in, execute them, keep store and engine agreed.

The durable change always comes first, the engine is told second; whatever gets lost between the
two is found by `_reconcile`. One process per database is the engine; the others are viewers that
may submit and cancel, and one of them takes over when the engine is gone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress

from pipeline.agents.roster import ROSTER
from pipeline.base_url import address, check_base_url, same_base_url
from pipeline.derived import Edits, Parent, derive, edited_checkpoint
from pipeline.engine.continuing import continued_with
from pipeline.engine.executor import Executor
from pipeline.engine.in_memory import InMemoryEngine
from pipeline.engine.keys import KeyRing
from pipeline.engine.lock import EngineLock
from pipeline.engine.port import Engine, RunHandler
from pipeline.errors import EngineBusy, SpecError, StoreError
from pipeline.models import AgentOutput, Endpoint, RunRecord, RunSpec, RunStatus
from pipeline.plan import make_plan
from pipeline.settings import Settings
from pipeline.store import Store, database_file, database_url

WATCH_S = 0.5  # how often runs of other processes are looked for
WAIT_POLL_S = 0.1  # how often `wait` looks at a run that does not execute here
WIND_DOWN_S = 5.0  # what a cancelled run gets to close its calls

logger = logging.getLogger(__name__)


class RunService:
    """Owned by one loop. Start with `await RunService.start(…)`, end with `aclose()`."""

    def __init__(self, store: Store, settings: Settings, handler: RunHandler) -> None:
        self.store = store
        self._keys = KeyRing()
        self.executor = Executor(store, handler, settings, self._keys)
        self._settings = settings
        self._lock = EngineLock(database_file(database_url(settings)))
        self._engine: Engine | None = None
        self._serving: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._draining = False

    @classmethod
    async def start(cls, settings: Settings, handler: RunHandler) -> RunService:
        """Open the store, continue what is unfinished. Raises `StoreError` with what to do."""
        store = await Store.open(database_url(settings))
        service = cls(store, settings, handler)
        try:
            await service._tick()
        except BaseException:
            await service.aclose()
            raise
        service._watching = asyncio.create_task(service._watch(), name="engine-watch")
        return service

    async def aclose(self) -> None:
        """Interrupt what executes (it continues at the next start), store everything, let go."""
        try:
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.wait({self._watching})
            await self._close_engine()
        finally:
            await self.store.aclose()
            self._lock.release()

    @property
    def is_engine(self) -> bool:
        return self._engine is not None

    async def drain(self) -> frozenset[str]:
        """Take no more runs; the ids of those still executing here. Meant to be asked again.

        What is queued stays so in the store, for the process that becomes the engine next.
        """
        begins, self._draining = not self._draining, True
        if begins and self._engine is not None:
            for run in await self.store.unfinished_runs():
                if run.id not in self.executor.busy:
                    await self._engine.cancel(run.id)
        return self.executor.busy

    async def submit(
        self,
        spec: RunSpec,
        owner: str,
        typed_endpoint: Endpoint | None = None,
        run_id: str | None = None,
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
        await self.store.insert_run(run_id, owner, spec)
        await self._hand_over(run_id)
        return run_id

    async def cancel(self, run_id: str, owner: str) -> bool:
        """Stop the run for good. False when it is missing or has already ended."""
        cancelled = await self.store.cancel(run_id, owner)
        if cancelled and self._engine is not None:
            await self._engine.cancel(run_id)
        return cancelled

    async def resume(
        self,
        run_id: str,
        owner: str,
        *,
        allow_unsourced: bool | None = None,
        typed_endpoint: Endpoint | None = None,
        model: str | None = None,
    ) -> None:
        """Continue a failed, cancelled or keyless run from its last finished agent.

        `model` is for the agents that are left; what is finished stays, whatever wrote it.
        Raises `SpecError` when it is missing, in no such state, or its key must be typed first.
        """
        spec = (await self._record(run_id, owner)).spec
        if allow_unsourced is not None:
            spec = spec.model_copy(update={"allow_unsourced": allow_unsourced})
        if model is not None:
            events = await self.store.events(run_id, owner)
            spec = continued_with(spec, model, events, await self.store.checkpoints(run_id, owner))
        spec = self._with_key(run_id, owner, spec, typed_endpoint)
        await self.store.requeue(run_id, owner, spec)
        await self._hand_over(run_id)

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
        await self.store.insert_run(
            new_id, owner, spec, derived=derivation.fact, offered=derivation.offered
        )
        await self._hand_over(new_id)
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
        await self.store.approve(run_id, owner, spec, edited)
        await self._hand_over(run_id)

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
        return not unfinished and run_id not in self.executor.busy

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
        if self._engine is None:
            raise EngineBusy(
                "Another Gantry process executes the runs of this data folder, and a typed key "
                "never leaves the process it was typed into.",
                "Type the key there, or set OPENAI_API_KEY for that process.",
            )
        self._keys.remember(run_id, owner, endpoint)
        return spec.model_copy(update={"key_source": "typed", "base_url": endpoint.base_url})

    async def _hand_over(self, run_id: str) -> None:
        if self._engine is not None and not self._draining:
            await self._engine.submit(run_id)

    async def _watch(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._tick()
                failing = False
            except StoreError as error:
                if not failing:
                    logger.error("Cannot look for runs, will keep trying: %s", error)
                failing = True

    async def _tick(self) -> None:
        if self._serving is not None and self._serving.done():
            logger.error("The queue stopped, starting anew", exc_info=self._serving.exception())
            self._serve()
        if self._engine is None and not self._draining and self._lock.acquire():
            self._serve()
        if self._engine is not None:
            await self._reconcile(self._engine)

    def _serve(self) -> None:
        engine = InMemoryEngine()
        self._engine = engine
        self._serving = asyncio.create_task(
            engine.serve(self.executor.execute, self._settings.max_concurrent_runs),
            name="engine-serve",
        )

    async def _reconcile(self, engine: Engine) -> None:
        """Make the engine agree with the tables: they may have been changed by another process."""
        busy = self.executor.busy  # before reading: what starts meanwhile is none of this round
        unfinished = await self.store.unfinished_runs()
        for run_id in busy - {run.id for run in unfinished}:
            await engine.cancel(run_id)
        if self._draining:
            return
        for run in unfinished:
            await engine.submit(run.id, run.priority)

    async def _close_engine(self) -> None:
        if self._engine is None or self._serving is None:
            return
        try:
            async with asyncio.timeout(WIND_DOWN_S):
                await self._engine.aclose()
        except TimeoutError:
            logger.warning("Runs did not stop in time: %s", ", ".join(self.executor.busy))
            self._serving.cancel()
        await asyncio.wait({self._serving}, timeout=1.0)


def _check_same_place(spec: RunSpec, endpoint: Endpoint) -> None:
    """A run's prompts, and a key typed for it, go to the run's own address and nowhere else."""
    if spec.key_source != "typed" or not same_base_url(spec.base_url, endpoint.base_url):
        raise SpecError(
            f"This run does not use {address(endpoint.base_url)}.",
            "Start a new run to use another endpoint.",
        )
