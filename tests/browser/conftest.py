"""The real app, served by `streamlit run`, and a real Chromium that notices what should not happen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from scripts.ensure_browser import ADVICE, FLAGS, find_browser

ROOT = Path(__file__).parents[2]
START_S = 60.0
STOP_S = 15.0
ACTION_MS = 30_000


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app, on its own data folder, with the fast demo."""
    with served(tmp_path_factory, free_port()) as base:
        yield base


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(folders: pytest.TempPathFactory, port: int, **settings: str) -> Iterator[str]:
    """An app of one's own; `settings` are environment variables."""
    with serving(folders.mktemp("data"), port, **settings):
        yield address(port)


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@contextmanager
def serving(data: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The app's process, on that data folder; a test may kill it and start another on the same."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "GANTRY_"))}
    environment |= {
        "GANTRY_DATA_DIR": str(data),
        "GANTRY_DEMO_SPEED": "fast",
        "GANTRY_SEARCH": "samples",  # for runs on an endpoint of a test's own
        **settings,
    }
    log = data.with_name(f"{data.name}-log.txt")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streamlit",
                "run",
                "app.py",
                f"--server.port={port}",
                "--server.headless=true",
            ],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_healthy(process, address(port), log)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)  # a test that failed may have left it stopped
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)


def _wait_until_healthy(process: subprocess.Popen[bytes], base: str, log: Path) -> None:
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)  # nothing to wait on: the server is another process
    pytest.fail(f"The app did not start:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = find_browser()
    if path is None:
        pytest.skip(ADVICE)
    return path


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """One browser per module: while Playwright is open, no other test can run a loop of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that no page of ours may do."""

    base: str
    outside: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self._request(request.url))
        context.on("dialog", self._dialog)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc not in self.base:
            self.outside.append(url)

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@pytest.fixture
def context(
    chromium: Browser, server: str, request: pytest.FixtureRequest
) -> Iterator[BrowserContext]:
    """A fresh visitor. `@pytest.mark.parametrize("context", [{…}], indirect=True)` sets the device."""
    options = getattr(request, "param", {})
    with chromium.new_context(base_url=server, **options) as context:
        context.set_default_timeout(ACTION_MS)
        watch = Watch(server)
        watch.follow(context)
        yield context
        assert (watch.outside, watch.dialogs, watch.errors) == ([], [], [])


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """The Studio as a new visitor finds it."""
    page = context.new_page()
    page.goto("/")
    page.locator(".st-key-run button").wait_for()  # its shortcut works from here on
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return page
