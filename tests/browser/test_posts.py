"""The posts as they would look, in a real Chromium: both themes, a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.panels import open_tab
from tests.browser.test_contrast import too_pale
from tests.browser.test_studio import finished, start

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

expect.set_options(timeout=20_000)

TOO_WIDE = """() => Math.max(...[document.documentElement,
    document.querySelector('[data-testid=stMain]'),
    ...document.querySelectorAll('.st-key-posts > div')].map((e) => e.scrollWidth - e.clientWidth))"""


@pytest.mark.parametrize(
    "context",
    [
        {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
        {"color_scheme": "dark"},
    ],
    indirect=True,
    ids=["phone", "dark"],
)
def test_posts_can_be_read_and_switched(page: Page) -> None:
    start(page, "Home insulation")
    finished(page)
    open_tab(page, "Social posts")
    x = page.locator(".st-key-post_x")
    first = x.locator("code").inner_text()

    x.get_by_role("radio", name="B", exact=True).click()
    expect(x.locator("code")).not_to_have_text(first)
    x.get_by_role("radio", name="A in 2 posts").click()
    expect(x.locator("code")).to_have_count(2)

    expect(x.locator("code").last).to_contain_text("(2/2)")
    expect(x).to_contain_text("Split by code from the LinkedIn post")
    assert too_pale(page) == []
    assert page.evaluate(TOO_WIDE) <= 0
    page.locator(".st-key-networks").get_by_text("X", exact=True).click()
    expect(x).to_have_count(0)
    expect(page.locator(".st-key-post_bluesky")).to_be_visible()
