"""The way from pages, sockets and the command line into the running pipeline.

Owns a thread with its own event loop, never the server's. Every method may be called from any
other thread and has a time limit. What happens in the loop is `service.py`'s.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from pipeline.derived import Edits
from pipeline.engine.health import Part, provider_part, unanswered
from pipeline.engine.loop_thread import LoopThread
from pipeline.engine.own_documents import OwnDocuments
from pipeline.engine.own_voices import OwnVoices
from pipeline.engine.port import RunEnded, RunHandler
from pipeline.engine.service import RunService
from pipeline.errors import GantryError, NoAnswer, SpecError
from pipeline.events import AnyEvent
from pipeline.journal import Journal
from pipeline.knowledge.vectors import Embedder
from pipeline.llm.admission import CircuitReading, GateSnapshot
from pipeline.llm.admission.team import TeamSnapshot
from pipeline.models import LOCAL_OWNER, AgentOutput, Checkpoint, Endpoint, RunRecord, RunSpec
from pipeline.owners import new_share_token, share_hash
from pipeline.redaction import without_known
from pipeline.settings import Settings

START_TIMEOUT_S = 60.0  # migrations included
HEALTH_TIMEOUT_S = 3.0  # longer than the database has to answer
CALL_TIMEOUT_S = 15.0  # longer than two waits for a database that is locked
SIGNING = "signing"
SECRET_BYTES = 32

Hook = Callable[[], Awaitable[None]]
T = TypeVar("T")

logger = logging.getLogger(__name__)


class Runtime:
    """One per process. `on_start` runs in the loop before the first run, `on_stop` after the last.

    `admission` shows the gates that calls pass; it is called in the loop, with an owner or, for
    all, with None. With `concurrency` it is a worker of a team, which executes so many runs at once.
    """

    def __init__(
        self,
        settings: Settings,
        run_handler: RunHandler,
        *,
        on_start: Hook | None = None,
        on_stop: Hook | None = None,
        admission: Callable[[str | None], tuple[GateSnapshot, ...]] | None = None,
        concurrency: int | None = None,
        circuits: Callable[[], tuple[CircuitReading, ...]] | None = None,
        on_run_ended: RunEnded | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.settings = settings
        self._handler = run_handler
        self._on_start = on_start
        self._on_stop = on_stop
        self._admission = admission
        self._concurrency = concurrency
        self._circuits = circuits
        self._on_run_ended = on_run_ended
        self._embedder = embedder
        self._thread: LoopThread | None = None
        self._service: RunService | None = None
        self._signing_secret: bytes | None = None

    def start(self) -> None:
        """Open the store, become the engine if nobody is, continue unfinished runs.

        Raises `StoreError` with what to do; nothing is left running then.
        """
        if self._thread is not None:
            raise RuntimeError("Already started.")
        self._thread = LoopThread("gantry-runtime")
        self._thread.start()
        try:
            self._service = self.call(self._open(), START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def close(self, timeout_s: float = 10.0) -> None:
        """Interrupt what executes (it continues at the next start), store everything, stop.

        Can be called twice. Never takes longer than `timeout_s`.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        ends_at = time.monotonic() + timeout_s
        try:
            thread.call(self._shut(), timeout_s * 0.9)
        except NoAnswer:
            logger.error("Closing took too long; unfinished runs continue at the next start")
        finally:
            self._service = None
            if not thread.close(max(0.1, ends_at - time.monotonic())):
                logger.error("Something in the pipeline's loop did not stop")

    def __enter__(self) -> Runtime:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def documents(self) -> OwnDocuments:
        """The knowledge base, for pages."""
        return OwnDocuments(self._running.knowledge, self._running.uploads, self.call)

    @property
    def voices(self) -> OwnVoices:
        """The brand voices, for pages and the command line."""
        return OwnVoices(self._running.store.voices, self.call)

    @property
    def is_engine(self) -> bool:
        """True when runs execute in this process; else another one has the data folder's engine."""
        return self._running.is_engine

    @property
    def failure(self) -> BaseException | None:
        """Why this worker stopped taking runs, if it did."""
        return self._running.failure

    def workers(self) -> int | None:
        """Processes that take runs from a team's queue now; None where there is no team."""
        return self.call(self._running.workers())

    def drain(self) -> frozenset[str]:
        """Take no more runs, before closing; the ids of those that still execute here.

        Closing now would interrupt them. Another process takes the next runs once this one closed.
        """
        return self.call(self._running.drain())

    def submit(
        self,
        spec: RunSpec,
        owner: str = LOCAL_OWNER,
        typed_endpoint: Endpoint | None = None,
        *,
        run_id: str | None = None,
        priority: int = 0,
    ) -> str:
        """Return the run's id once it cannot be lost. The same `run_id` again is the same run.

        Of the runs that wait, those with a higher `priority` start first.

        Raises `EngineBusy` for a typed key in a process that is not the engine.
        """
        return self.call(self._running.submit(spec, owner, typed_endpoint, run_id, priority))

    def cancel(self, run_id: str, owner: str = LOCAL_OWNER) -> bool:
        """Stop the run, durably. False when it is missing or has already ended."""
        return self.call(self._running.cancel(run_id, owner))

    def resume(
        self,
        run_id: str,
        owner: str = LOCAL_OWNER,
        *,
        allow_unsourced: bool | None = None,
        typed_endpoint: Endpoint | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        max_cost_usd: float | None = None,
    ) -> None:
        """Continue a failed, cancelled or keyless run; finished agents are not run again.

        `model` is for the agents that are left, `max_tokens` and `max_cost_usd` for the whole run;
        None keeps what the run asked for.

        Raises `SpecError` when it cannot be continued, with what to do.
        """
        self.call(
            self._running.resume(
                run_id,
                owner,
                allow_unsourced=allow_unsourced,
                typed_endpoint=typed_endpoint,
                model=model,
                max_tokens=max_tokens,
                max_cost_usd=max_cost_usd,
            )
        )

    def rerun(
        self,
        run_id: str,
        edits: Edits,
        owner: str = LOCAL_OWNER,
        typed_endpoint: Endpoint | None = None,
    ) -> str:
        """Begin a new run with what this one finished, and `edits`; returns the new id.

        The run itself stays as it is. Raises `SpecError` when it is missing or not over, or an edit
        does not fit.
        """
        return self.call(self._running.rerun(run_id, owner, edits, typed_endpoint))

    def approve(
        self, run_id: str, owner: str = LOCAL_OWNER, outline: AgentOutput | None = None
    ) -> None:
        """Let a run go on whose outline waits for approval; `outline` replaces it, as edited.

        Raises `SpecError` when it is missing or does not wait.
        """
        self.call(self._running.approve(run_id, owner, outline))

    def delete(self, run_id: str, owner: str = LOCAL_OWNER) -> bool:
        """Remove the run and everything of it, stopping it first. False when it is missing."""
        return self.call(self._running.delete(run_id, owner))

    def run(self, run_id: str, owner: str = LOCAL_OWNER) -> RunRecord | None:
        return self.call(self._running.store.get_run(run_id, owner))

    def runs(
        self, owner: str = LOCAL_OWNER, limit: int = 50, offset: int = 0, text: str = ""
    ) -> list[RunRecord]:
        """Newest first; `text` keeps those whose topic contains it."""
        return self.call(self._running.store.list_runs(owner, limit, offset, text))

    def count(self, owner: str = LOCAL_OWNER, text: str = "") -> int:
        return self.call(self._running.store.count(owner, text))

    def events(self, run_id: str, owner: str = LOCAL_OWNER) -> list[AnyEvent]:
        """The run's stored facts; up to 50 ms behind the journal of a live run."""
        return self.call(self._running.store.events(run_id, owner))

    def checkpoints(self, run_id: str, owner: str = LOCAL_OWNER) -> Mapping[str, Checkpoint]:
        return self.call(self._running.store.checkpoints(run_id, owner))

    def find(self, run_id: str) -> RunRecord | None:
        """The run whoever owns it. For what has been allowed by a token; pages ask `run`."""
        return self.call(self._running.store.find_run(run_id))

    def share(self, run_id: str, owner: str) -> str:
        """Make the run's link and return its token, which is stored nowhere. An earlier link ends.

        Raises `SpecError` when the run is missing.
        """
        token = new_share_token()
        if not self.call(self._running.store.share(run_id, owner, share_hash(token))):
            raise SpecError("There is no such run.", "It may have been deleted.")
        return token

    def unshare(self, run_id: str, owner: str) -> bool:
        """Withdraw the run's link; sockets that show it close within seconds. False: there was none."""
        return self.call(self._running.store.unshare(run_id, owner))

    def is_shared(self, run_id: str, owner: str) -> bool:
        return self.call(self._running.store.is_shared(run_id, owner))

    def shared_run(self, hash_of_token: str) -> RunRecord | None:
        """The run that a link shows; None when it was withdrawn, deleted or never was."""
        return self.call(self._running.store.shared_run(hash_of_token))

    def signing_secret(self) -> bytes:
        """The same for all processes on this database, now and later."""
        if self._signing_secret is None:
            new = secrets.token_bytes(SECRET_BYTES)
            self._signing_secret = self.call(self._running.store.secret(SIGNING, new))
        return self._signing_secret

    def journal(self, run_id: str) -> Journal | None:
        """The journal of a run that executes or ended here, or executes elsewhere and is watched.

        Does not ask who is asking: check with `run(run_id, owner)` first.
        """
        return self._running.journal(run_id)

    def watch(self, run_id: str) -> None:
        """Have `journal` know a run that executes in another process, for the next ten seconds.

        Never waits. In a process without a team such a run is read from the store instead.
        """
        if self._thread is not None and self._service is not None:
            self._thread.post(self._service.watch, run_id)

    def admission(self, owner: str | None = None) -> tuple[GateSnapshot, ...]:
        """Every gate of this process: limits, queue, refusals. With `owner` only gates they use.

        Of those only the owner's calls are named; the numbers count all. Empty before the first
        call, and in a process that is not the engine.
        """
        return self.call(self._gates(owner), CALL_TIMEOUT_S)

    def team(self, owner: str, *, patient: bool = False) -> TeamSnapshot | None:
        """What a team's processes do together: queue, workers, gates; None where there is no team.

        The owner's calls are named, at gates they use; the numbers count all. The first question
        finds nothing yet and gets None, unless it is `patient` and waits up to two seconds.
        """
        return self.call(self._running.team(owner, patient=patient))

    def circuits(self) -> tuple[CircuitReading, ...]:
        """Endpoints this process leaves alone now because they seem to be down; for `/readyz`."""
        return self.call(self._open_circuits())

    def readiness(self) -> tuple[Part, ...]:
        """How database, queue and provider are. Never raises; takes seconds at most."""
        try:
            return self.call(self._health(), HEALTH_TIMEOUT_S)
        except GantryError as error:
            return unanswered(error.code, "The pipeline does not answer; restart Gantry.")

    def texts(self, run_id: str) -> Mapping[str, str]:
        """What each agent streamed last: whole from `journal`, or as stored two seconds before.

        Does not ask who is asking: check with `run(run_id, owner)` first.
        """
        journal = self.journal(run_id)
        if journal is not None:
            return {name: without_known(journal.text(name)) for name in list(journal.texts)}
        stored = self.call(self._running.store.partial_texts(run_id))
        return {name: partial.text for name, partial in stored.items()}

    def wait(self, run_id: str, timeout_s: float) -> RunRecord | None:
        """The run once it has ended (or needs a person); as it is when the time is up."""
        return self.call(self._running.wait(run_id, timeout_s), timeout_s + CALL_TIMEOUT_S)

    def call(self, coroutine: Coroutine[Any, Any, T], timeout_s: float = CALL_TIMEOUT_S) -> T:
        """Run anything in the pipeline's loop. Raises `NoAnswer` when it takes longer."""
        if self._thread is None:
            coroutine.close()
            raise _not_running()
        return self._thread.call(coroutine, timeout_s)

    @property
    def _running(self) -> RunService:
        if self._service is None:
            raise _not_running()
        return self._service

    async def _health(self) -> tuple[Part, ...]:
        parts = await self._running.health()
        return (*parts, provider_part(await self._gates(None), await self._open_circuits()))

    async def _gates(self, owner: str | None) -> tuple[GateSnapshot, ...]:
        return self._admission(owner) if self._admission is not None else ()

    def _all_gates(self) -> tuple[GateSnapshot, ...]:
        """In the loop only."""
        return self._admission(None) if self._admission is not None else ()

    async def _open_circuits(self) -> tuple[CircuitReading, ...]:
        return self._circuits() if self._circuits is not None else ()

    async def _open(self) -> RunService:
        if self._on_start is not None:
            await self._on_start()
        return await RunService.start(
            self.settings,
            self._handler,
            self._concurrency,
            told=self._on_run_ended,
            embedder=self._embedder,
            gates=self._all_gates,
        )

    async def _shut(self) -> None:
        try:
            if self._service is not None:
                await self._service.aclose()
        finally:
            if self._on_stop is not None:
                await self._on_stop()


def _not_running() -> GantryError:
    return GantryError("Gantry is not running.", "Start it again.")
