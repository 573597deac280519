"""Opening what folds: a panel slides open, and a click on what slides may land beside it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

_AT_REST = """(body) => new Promise((resolve) => {
  let last = "", same = 0;
  const look = () => {
    const now = JSON.stringify([body.getBoundingClientRect(), document.getAnimations().length]);
    same = now === last ? same + 1 : 0;
    last = now;
    same < 10 ? requestAnimationFrame(look) : resolve();
  };
  look();
})"""


def open_panel(page: Page, key: str) -> None:
    """Open the panel of that widget key and wait until it has stopped moving."""
    panel = page.locator(f".st-key-{key} details").first
    panel.locator("summary").first.click()
    page.locator(f".st-key-{key} details[open]").first.wait_for()
    panel.evaluate(_AT_REST)


def take_ones_time(page: Page) -> None:
    """The realistic demo: long enough to do something in the middle of a run."""
    open_panel(page, "provider_panel")
    page.locator(".st-key-demo_speed").get_by_text("realistic").click()
    expect(page.locator(".st-key-demo_speed [aria-checked=true]")).to_have_text("realistic")


def open_tab(page: Page, name: str) -> None:
    """Open a result's tab once the page is drawn: a tab opened while it is being drawn falls shut.

    What stands in it is drawn then, so wait until something does.
    """
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    tab = page.get_by_role("tab", name=name)
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")
    panel = page.locator(f"[id='{tab.get_attribute('aria-controls')}']")
    expect(panel.locator("[data-testid=stElementContainer]").first).to_be_attached()
