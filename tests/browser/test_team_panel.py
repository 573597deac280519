"""The admission panel of a team: what two workers do, on a dashboard that executes nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from pipeline.engine.loop_thread import LoopThread
from tests.browser.conftest import free_port, served
from tests.browser.test_endpoint_down import shoot
from tests.browser.test_team import start, start_worker, workers
from tests.fault_server import KEY, FaultServer, Wait, completion, error, stream, text
from tests.postgres import PostgresServer

__all__ = ["workers"]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

READY_MS = 90_000  # two processes start on a busy machine
RETRY_AFTER_S = 90
PHONE = {"width": 390, "height": 844}


class HeldEndpoint(FaultServer):
    """Begins to answer and holds every call until `refuse`; then all are refused."""

    def __init__(self) -> None:
        self.refusing = asyncio.Event()
        held = stream(text("A"), Wait(self.refusing), *completion("").steps)
        super().__init__(default=held)

    async def refuse(self) -> None:
        wait = {"retry-after": str(RETRY_AFTER_S)}
        self.default = error(429, {"error": {"message": "slow down"}}, wait)
        self.refusing.set()


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("endpoint")
    thread.start()
    yield thread
    thread.close(10)


@pytest.fixture(scope="module")
def endpoint(loop: LoopThread) -> Iterator[HeldEndpoint]:
    server = HeldEndpoint()
    loop.call(server.__aenter__(), 10)
    yield server
    loop.call(server.__aexit__(None, None, None), 10)


@pytest.fixture(scope="module")
def settings(
    postgres: PostgresServer, endpoint: HeldEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return {
        "DATABASE_URL": postgres.fresh_database(),
        "GANTRY_DATA_DIR": str(tmp_path_factory.mktemp("team")),
        "GANTRY_LEASE_S": "30",
        "GANTRY_MAX_IN_FLIGHT": "1",
        "GANTRY_SEARCH": "samples",
        "GANTRY_TOKENS_PER_MINUTE": "90000",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": str(endpoint.endpoint.base_url),
        "OPENAI_MODEL": "a-model",
    }


@pytest.fixture(scope="module")
def server(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory, free_port(), **settings) as base:
        yield base


def seconds(cooling: Locator) -> int:
    return int(cooling.inner_text().removesuffix(" s"))


def shoot_all(page: Page, name: str) -> None:
    """Light, dark and on a phone, for whoever asks for pictures; the panel in view."""
    if "GANTRY_TEST_PICTURES" not in os.environ:
        return
    wide = page.viewport_size
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for suffix, size in (("", wide), ("-phone", PHONE)):
            page.set_viewport_size(size or PHONE)
            page.locator(".gl-admission").scroll_into_view_if_needed()
            page.wait_for_timeout(700)
            shoot(page, f"{name}-{scheme}{suffix}")
    page.set_viewport_size(wide or PHONE)


def test_the_panel_shows_both_workers_load_and_counts_a_cool_down(
    page: Page,
    settings: dict[str, str],
    endpoint: HeldEndpoint,
    loop: LoopThread,
    workers: ExitStack,
    tmp_path: Path,
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "GANTRY_"))}
    environment |= settings
    processes = [
        start_worker(workers, environment, tmp_path / name, concurrency=1) for name in "ab"
    ]
    for topic in ("Heat pumps", "Tidal power", "Urban bees"):
        page.goto("/")
        page.locator(".st-key-run button").wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        start(page, topic)

    summary = page.locator(".gl-admission summary")
    expect(summary).to_contain_text("2 of 50 runs, 1 queued, 2 workers", timeout=READY_MS)
    summary.click()
    rows = page.locator(".gl-workers tbody tr")
    expect(rows).to_have_count(2)
    for row in (rows.nth(0), rows.nth(1)):
        expect(row).to_contain_text("1 of 1")
        expect(row).to_contain_text("1 in flight, 0 waiting")
        expect(row).to_contain_text("just now")
    gate = page.locator(".gl-gate", has_text="a-model at http://127.0.0.1:")
    expect(gate.locator("[data-fact='In flight'] dd")).to_have_text("2")
    expect(gate.locator("[data-fact=Tokens]")).to_contain_text("of 90,000 (configured)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shoot_all(page, "team")

    loop.call(endpoint.refuse(), 10)

    cooling = gate.locator("[data-fact='Provider asked to wait'] dd")
    expect(cooling).to_have_text(re.compile(r"^\d+ s$"))
    begun = seconds(cooling)
    expect(cooling).not_to_have_text(f"{begun} s")
    assert 0 < seconds(cooling) < begun <= RETRY_AFTER_S
    expect(summary).to_contain_text(re.compile(r"the provider asked to wait \d+ s"))
    expect(gate.locator("[data-fact=Waiting] dd")).to_have_text("2")
    expect(gate.locator("li").first).to_contain_text("Topic planner of run")
    shoot_all(page, "cooling")

    processes[1].send_signal(signal.SIGKILL)
    expect(page.locator(".gl-workers [data-silent=true]")).to_contain_text("silent")
    expect(summary).to_contain_text("1 worker, 1 silent")
    shoot_all(page, "silent")
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator(".gl-admission").evaluate("(box) => box.scrollWidth <= box.clientWidth")
