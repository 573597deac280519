"""What a campaign kills: a database and the processes that work on it, of one kind or another."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL

from pipeline.assembly import build_runtime
from pipeline.models import LOCAL_OWNER, Endpoint, RunSpec
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from scripts.local_postgres import LocalPostgres

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 20.0
LEASE_S = 2.0  # the shortest that the settings allow: more of the campaign is work, less waiting
DATABASE = "gantry"


class Target(Protocol):
    """`kills_all`: a kill ends all work on the runs until the next start."""

    name: str
    kills_all: bool

    @property
    def database(self) -> URL:
        """Where runs are looked up, once it is open; it outlives every kill."""

    async def open(self) -> None:
        """Make the database ready. Nothing executes yet."""

    async def start(self) -> None:
        """Start every process of it that does not run. Returns when they were started, not ready."""

    async def submit(self, spec: RunSpec) -> str:
        """As a page or a command line beside it does. Returns the run's id."""

    async def resume(self, run_id: str, spec: RunSpec) -> None:
        """As *Continue* does."""

    async def kill(self, rng: random.Random) -> None:
        """kill -9 one of its processes. Returns when that is gone."""

    async def aclose(self) -> None:
        """End all of them and remove what they left."""


class Child:
    """One process of a target. It ends when the campaign does, however that ends."""

    def __init__(
        self, command: Sequence[str], settings: dict[str, str], endpoint: Endpoint
    ) -> None:
        self._command = command
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("GANTRY_", "DATABASE_"))}
        self._env = {
            **kept,
            **settings,
            "OPENAI_BASE_URL": endpoint.base_url or "",
            "GANTRY_SEARCH": "samples",
            "OPENAI_API_KEY": endpoint.api_key,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=ROOT,
                env=self._env,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
            )

    async def kill(self) -> None:
        """Raises `RuntimeError` when it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is not None:
            raise RuntimeError(f"{self._command} ended by itself, with code {process.returncode}.")
        process.kill()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()


class OneProcess:
    """One engine on one SQLite file: a bare runtime, or the whole dashboard."""

    kills_all = True

    def __init__(self, name: str, command: Sequence[str], endpoint: Endpoint) -> None:
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="gantry-crash-")
        self._child = Child(command, {"GANTRY_DATA_DIR": self._folder.name}, endpoint)
        self._store: Store | None = None

    @property
    def database(self) -> URL:
        return database_url(Settings(data_dir=Path(self._folder.name), database_url=None))

    async def open(self) -> None:
        self._store = await Store.open(self.database)

    async def start(self) -> None:
        await self._child.start()

    async def submit(self, spec: RunSpec) -> str:
        assert self._store is not None, "open() first"
        run_id = secrets.token_urlsafe(16)
        await self._store.insert_run(run_id, LOCAL_OWNER, spec)
        return run_id

    async def resume(self, run_id: str, spec: RunSpec) -> None:
        assert self._store is not None, "open() first"
        await self._store.requeue(run_id, LOCAL_OWNER, spec)

    async def kill(self, rng: random.Random) -> None:
        await self._child.kill()

    async def aclose(self) -> None:
        try:
            await self._child.kill()
            if self._store is not None:
                await self._store.aclose()
        finally:
            self._folder.cleanup()


class TwoWorkers:
    """Two workers on a PostgreSQL of the campaign's own; the campaign is the web process."""

    name = "workers"
    kills_all = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gantry-crash-")
        self._postgres = LocalPostgres(Path(self._folder.name) / "postgres")
        self._settings = Settings(
            data_dir=Path(self._folder.name),
            database_url=self._postgres.url(DATABASE),
            lease_s=LEASE_S,
            openai_base_url=endpoint.base_url,
            openai_api_key=endpoint.api_key,
        )
        told = {
            "DATABASE_URL": self._postgres.url(DATABASE),
            "GANTRY_LEASE_S": f"{LEASE_S:g}",
            "GANTRY_DATA_DIR": self._folder.name,
            "GANTRY_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "pipeline", "worker"]
        self._workers = [Child(command, told, endpoint) for _ in range(2)]
        self._web = build_runtime(self._settings)

    @property
    def database(self) -> URL:
        return database_url(self._settings)

    async def open(self) -> None:
        # PostgreSQL may run as another user, and goes through
        await asyncio.to_thread(Path(self._folder.name).chmod, 0o711)
        await asyncio.to_thread(self._postgres.start)
        await asyncio.to_thread(self._postgres.create, DATABASE)
        await asyncio.to_thread(self._web.start)

    async def start(self) -> None:
        for worker in self._workers:
            await worker.start()

    async def submit(self, spec: RunSpec) -> str:
        return await asyncio.to_thread(self._web.submit, spec, LOCAL_OWNER)

    async def resume(self, run_id: str, spec: RunSpec) -> None:
        await asyncio.to_thread(self._web.resume, run_id, LOCAL_OWNER)

    async def kill(self, rng: random.Random) -> None:
        await rng.choice(self._workers).kill()

    async def aclose(self) -> None:
        try:
            for worker in self._workers:
                await worker.kill()
            await asyncio.to_thread(self._web.close)
        finally:
            await asyncio.to_thread(self._postgres.stop)
            self._folder.cleanup()


def engine(endpoint: Endpoint) -> OneProcess:
    """The runtime alone, as dashboard and command line use it."""
    return OneProcess("engine", [sys.executable, "-m", "scripts.crash.engine_process"], endpoint)


def dashboard(endpoint: Endpoint, port: int) -> OneProcess:
    """`streamlit run app.py`, whose engine runs without anybody looking."""
    app = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    return OneProcess("dashboard", [*app, "--server.headless=true"], endpoint)
