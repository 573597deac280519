"""Servers that others wrote, started for a test and ended after it. Only for `make test-interop`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pipeline.models import Endpoint
from tests.unit.llm.conftest import Log, OpenCaller, Sleeps, log, open_caller, sleeps

__all__ = ["Log", "OpenCaller", "Sleeps", "log", "open_caller", "sleeps"]

SERVERS = Path(__file__).with_name("servers") / "node_modules"
START_S = 60.0
STOP_S = 10.0

# They need Node and Java, which `make test` does not ask for.
if "GANTRY_INTEROP" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


@dataclass(frozen=True, slots=True)
class Server:
    base: str
    session: aiohttp.ClientSession

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"{self.base}/v1", "sk-test", "independent")

    async def post(self, path: str, body: Any) -> None:
        async with self.session.post(f"{self.base}{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.base}{path}") as answer:
            return await answer.json(content_type=None)


@asynccontextmanager
async def served(*command: str, ready: str) -> AsyncIterator[Server]:
    """Run `command` with a free port after it, until it answers at `ready`."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *command,
        str(port),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            server = Server(f"http://127.0.0.1:{port}", session)
            await _until_ready(server, ready, process)
            yield server
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(STOP_S):
            await process.wait()


async def _until_ready(server: Server, path: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S):
        while process.returncode is None:
            try:
                async with server.session.get(f"{server.base}{path}") as answer:
                    if answer.status < 500:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)  # nothing to wait on: it is another process
    raise RuntimeError(f"The server ended with {process.returncode} before it answered.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def aimock(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """aimock with the fixtures a test is parametrized with, or with `FIXTURES` of its module."""
    fixtures = tmp_path / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": request.module.FIXTURES}), "utf-8")
    program = SERVERS / "@copilotkit" / "aimock" / "dist" / "cli.js"
    command = ("node", str(program), "--log-level", "silent", "-f", str(fixtures), "-p")
    async with served(*command, ready="/v1/models") as server:
        yield server


@pytest.fixture
async def wiremock() -> AsyncIterator[Server]:
    (jar,) = (SERVERS / "wiremock" / "build").glob("wiremock-standalone-*.jar")
    command = ("java", "-jar", str(jar), "--disable-banner", "--bind-address", "127.0.0.1")
    async with served(*command, "--port", ready="/__admin/mappings") as server:
        yield server
