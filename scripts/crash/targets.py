"""What a campaign kills. A target is a database and the processes that work on it.

Another way to run Gantry (workers on PostgreSQL, say) is another class with these four methods.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL

from pipeline.models import Endpoint
from pipeline.settings import Settings
from pipeline.store import database_url

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 20.0


class Target(Protocol):
    """`database` is where runs are put in and looked up; it outlives every kill."""

    name: str
    database: URL

    async def start(self) -> None:
        """Start every process of it that does not run. Returns when they were started, not ready."""

    async def kill(self, rng: random.Random) -> None:
        """kill -9 one of its processes. Returns when that is gone."""

    async def aclose(self) -> None:
        """End all of them and remove what they left."""


class OneProcess:
    """One engine on one SQLite file: a bare runtime, or the whole dashboard."""

    def __init__(self, name: str, command: list[str], endpoint: Endpoint) -> None:
        self.name = name
        self._command = command
        self._folder = tempfile.TemporaryDirectory(prefix="gantry-crash-")
        self._env = {
            **{n: v for n, v in os.environ.items() if not n.startswith(("GANTRY_", "DATABASE_"))},
            "GANTRY_DATA_DIR": self._folder.name,
            "OPENAI_BASE_URL": endpoint.base_url or "",
            "OPENAI_API_KEY": endpoint.api_key,
        }
        settings = Settings(data_dir=Path(self._folder.name), database_url=None)
        self.database = database_url(settings)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        if self._process is None:
            # its standard input is a pipe: it ends when the campaign does, however that ends
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=ROOT,
                env=self._env,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
            )

    async def kill(self, rng: random.Random) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is not None:
                raise RuntimeError(f"{self.name} ended by itself, with code {process.returncode}.")
            process.kill()
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()

    async def aclose(self) -> None:
        try:
            await self.kill(random.Random())
        finally:
            self._folder.cleanup()


def engine(endpoint: Endpoint) -> OneProcess:
    """The runtime alone, as dashboard and command line use it."""
    return OneProcess("engine", [sys.executable, "-m", "scripts.crash.engine_process"], endpoint)


def dashboard(endpoint: Endpoint, port: int) -> OneProcess:
    """`streamlit run app.py`, whose engine runs without anybody looking."""
    app = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    return OneProcess("dashboard", [*app, "--server.headless=true"], endpoint)
