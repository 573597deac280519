"""The Plan lab in a real Chromium: from a finished run, sliders redraw the Gantt at once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_contrast import TOO_PALE
from tests.browser.test_studio import finished, start

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

expect.set_options(timeout=20_000)


def open_lab(page: Page, topic: str) -> None:
    """Run `topic` and follow the finished page's link."""
    start(page, topic)
    finished(page)
    page.get_by_role("link", name="Open in Plan lab").click()
    expect(page.get_by_role("heading", name="Plan lab")).to_be_visible()
    expect(gantt(page)).to_be_visible()


def gantt(page: Page) -> Locator:
    return page.locator(".st-key-lab_gantt .js-plotly-plot").first


def simulated(page: Page) -> Locator:
    return page.locator(".st-key-lab_figures [data-testid=stMetric]", has_text="This plan")


def seconds(metric: Locator) -> float:
    text = metric.locator("[data-testid=stMetricValue]").inner_text()
    minutes = re.search(r"(\d+) min", text)
    return 60 * int(minutes[1] if minutes else 0) + float(re.search(r"([\d.]+) s", text)[1])


def move(page: Page, slider: str, key: str, times: int = 1) -> None:
    """Move a slider with the keyboard, as everyone can."""
    thumb = page.locator(f".st-key-{slider}").get_by_role("slider")
    thumb.focus()
    for _ in range(times):
        thumb.press(key)


def test_another_plan_is_drawn_at_once_and_says_that_it_is_simulated(page: Page) -> None:
    open_lab(page, "Heat pumps in old buildings")
    assert "run=" in page.url
    expect(gantt(page)).to_contain_text("not measured")
    expect(gantt(page)).to_contain_text("critical path")
    expect(page.locator(".st-key-lab_figures")).to_contain_text("This run (measured)")

    before_s = seconds(simulated(page))
    page.locator(".st-key-lab_mode").get_by_text("Sequential").click()
    expect(page.locator(".st-key-lab_figures")).to_contain_text("Longer (simulated)")
    page.locator(".st-key-lab_parallel_research input:disabled").wait_for(state="attached")
    assert seconds(simulated(page)) > before_s

    page.locator(".st-key-lab_mode").get_by_text("Dataflow").click()
    move(page, "lab_sections", "End")
    expect(gantt(page)).to_contain_text("Section writer 8")
    expect(page.locator(".st-key-lab_curve")).to_contain_text("8 agents of this plan")
    expect(page.locator(".st-key-lab_parallel_writing")).to_be_visible()


@pytest.mark.parametrize(
    "context",
    [
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    ],
    indirect=True,
    ids=["light", "dark"],
)
def test_a_phone_shows_the_lab_readably_and_without_scrolling_sideways(page: Page) -> None:
    open_lab(page, "Urban bees")
    expect(page.locator(".st-key-lab_curve .js-plotly-plot").first).to_be_visible()

    overflow = page.evaluate(
        "() => Math.max(...[document.documentElement,"
        " document.querySelector('[data-testid=stMain]')]"
        ".map((e) => e.scrollWidth - e.clientWidth))"
    )

    assert overflow == 0
    # a slider's value stands above its thumb and the ends show on hover: not on what is behind them
    audit = TOO_PALE.strip().rstrip(";")
    found = page.evaluate(  # in one step: the page may draw itself anew between two
        "() => { document.querySelectorAll('[data-testid^=stSliderT]')"
        f".forEach((text) => (text.style.visibility = 'hidden')); return ({audit})(); }}"
    )
    assert found == []


def test_the_lab_without_a_run_in_the_address_takes_the_newest(page: Page) -> None:
    start(page, "Code reviews in small teams")
    finished(page)

    page.goto("/plan_lab")

    expect(gantt(page)).to_be_visible()
    expect(page.locator(".st-key-lab_run input")).to_have_value(re.compile("Code reviews"))
