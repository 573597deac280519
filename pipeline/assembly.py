"""Put the parts together: settings → clients, demo provider, orchestrator → a runtime.

The one place that knows them all. Whatever is opened here is opened inside the runtime's loop
and closed there.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openai import AsyncOpenAI

from pipeline.base_url import address, same_base_url
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.engine.port import RunContext, RunOutcome
from pipeline.engine.runtime import Runtime
from pipeline.errors import DemoUnavailable, GantryError, SpecError
from pipeline.estimates import Estimates
from pipeline.events import RunFinished, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.knowledge.service import ByWords
from pipeline.knowledge.vectors import Embedder
from pipeline.llm.admission import CircuitReading, CircuitRules, GateRegistry, GateSnapshot
from pipeline.llm.call import Deadlines
from pipeline.llm.capabilities import Capabilities
from pipeline.llm.client import ModelCaller, make_client
from pipeline.llm.demo.process import DemoProcess
from pipeline.llm.embeddings import EndpointEmbedder
from pipeline.llm.endpoint import list_models
from pipeline.models import Endpoint, RunSpec, RunStatus
from pipeline.prices import load_prices
from pipeline.settings import Settings
from pipeline.store import database_url, is_postgresql
from pipeline.telemetry import telemetry_from
from pipeline.tools import KnowledgeBase, Research
from pipeline.tools.samples import sample_research, warm_samples

if TYPE_CHECKING:
    from sqlalchemy import URL

    from pipeline.store.shared_limits import PostgresLimits
    from pipeline.tools.web import GuardedReader
    from pipeline.tools.web_search import SearchService

DEMO_MODEL = "gantry-demo"
KEPT_LINES = 8  # open lines; more only while more are in use

logger = logging.getLogger(__name__)


def build_runtime(settings: Settings, concurrency: int | None = None) -> Runtime:
    """A runtime that carries runs out for real; with `concurrency` a team's worker. Not started yet."""
    access, telemetry = ModelAccess(settings), telemetry_from()

    async def stop() -> None:
        await access.aclose()
        if telemetry is not None:
            await asyncio.to_thread(telemetry.close)

    return Runtime(
        settings,
        access.handle_run,
        on_start=access.warm_up,
        on_stop=stop,
        admission=access.admission,
        concurrency=concurrency,
        circuits=access.circuits,
        on_run_ended=telemetry.run_ended if telemetry is not None else None,
        embedder=access.embedder(),
    )


@dataclass(slots=True)
class Line:
    """An open line to one endpoint: the client and what callers on it share."""

    client: AsyncOpenAI
    caller: ModelCaller
    runs: int = 0  # that use it now

    async def aclose(self) -> None:
        await self.caller.aclose()
        await self.client.close()


