"""A whole team on one machine: PostgreSQL, workers and the dashboard, to try it out. `make team`.

Everything is owned by this script: a worker that ends is started again, Ctrl+C ends all in order
(dashboard, workers, database), and the data stays for the next time.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from scripts.local_postgres import LocalPostgres

DATABASE = "gantry"
LOOK_EVERY_S = 0.2
AGAIN_AFTER_S = 1.0  # a worker that ended; it says why
WEB_TIMEOUT_S = 15.0
WORKER_TIMEOUT_S = 20.0  # ten seconds' grace and some


@dataclass
class Program:
    """One of our own, in a session of its own: Ctrl+C in the terminal reaches only this script."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    timeout_s: float
    is_web: bool = False
    process: subprocess.Popen[bytes] | None = None
    again_at: float = 0.0

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment, start_new_session=True)

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def begin_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        self.begin_to_stop()
        if self.process is None:
            return
        try:
            self.process.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop in {self.timeout_s:g} s, ending it")
            self.process.kill()
            self.process.wait()


@dataclass
class Team:
    postgres: LocalPostgres
    environment: dict[str, str]
    port: int
    workers: int
    concurrency: int
    programs: list[Program] = field(default_factory=list)

    def start(self) -> None:
        say("starting PostgreSQL")
        self.postgres.start()
        self.postgres.create(DATABASE)
        subprocess.run([*_GANTRY, "migrate"], env=self.environment, check=True)
        for number in range(1, self.workers + 1):
            command = [*_GANTRY, "worker", "--concurrency", str(self.concurrency)]
            self.add(Program(f"worker {number}", command, self.environment, WORKER_TIMEOUT_S))
        self.add(Program("the dashboard", self._web(), self.environment, WEB_TIMEOUT_S, True))
        say(
            f"{self.workers} workers; the dashboard is at http://127.0.0.1:{self.port}, Ctrl+C ends all"
        )

    def add(self, program: Program) -> None:
        program.start()
        self.programs.append(program)

    def look_after(self) -> None:
        """Start workers again that ended. Raises `RuntimeError` when it cannot go on."""
        if self.postgres.has_ended:
            raise RuntimeError("PostgreSQL ended; its log is in the data folder.")
        for program in self.programs:
            if not program.has_ended:
                continue
            if program.is_web:
                raise RuntimeError("The dashboard ended.")
            if program.again_at == 0.0:
                assert program.process is not None
                say(f"{program.name} ended ({program.process.returncode}), starting it again")
                program.again_at = time.monotonic() + AGAIN_AFTER_S
            elif time.monotonic() >= program.again_at:
                program.again_at = 0.0
                program.start()

    def stop(self) -> None:
        """The dashboard first, then the workers together, the database last."""
        say("stopping")
        for web in (one for one in self.programs if one.is_web):
            web.stop()
        for worker in self.programs:
            worker.begin_to_stop()
        for worker in self.programs:
            worker.stop()
        self.postgres.stop()
        say("stopped; the data is kept")

    def _web(self) -> list[str]:
        streamlit = [sys.executable, "-m", "streamlit", "run", "app.py"]
        return [*streamlit, "--server.port", str(self.port), "--server.headless", "true"]


_GANTRY = (sys.executable, "-m", "pipeline")


def say(words: str) -> None:
    print(f"team: {words}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=10, help="runs at once, per worker")
    options = parser.parse_args()
    folder = Path(os.environ.get("GANTRY_DATA_DIR", "data"))
    postgres = LocalPostgres(folder / "postgres")
    environment = os.environ | {"DATABASE_URL": postgres.url(DATABASE)}
    team = Team(postgres, environment, options.port, options.workers, options.concurrency)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # also where a shell started us with it ignored
    try:
        team.start()
        while True:
            team.look_after()
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        return 0
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        team.stop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
