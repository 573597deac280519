"""Start the mock server, reset it, and read the truth from its log."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from benchmarks.mock_server.server import Arrival

ANSWER_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running mock server, from the outside."""

    base_url: str

    def reset(self, *, per_s: float = 0.0, burst: float = 0.0) -> None:
        """Empty the log; from now on refuse what is above `per_s` calls a second (0: nothing)."""
        self._ask("reset", {"per_s": per_s, "burst": burst})

    def log(self) -> list[Arrival]:
        return [Arrival(**row) for row in self._ask("log", None)["requests"]]

    def cpu_s(self) -> float:
        """CPU seconds of the server since it started."""
        return float(self._ask("log", None)["cpu_s"])

    def _ask(self, what: str, body: dict[str, float] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.base_url.removesuffix('/v1')}/bench/{what}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=ANSWER_LIMIT_S) as r:
            return json.load(r)


@contextlib.contextmanager
def serving(core: int | None) -> Iterator[Server]:
    """A server in a process of its own; ended on the way out."""
    command = [sys.executable, "-m", "benchmarks.mock_server"]
    if core is not None:
        command += ["--core", str(core)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("the mock server did not start; its error is above")
            yield Server(url)
        finally:
            process.terminate()


def makespan_s(log: Sequence[Arrival]) -> float:
    """From the first request's arrival to the last answer's end."""
    if not log:
        return 0.0
    return max(a.ended_s for a in log) - min(a.arrived_s for a in log)


def peak_in_flight(log: Sequence[Arrival]) -> int:
    """The most requests the server was answering at one time."""
    steps = sorted([(a.arrived_s, 1) for a in log] + [(a.ended_s, -1) for a in log if a.ended_s])
    return max(accumulate((step for _, step in steps), initial=0))
