"""A brand voice from its page to a run, with the keyboard, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.panels import open_panel
from tests.browser.test_contrast import too_pale
from tests.browser.test_studio import finished, start

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

expect.set_options(timeout=20_000)

TOO_WIDE = """() => Math.max(...[document.documentElement,
    document.querySelector('[data-testid=stMain]')].map((e) => e.scrollWidth - e.clientWidth))"""


@pytest.mark.parametrize(
    "context",
    [
        {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
        {"color_scheme": "dark"},
    ],
    indirect=True,
    ids=["phone", "dark"],
)
def test_a_voice_is_written_down_chosen_and_followed(page: Page) -> None:
    page.goto("/voices")
    page.get_by_role("button", name="New voice").press("Enter")
    editor = page.locator(".st-key-voice_editor")
    name = f"House {page.viewport_size['width']}"  # type: ignore[index]
    editor.get_by_role("textbox", name="Name").fill(name)
    editor.get_by_role("textbox", name="Never use").fill("zymurgy")
    editor.get_by_role("textbox", name="Own pages").fill("no address")
    editor.get_by_role("textbox", name="Call to action").fill("Ask us for a free check.")
    editor.get_by_role("button", name="Save").press("Enter")
    expect(editor).to_contain_text("is not of the form")
    assert too_pale(page) == []
    assert page.evaluate(TOO_WIDE) <= 0

    editor.get_by_role("textbox", name="Own pages").fill("Shop: https://example.com/shop")
    editor.get_by_role("button", name="Save").press("Enter")
    expect(page.locator(".st-key-voices")).to_contain_text("1 banned word · 1 link")
    assert too_pale(page) == []

    page.goto("/")
    open_panel(page, "details")
    voice = page.get_by_role("combobox", name="Brand voice")
    voice.focus()  # scrolls to it; a list that is open while the page scrolls falls shut
    expect(voice).to_be_in_viewport()
    voice.press("ArrowDown")
    page.get_by_role("option", name=name, exact=True).click()
    start(page, "Home insulation")
    finished(page)

    expect(page.locator(".st-key-article")).to_contain_text("Ask us for a free check.")
    expect(page.locator(".st-key-voice_checks")).to_contain_text("nothing to mend")
