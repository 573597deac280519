"""The dashboard of a team: what a worker does in another process is seen here as it comes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, STOP_S, _wait_until_healthy
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DONE_MS = 120_000


@pytest.fixture(scope="module")
def environment(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "GANTRY_"))}
    return kept | {
        "DATABASE_URL": postgres.fresh_database(),
        "GANTRY_DATA_DIR": str(tmp_path_factory.mktemp("team")),
        "GANTRY_DEMO_SPEED": "fast",
        "GANTRY_LEASE_S": "4",
    }


@pytest.fixture(scope="module")
def server(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard that executes nothing itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    streamlit = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    log = tmp_path_factory.mktemp("log") / "server.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*streamlit, f"--server.port={port}"],
            cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_until_healthy(process, base := f"http://127.0.0.1:{port}", log)
        yield base
    finally:
        process.terminate()
        process.wait(STOP_S)


@pytest.fixture
def workers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start_worker(
    stack: ExitStack, environment: dict[str, str], alive: Path, concurrency: int = 10
) -> subprocess.Popen[bytes]:
    worker = [sys.executable, "-m", "pipeline", "worker", "--concurrency", str(concurrency)]
    process = subprocess.Popen([*worker, "--alive-file", str(alive)], cwd=ROOT, env=environment)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    return process


def start(page: Page, topic: str) -> None:
    page.locator(".st-key-topic textarea").fill(topic)
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(r"[?&]run="))


def test_a_workers_run_streams_into_the_page_and_another_takes_it_over(
    page: Page, environment: dict[str, str], workers: ExitStack, tmp_path: Path
) -> None:
    waiting = page.get_by_text("No worker is running")
    start(page, "Heat pumps in old buildings")
    expect(waiting).to_be_visible(timeout=60_000)
    first = start_worker(workers, environment, tmp_path / "first")
    expect(waiting).to_be_hidden(timeout=60_000)

    expect(page.locator("[data-state=streaming] .gl-text").first).not_to_be_empty(timeout=60_000)
    expect(page.locator("[data-gantt] .js-plotly-plot .bars path").first).to_be_attached()
    first.kill()
    start_worker(workers, environment, tmp_path / "second")

    expect(page.locator(".st-key-headline")).to_be_visible(timeout=DONE_MS)
    expect(page.get_by_role("heading", name="Sources")).to_be_visible()
    expect(page).to_have_title(re.compile(r"^✓ Done – Heat pumps"))
