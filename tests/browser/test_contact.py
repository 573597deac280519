"""A server that falls silent or dies: the live view says so and invents nothing."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ACTION_MS, address, free_port, serving
from tests.browser.test_endpoint_down import shoot
from tests.browser.test_studio import start, take_ones_time

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

NOTICED_MS = 30_000  # silence is believed after seven seconds
BACK_MS = 90_000
NO_CONTACT = re.compile(r"^No contact for (\d+) s; trying again\.$")
# The chart is drawn after the clock, and later where the machine is busy.
LINE_IS_AT_THE_CLOCK = """() => {
    const line = document.querySelector(".gl-plot").layout.shapes.at(-1).x0;
    return Math.abs(line - parseFloat(document.querySelector(".gl-clock").innerText)) <= 0.1;
}"""

LOOK_WHETHER_IT_IS_DRAWN_AGAIN = """() => {
    const app = document.querySelector("[data-testid=stApp]");
    let ran = false;
    new MutationObserver(() => {
        const state = app.dataset.testScriptState;
        ran ||= state === "running";
        window.isDrawnAgain ||= ran && state === "notRunning";
    }).observe(app, { attributes: true });
}"""


def shown(page: Page) -> tuple[str, float]:
    """What the clock says and where the chart's now line stands, in seconds."""
    clock = page.locator(".gl-clock").inner_text()
    return clock, float(page.locator(".gl-plot").evaluate("(p) => p.layout.shapes.at(-1).x0"))


def stands_still(page: Page) -> None:
    note = page.locator(".gl-note")
    expect(note).to_have_text(NO_CONTACT, timeout=NOTICED_MS)
    clock = page.locator(".gl-clock")
    expect(clock).to_contain_text("when last heard of")
    page.wait_for_function(LINE_IS_AT_THE_CLOCK)
    at_first, seconds = shown(page), note.inner_text()
    expect(note).not_to_have_text(seconds)
    expect(note).to_have_text(NO_CONTACT)
    assert shown(page) == at_first


def goes_on(page: Page) -> None:
    expect(page.locator(".gl-note")).to_be_hidden(timeout=BACK_MS)
    clock = page.locator(".gl-clock")
    expect(clock).not_to_contain_text("when last heard of")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)


def test_without_contact_the_view_stands_still_and_then_catches_up(
    chromium: Browser, tmp_path: Path
) -> None:
    port = free_port()
    with chromium.new_page(base_url=address(port)) as page:
        page.set_default_timeout(ACTION_MS)
        with serving(tmp_path / "data", port) as server:
            page.goto("/")
            page.locator(".st-key-run button").wait_for()
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            take_ones_time(page)
            start(page, "Tidal power on small islands")
            expect(page.locator("[data-state=streaming]").first).to_be_visible()
            expect(page.locator("[data-gantt] .js-plotly-plot .bars path").first).to_be_attached()

            server.send_signal(signal.SIGSTOP)
            stands_still(page)
            server.send_signal(signal.SIGCONT)
            goes_on(page)

            server.kill()
            stands_still(page)
            shoot(page, "no_contact")
        page.evaluate(LOOK_WHETHER_IT_IS_DRAWN_AGAIN)
        with serving(tmp_path / "data", port):
            goes_on(page)

            page.wait_for_function("() => window.isDrawnAgain")
            page.locator(".st-key-cancel button").click()  # the new server's first
            expect(page.get_by_text("This run was cancelled.")).to_be_visible()
