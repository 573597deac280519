"""The admission panel in a real Chromium: who waits for what, while it happens."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_studio import finished, start, take_ones_time

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def open_panel(page: Page) -> None:
    page.locator(".gl-admission summary").click()
    expect(page.locator(".gl-gate dl").first).to_be_visible()


def test_the_panel_shows_what_is_in_flight_and_stays_open(page: Page) -> None:
    take_ones_time(page)
    start(page, "Tidal power on small islands")

    summary = page.locator(".gl-admission summary")
    expect(summary).to_contain_text(re.compile(r"[1-9]\d* in flight, 0 waiting"))
    expect(page.locator(".gl-gate")).to_have_count(0)  # closed: nothing is drawn
    open_panel(page)
    gate = page.locator(".gl-gate", has_text="gantry-demo-realistic").first
    expect(gate).to_contain_text("gantry-demo-realistic at http://127.0.0.1:")
    expect(gate.locator("dl")).to_contain_text(re.compile(r"In flight[1-9]\d* of 16"))
    expect(gate).to_contain_text("No limit known")
    expect(page.locator("[data-agent=topic_planner][data-state=done]")).to_be_visible()
    expect(gate).to_be_visible()  # still open, after many messages
    finished(page)


@pytest.mark.parametrize("context", [PHONE, {**PHONE, "color_scheme": "dark"}], indirect=True)
def test_the_panel_fits_a_phone(page: Page) -> None:
    take_ones_time(page)
    start(page, "Tidal power on small islands")
    open_panel(page)

    box = page.locator(".gl-admission").bounding_box()
    assert box is not None and box["width"] <= 390
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
