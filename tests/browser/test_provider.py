"""Typing into the provider panel, as people do it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from pipeline.engine.loop_thread import LoopThread
from tests.browser.panels import open_panel
from tests.fault_server import FaultServer, error

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

KEY = "sk-typed-in-the-browser"


@pytest.fixture
def host() -> Iterator[FaultServer]:
    thread = LoopThread("host")
    thread.start()
    server = FaultServer(default=error(200, {"data": [{"id": "one"}, {"id": "two"}]}))
    thread.call(server.__aenter__(), 10)
    yield server
    thread.call(server.__aexit__(None, None, None), 10)
    thread.close(10)


def test_a_key_counts_as_typed_when_the_field_is_left_with_tab(
    page: Page, host: FaultServer
) -> None:
    open_panel(page, "provider_panel")
    page.locator(".st-key-provider").get_by_text("My own endpoint").click()
    page.locator(".st-key-endpoint_url input").fill(str(host.endpoint.base_url))
    page.locator(".st-key-endpoint_url input").press("Tab")
    page.locator(".st-key-endpoint_key input").press_sequentially(KEY)
    page.locator(".st-key-endpoint_key input").press("Tab")

    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    button = page.locator(".st-key-test_connection button")
    button.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_text(re.compile("Connected.*2 models"))).to_be_visible()
    assert {request.headers["authorization"] for request in host.requests} == {f"Bearer {KEY}"}
