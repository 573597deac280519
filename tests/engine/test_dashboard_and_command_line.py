"""The real dashboard and the real command line on one data folder, as two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_S = 60.0
RUN_S = 90.0
STOP_S = 10.0  # what a dashboard told to stop may take

pytestmark = pytest.mark.slow


def environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "GANTRY_", "DATABASE_", "OTEL_"))
    }
    return kept | {"GANTRY_DATA_DIR": str(folder), "GANTRY_DEMO_SPEED": "fast"}


@contextmanager
def dashboard(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`streamlit run app.py`, once its engine is ready or a viewer; and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with subprocess.Popen(
        [*command, "--server.headless=true"],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _until_ready(process, address)
            yield process, address
        finally:
            process.kill()


def _until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    limit = time.monotonic() + START_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            if word_of_the_queue(address):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the dashboard did not become ready")


def word_of_the_queue(address: str) -> str:
    with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
        return str(json.load(answer)["parts"]["queue"]["word"])


@contextmanager
def command_line(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        "Heat pumps in old buildings",
        "--json",
        "-",
    ]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_said(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"the command line never said {words!r}")


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=RUN_S)
    assert process.returncode == 0, err
    report: dict[str, Any] = json.loads(out)
    return report


def assert_it_went_on(report: dict[str, Any]) -> None:
    """What the dashboard finished was kept; the command line did the rest."""
    assert report["status"] in ("done", "degraded")
    epochs = {
        e["agent"]: e["epoch"]
        for e in report["events"]
        if e["kind"] == "agent_finished" and not e["reused"]
    }
    assert epochs["topic_planner"] == 1  # by the dashboard, and kept
    assert epochs["content_writer"] == epochs["publisher"] == 2  # by the command line


def test_the_command_line_follows_its_run_in_the_dashboard_and_finishes_it_when_that_is_killed(
    tmp_path: Path,
) -> None:
    with dashboard(tmp_path) as (server, address), command_line(tmp_path) as process:
        assert word_of_the_queue(address) == "serving"
        until_said(process, "content_writer    started")
        server.kill()
        server.wait(10)
        report = report_of(process)
    assert_it_went_on(report)


def test_a_second_dashboard_is_a_viewer_until_the_first_is_killed(tmp_path: Path) -> None:
    with dashboard(tmp_path) as (first, one), dashboard(tmp_path) as (_, two):
        words = word_of_the_queue(one), word_of_the_queue(two)
        first.kill()
        first.wait(10)
        limit = time.monotonic() + START_S
        while word_of_the_queue(two) != "serving":
            assert time.monotonic() < limit, "nobody took over"
            time.sleep(0.1)

    assert words == ("serving", "viewer")


def test_a_dashboard_told_to_stop_ends_in_time_and_its_run_goes_on_elsewhere(
    tmp_path: Path,
) -> None:
    with dashboard(tmp_path) as (server, _), command_line(tmp_path) as process:
        until_said(process, "content_writer    started")

        server.terminate()

        server.wait(STOP_S)
        report = report_of(process)
    assert_it_went_on(report)
