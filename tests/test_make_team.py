"""`make team`: everything starts, everything ends in order, the data stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
START_S = 90.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that another user may enter: PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory(prefix="gantry-team-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def team(data: Path, port: int) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "GANTRY_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.team", "--port", str(port), "--workers", "1"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=kept | {"GANTRY_DATA_DIR": str(data)},
    )  # fmt: skip


def wait_until_served(port: int) -> None:
    ends_at = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return
        except OSError:
            assert time.monotonic() < ends_at, "the dashboard does not answer"
            time.sleep(0.2)


def test_a_team_starts_ends_in_order_and_keeps_its_data(data: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = team(data, port)
    try:
        wait_until_served(port)
        children = psutil.Process(process.pid).children(recursive=True)
        names = " ".join(" ".join(child.cmdline()) for child in children)
        assert all(word in names for word in ("bin/postgres", "pipeline worker", "streamlit"))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 0, said
    assert said.strip().endswith("team: stopped; the data is kept")
    assert said.index("no more runs are taken") < said.index("Worker stopped")
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert (data / "postgres" / "data" / "PG_VERSION").exists()