class ModelAccess:
    """Every endpoint this process talks to, opened when first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits: PostgresLimits | None = None
        self._gates = self._make_gates()
        self._estimates = Estimates()
        self._capabilities = Capabilities()
        self._lines: dict[str, Line] = {}
        self._demo: DemoProcess | None = None
        self._pages: GuardedReader | None = None
        self._search: SearchService | None = None
        self._opening = asyncio.Lock()
        self._warming: asyncio.Task[None] | None = None

    async def warm_up(self) -> None:
        """Begin what the first run would wait for otherwise; returns at once.

        Raises `StoreError` when the configured database has no usable address.
        """
        url = database_url(self._settings)
        if is_postgresql(url):
            self._limits = self._share_limits(url)
            self._gates = self._make_gates()
        self._warming = asyncio.create_task(self._warm_up(), name="warm up")

    def _make_gates(self) -> GateRegistry:
        return GateRegistry(
            max_in_flight=self._settings.max_in_flight,
            requests_per_minute=self._settings.requests_per_minute,
            tokens_per_minute=self._settings.tokens_per_minute,
            shared=self._limits,
            circuit=CircuitRules(self._settings.circuit_probe_s, self._settings.circuit_patience_s),
        )

    def _share_limits(self, url: URL) -> PostgresLimits:
        """Keep the limits together with all processes on the same database."""
        from pipeline.store.shared_limits import PostgresLimits  # its driver: only where used

        return PostgresLimits(
            url, self._settings.requests_per_minute, self._settings.tokens_per_minute
        )

    async def _warm_up(self) -> None:
        async with asyncio.TaskGroup() as group:
            if not self._settings.has_endpoint:
                # first: it is a process of its own and starts while this one reads on
                group.create_task(self._warm_demo(), name="warm up the demo")
            if not self._settings.has_endpoint or self._settings.search == "samples":
                group.create_task(asyncio.to_thread(warm_samples), name="warm up the samples")

    async def _warm_demo(self) -> None:
        try:
            await self._demo_endpoint()
        except DemoUnavailable as error:
            logger.warning("%s The next run tries again.", error)

    async def handle_run(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        """Carry out one epoch of a run and say how it ended; expected failures are outcomes."""
        try:
            endpoint = await self.endpoint(spec, context.typed_endpoint)
            research = await self.research(spec, context)
            async with self._borrowed(endpoint) as line:
                model = spec.model or await self._model(spec, line)
                result = await ChatOrchestrator(
                    line.client,
                    model=model,
                    caller=line.caller,
                    estimates=self._estimates,
                    limits=self._settings.limits,
                    prices=load_prices(self._settings.prices_file),
                    research=research,
                ).carry_out(spec, journal, owner=context.owner, ledger=context.ledger)
        except GantryError as error:
            return _failed_early(journal, error)
        return _outcome(result)

    async def research(self, spec: RunSpec, context: RunContext) -> Research:
        """What the run's researchers reach for. The collection stands in only where that is said."""
        own: KnowledgeBase | None = None
        if context.knowledge is not None and await context.knowledge.has_documents(context.owner):
            own = ByWords(context.knowledge) if spec.is_demo else context.knowledge
        if spec.is_demo or self._settings.search == "samples":
            return sample_research(beyond=self._page_reader(), own=own)
        return Research(self._search_service(), self._page_reader(), own)

    def embedder(self) -> Embedder | None:
        """What makes vectors of own documents, on the configured endpoint; None: ranked by words."""
        model = self._settings.embedding_model
        if not model or not self._settings.has_endpoint:
            return None

        async def client() -> AsyncOpenAI:
            return (await self.line(self._settings.configured_endpoint())).client

        return EndpointEmbedder(model, client)

    def _search_service(self) -> SearchService | None:
        """The configured one, for all runs; None when there is none."""
        name, key = self._settings.search, self._settings.search_key
        if self._search is None and name is not None:
            from pipeline.tools.web_search import SearchService

            self._search = SearchService(
                name,
                base=self._settings.search_url or "",
                key=key.get_secret_value() if key else "",
            )
        return self._search

    def _page_reader(self) -> GuardedReader:
        """One for all runs: it remembers what sites allow, and is polite to each of them."""
        if self._pages is None:
            from pipeline.tools.web import GuardedReader

            self._pages = GuardedReader()
        return self._pages

    async def endpoint(self, spec: RunSpec, typed: Endpoint | None = None) -> Endpoint:
        """Where a run's calls go. A typed address never gets the configured key.

        Raises `SpecError` when the run asks for an address whose key this process does not have:
        prompts never go to another host than the one the run was asked for.
        """
        if spec.is_demo:
            return await self._demo_endpoint()
        if typed is not None:
            return typed
        if not self._settings.has_endpoint:
            raise SpecError(
                "This run uses the configured endpoint, and none is configured here.",
                "Set OPENAI_API_KEY (and OPENAI_BASE_URL for another endpoint than OpenAI's), start "
                "again and continue the run.",
            )
        configured = self._settings.configured_endpoint()
        # a spec of the library's that names no address means whatever is configured
        named = spec.base_url is not None or spec.key_source != "none"
        if named and not same_base_url(spec.base_url, configured.base_url):
            raise SpecError(
                f"This run uses {address(spec.base_url)}, which is not the configured endpoint.",
                "Set OPENAI_BASE_URL and its key again and continue the run, or start a new run.",
            )
        return configured

    async def line(self, endpoint: Endpoint) -> Line:
        """The open line to `endpoint`, opened when there is none."""
        async with self._opening:
            return self._line(endpoint)

    @asynccontextmanager
    async def _borrowed(self, endpoint: Endpoint) -> AsyncIterator[Line]:
        """The line to `endpoint` for one run; it stays open meanwhile, and a while after."""
        async with self._opening:
            line = self._line(endpoint)
            line.runs += 1
            idle = self._take_idle()
        try:
            for old in idle:
                await old.aclose()
            yield line
        finally:
            line.runs -= 1

    def _line(self, endpoint: Endpoint) -> Line:
        digest = hashlib.sha256(endpoint.api_key.encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{endpoint.base_url}\x1f{digest}"
        line = self._lines.pop(name, None) or self._open(endpoint)
        self._lines[name] = line  # the last one used stands last
        return line

    def _open(self, endpoint: Endpoint) -> Line:
        client = make_client(endpoint)
        caller = ModelCaller(
            client,
            gates=self._gates,
            deadlines=self._deadlines(),
            capabilities=self._capabilities,
            estimates=self._estimates,
            hedge=self._settings.hedge,
        )
        return Line(client, caller)

    def _take_idle(self) -> list[Line]:
        """Lines to close: every key ever typed would keep one, so only the last used stay."""
        idle = [name for name, line in self._lines.items() if not line.runs]
        surplus = max(0, len(self._lines) - KEPT_LINES)
        return [self._lines.pop(name) for name in idle[:surplus]]

    def admission(self, owner: str | None = None) -> tuple[GateSnapshot, ...]:
        """Every gate as it is now, with addresses as people may see them. In the loop only.

        With `owner` only gates they use, and only their calls by name.
        """
        return tuple(
            replace(gate, endpoint=address(gate.endpoint))
            for gate in self._gates.snapshot(owner).values()
        )

    def circuits(self) -> tuple[CircuitReading, ...]:
        """Endpoints that seem to be down now."""
        return self._gates.circuits()

    async def aclose(self) -> None:
        """Close every line and end the demo provider."""
        if self._warming is not None:
            await asyncio.wait({self._warming})
        for line in self._lines.values():
            await line.aclose()
        self._lines.clear()
        if self._pages is not None:
            await self._pages.aclose()
        if self._search is not None:
            await self._search.aclose()
        await self._gates.aclose()
        if self._limits is not None:
            await self._limits.aclose()
        if self._demo is not None:
            await self._demo.aclose()

    def _deadlines(self) -> Deadlines:
        return Deadlines(
            first_token_s=self._settings.first_token_timeout_s,
            idle_s=self._settings.idle_timeout_s,
            total_s=self._settings.call_timeout_s,
        )

    async def _demo_endpoint(self) -> Endpoint:
        async with self._opening:
            if self._demo is None:
                self._demo = DemoProcess(speed=self._settings.demo_speed)
            endpoint = await self._demo.endpoint()
            if endpoint.base_url is not None:
                self._gates.keep_own(endpoint.base_url)
            return endpoint

    async def _model(self, spec: RunSpec, line: Line) -> str:
        """The model when none was named: the demo's, or the endpoint's only one."""
        if spec.is_demo:
            return f"{DEMO_MODEL}-{spec.speed}"
        if self._settings.openai_model:
            return self._settings.openai_model
        models = await list_models(line.client)
        if len(models) == 1:
            return models[0]
        raise SpecError(
            f"No model is named, and the endpoint offers {len(models)}.",
            f"Set OPENAI_MODEL or pass one of: {', '.join(models[:8])}.",
        )


def _failed_early(journal: Journal, error: GantryError) -> RunOutcome:
    """A run that could not begin leaves the same facts as one that failed on its way."""
    begun = any(isinstance(e, RunStarted) and e.epoch == journal.epoch for e in journal.events)
    if not begun:
        journal.record(RunStarted, wall_at=wall_now(), resumed=journal.has_started)
    journal.record(
        RunFinished,
        status=RunStatus.FAILED.value,
        error=error.message,
        error_code=error.code,
        hint=error.hint,
    )
    return RunOutcome(status=RunStatus.FAILED, error=str(error), error_code=error.code)


def _outcome(result: RunResult) -> RunOutcome:
    return RunOutcome(
        status=result.status,
        degraded=result.degraded,
        error=str(result.error) if result.error else "",
        error_code=result.error.code if result.error else "",
        makespan_s=result.timing.makespan_s if result.status.is_final else None,
        saved_share=result.timing.saved_share,
    )
