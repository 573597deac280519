"""Gantry as it ships: runtime, queue, store on SQLite, admission, events and timing, all on.

Every run is submitted, executed by the engine and finished in the store; a fan is one run whose
handler calls `AgentManager.run_agents_parallel`. The measuring body works in the runtime's loop.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.adapters import KEY, MAX_CONNECTIONS, Body, Config, NotAvailable
from benchmarks.workload import MODEL, Script
from pipeline.agents.agent_manager import AgentManager
from pipeline.assembly import ModelAccess
from pipeline.engine.port import RunContext, RunOutcome
from pipeline.engine.runtime import Runtime
from pipeline.engine.service import RunService
from pipeline.journal import Journal
from pipeline.models import LOCAL_OWNER, Mode, RunSpec, RunStatus
from pipeline.settings import Settings
from pipeline.spec import make_spec

LIMIT_S = 900.0  # of a whole measurement


def run(config: Config, body: Body) -> dict[str, Any]:
    if config.folder and not Path(config.folder).is_dir():
        raise NotAvailable(f"there is no {config.folder} here")
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir=config.folder or None) as folder:
        settings = Settings(
            openai_base_url=config.base_url,
            search="samples",
            openai_api_key=KEY,
            openai_model=MODEL,
            database_url=None,
            data_dir=Path(folder),
            max_in_flight=config.cap or MAX_CONNECTIONS,
            requests_per_minute=None,
            max_concurrent_runs=10_000,
            idle_timeout_s=config.idle_timeout_s,
        )
        adapter = Gantry(settings, config)
        with adapter.runtime as runtime:
            return runtime.call(_measure(adapter, body), LIMIT_S)


async def _measure(adapter: Gantry, body: Body) -> dict[str, Any]:
    # in the runtime's own loop, as a page's requests end up there too
    adapter.service = adapter.runtime._running
    return await body(adapter)


class Gantry:
    service: RunService

    def __init__(self, settings: Settings, config: Config) -> None:
        self._access = ModelAccess(settings)
        self._options = _options(config)
        self._fans: dict[str, int] = {}
        self._ended: dict[str, asyncio.Future[tuple[RunOutcome, int]]] = {}
        self.runtime = Runtime(
            settings, self._handle, on_start=self._access.warm_up, on_stop=self._access.aclose
        )

    async def pipeline(self, script: Script) -> None:
        await self._execute(script)

    async def fan(self, script: Script, count: int) -> int:
        return await self._execute(script, fan=count)

    async def _execute(self, script: Script, fan: int = 0) -> int:
        spec = make_spec(
            topic=str(script),
            provider="openai",
            model=MODEL,
            base_url=self.runtime.settings.openai_base_url,
            key_source="configured",
            allow_unsourced=True,  # the mock server's researchers find nothing
            **self._options,
        )
        run_id = secrets.token_urlsafe(16)
        if fan:
            self._fans[run_id] = fan
        ended: asyncio.Future[tuple[RunOutcome, int]] = asyncio.get_running_loop().create_future()
        self._ended[run_id] = ended
        await self.service.submit(spec, LOCAL_OWNER, run_id=run_id)
        outcome, succeeded = await ended
        await self.service.executor.ended(run_id)  # its last row is committed
        if not fan and outcome.status not in (RunStatus.DONE, RunStatus.DEGRADED):
            raise RuntimeError(f"the run is {outcome.status}: {outcome.error}")
        return succeeded

    async def _handle(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        ended = self._ended.pop(journal.run_id)
        fan, succeeded = self._fans.pop(journal.run_id, 0), 0
        try:
            if fan:
                outcome, succeeded = await self._fan(spec, journal, context, fan)
            else:
                outcome = await self._access.handle_run(spec, journal, context)
        except BaseException as error:
            if not ended.done():  # else the measurement has given the run up
                ended.set_exception(RuntimeError(f"the handler failed: {error!r}"))
            raise
        if not ended.done():
            ended.set_result((outcome, succeeded))
        return outcome

    async def _fan(
        self, spec: RunSpec, journal: Journal, context: RunContext, count: int
    ) -> tuple[RunOutcome, int]:
        line = await self._access.line(await self._access.endpoint(spec, context.typed_endpoint))
        manager = AgentManager(
            line.client, model=MODEL, seed=spec.seed, journal=journal, caller=line.caller
        )
        async with manager:
            results = await manager.run_agents_parallel([("editor", spec.topic)] * count)
        return RunOutcome(RunStatus.DONE), sum(result.ok for result in results)


def _options(config: Config) -> dict[str, Any]:
    """Fields of `RunSpec`. Raises `NotAvailable` for an option this version does not know."""
    chosen: dict[str, Any] = {"mode": Mode(config.mode)}
    if config.options:
        field = RunSpec.model_fields.get("options")
        known = getattr(field.annotation, "model_fields", {}) if field else {}
        if unknown := [name for name in config.options if name not in known]:
            raise NotAvailable(f"this version has no option {', '.join(unknown)}")
        chosen["options"] = dict.fromkeys(config.options, True)
    return chosen
