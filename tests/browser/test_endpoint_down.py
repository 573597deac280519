"""An endpoint that is down: the page says so while the run waits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.engine.loop_thread import LoopThread
from tests.browser.panels import open_panel
from tests.fault_server import FaultServer, error

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DOWN = error(503, {"error": {"message": "overloaded"}})
SAID_WITHIN_MS = 10_000  # 2 s on a machine that is not busy


@pytest.fixture
def host() -> Iterator[FaultServer]:
    thread = LoopThread("host")
    thread.start()
    server = FaultServer(default=DOWN)
    thread.call(server.__aenter__(), 10)
    yield server
    thread.call(server.__aexit__(None, None, None), 10)
    thread.close(10)


def shoot(page: Page, name: str) -> None:
    """A picture for whoever asks for one by naming a folder."""
    if folder := os.environ.get("GANTRY_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def choose(page: Page, host: FaultServer) -> None:
    open_panel(page, "provider_panel")
    page.locator(".st-key-provider").get_by_text("My own endpoint").click()
    page.locator(".st-key-endpoint_url input").fill(str(host.endpoint.base_url))
    page.locator(".st-key-endpoint_url input").press("Tab")
    model = page.locator(".st-key-endpoint_model input")
    model.fill("a-model")
    model.press("Enter")
    shoot(page, "panel")


def run(page: Page, topic: str) -> None:
    page.locator(".st-key-topic textarea").fill(topic)
    page.locator(".st-key-run button").click()


def test_a_run_that_meets_a_down_endpoint_says_so_at_once(page: Page, host: FaultServer) -> None:
    choose(page, host)
    run(page, "Bees in the city")
    expect(page.get_by_text("The run stopped.")).to_be_visible()
    shoot(page, "stopped")
    page.locator(".st-key-new_run button").first.click()
    page.locator(".st-key-topic textarea").wait_for()

    run(page, "Bees in the country")
    card = page.locator("[data-agent=topic_planner]")
    expect(card).to_be_visible()

    expect(page.locator(".gl-admission summary")).to_contain_text(
        "endpoint down", timeout=SAID_WITHIN_MS
    )
    expect(card).to_contain_text("the endpoint is down")
    page.locator(".gl-admission summary").click()
    expect(page.locator(".gl-gate dl").filter(has_text="down for")).to_be_visible()
    shoot(page, "down")
