"""From one page to another, in the middle of what one was doing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

expect.set_options(timeout=20_000)


@pytest.mark.parametrize(
    "context", [{}, {"has_touch": True}], indirect=True, ids=["mouse", "touch"]
)
def test_a_page_opened_from_a_field_that_is_being_typed_in_stays_there(page: Page) -> None:
    """The field hands over what was typed only after it lost the caret, when the link is at work."""
    page.locator(".st-key-topic textarea").press_sequentially("Urban bees")

    link = page.get_by_role("link", name="History", exact=True)
    link.tap() if page.evaluate("navigator.maxTouchPoints") else link.click()

    expect(page.locator(".st-key-history_search input")).to_be_visible()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    expect(page.locator(".st-key-history_search input")).to_be_visible()
    page.get_by_role("link", name="Studio", exact=True).click()
    expect(page.locator(".st-key-topic textarea")).to_have_value("Urban bees")
