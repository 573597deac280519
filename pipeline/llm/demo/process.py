"""Own the child process the demo runs in: start, watch, restart, end.

The token goes down the child's standard input and never stands in an argument list. The child
ends when that pipe closes, so it cannot outlive its parent, however the parent ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from pipeline.errors import DemoUnavailable
from pipeline.isolation.spawning import spawning_alone
from pipeline.llm.demo import HOST, LABEL
from pipeline.models import Endpoint, Speed

START_TIMEOUT_S = 20.0  # a cold import on a busy machine
STOP_TIMEOUT_S = 3.0
HEALTH_TIMEOUT_S = 2.0
PROJECT = Path(__file__).parents[3]  # where `-m pipeline…` works from


class DemoProcess:
    """One demo server in a child process. All methods belong to one event loop.

    `endpoint()` starts the child when it is not running, so callers need not watch it. The token
    and, once chosen, the port stay the same over restarts: an endpoint handed out stays good.
    """

    def __init__(self, speed: Speed = "realistic") -> None:
        self._speed = speed
        self._token = secrets.token_urlsafe(24)
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> DemoProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.is_running else None

    async def start(self) -> Endpoint:
        """Start the child unless it runs; raises `DemoUnavailable` when it does not come up."""
        async with self._lock:
            if not self.is_running:
                await self._spawn()
            return Endpoint(f"http://{HOST}:{self._port}/v1", self._token, LABEL)

    async def endpoint(self) -> Endpoint:
        """Where the demo answers; restarts it when it has died."""
        return await self.start()

    async def healthy(self) -> bool:
        """True when the child answers its model list within two seconds."""
        if not self.is_running:
            return False
        timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.get(f"http://{HOST}:{self._port}/v1/models") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def aclose(self) -> None:
        """End the child and wait for it. Safe to call twice."""
        async with self._lock:
            process, self._process = self._process, None
            if process is not None:
                await _end(process)

    async def _spawn(self) -> None:
        try:
            self._process, self._port = await _launch(self._speed, self._token, self._port)
        except DemoUnavailable:
            if not self._port:
                raise
            # the old port was taken meanwhile: a new one is better than no demo
            self._process, self._port = await _launch(self._speed, self._token, 0)


async def _launch(speed: Speed, token: str, port: int) -> tuple[asyncio.subprocess.Process, int]:
    """Start a child and wait until it says where it listens."""
    async with _one_at_a_time():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pipeline.llm.demo", "--port", str(port), "--speed", speed),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=PROJECT,
            env={n: value for n, value in os.environ.items() if not n.startswith("OPENAI_")},
        )
    async with _ended_on_error(process):
        return process, await _handshake(process, token)


async def _handshake(process: asyncio.subprocess.Process, token: str) -> int:
    """Give the token, get the port."""
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            process.stdin.write(token.encode() + b"\n")
            await process.stdin.drain()
            said = json.loads(await process.stdout.readline() or b"{}")
    except (TimeoutError, ConnectionError, ValueError) as error:
        raise DemoUnavailable("The demo provider did not start.", _HINT) from error
    if "port" not in said:
        raise DemoUnavailable(f"The demo provider did not start. {said.get('error', '')}", _HINT)
    return int(said["port"])


_HINT = "Try again; if it happens again, configure an endpoint and a key instead."


@contextlib.asynccontextmanager
async def _one_at_a_time() -> AsyncIterator[None]:
    """Raises `DemoUnavailable` when another child process takes too long to start."""
    async with contextlib.AsyncExitStack() as turn:
        try:
            await turn.enter_async_context(spawning_alone(START_TIMEOUT_S))
        except TimeoutError as error:
            raise DemoUnavailable(
                "Another child process takes too long to start.", _HINT
            ) from error
        yield


@contextlib.asynccontextmanager
async def _ended_on_error(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await asyncio.shield(_end(process))
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the child's input, which ends it; kill it when that takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
