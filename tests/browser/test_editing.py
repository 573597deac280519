"""Editing a finished run and approving an outline, with the keyboard, in a real Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.panels import open_panel, open_tab
from tests.browser.test_contrast import too_pale
from tests.browser.test_studio import DONE_MS, finished, start

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

expect.set_options(timeout=20_000)

WIDTHS = """() => Math.max(...[document.documentElement,
    document.querySelector('[data-testid=stMain]'),
    ...document.querySelectorAll('[role=dialog]')].map((e) => e.scrollWidth - e.clientWidth))"""


def open_editor(page: Page, agent: str) -> Locator:
    open_tab(page, "Agents")
    open_panel(page, f"agent_{agent}")
    panel = page.locator(f".st-key-agent_{agent}")
    panel.get_by_role("button", name="Edit and re-run from here").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def test_an_edited_article_is_run_from_there(page: Page) -> None:
    start(page, "Heat pumps in old buildings")
    finished(page)
    parent = page.url
    dialog = open_editor(page, "editor")
    expect(dialog).to_contain_text("Nothing is changed")

    text = dialog.get_by_label("Output of the editor, as Markdown")
    text.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("\n\nOne more paragraph.")
    page.keyboard.press("Tab")
    expect(dialog).to_contain_text("Will run again: SEO specialist")
    expect(dialog).to_contain_text("estimated from earlier runs")
    dialog.get_by_role("button", name="Run again from here").press("Enter")

    expect(page).not_to_have_url(parent)
    finished(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".st-key-article")).to_contain_text("One more paragraph.")
    open_tab(page, "Agents")
    expect(page.locator(".st-key-agent_editor summary").first).to_contain_text("edited by you")
    expect(page.locator(".st-key-agent_content_writer summary").first).to_contain_text("taken over")
    page.get_by_role("button", name="Began with an earlier run").first.click()
    expect(page).to_have_url(parent)
    finished(page)
    expect(page.locator(".st-key-article")).not_to_contain_text("One more paragraph.")


def test_what_was_typed_is_not_lost_by_a_click_beside_the_editor(page: Page) -> None:
    start(page, "Urban bees")
    finished(page)
    dialog = open_editor(page, "summary_writer")
    dialog.get_by_role("radio", name="Its prompt").click()
    addition = dialog.get_by_label("Add to the prompt of the summary writer")
    addition.fill("Name the city of Lyon.")

    page.mouse.click(5, 400)
    page.keyboard.press("Escape")
    expect(addition).to_have_value("Name the city of Lyon.")
    dialog.get_by_role("button", name="Keep it as it is").click()

    expect(page.get_by_role("dialog")).to_have_count(0)
    finished(page)


@pytest.mark.parametrize(
    "context",
    [
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    ],
    indirect=True,
    ids=["phone, light", "laptop, dark"],
)
def test_an_outline_is_approved_with_changes(page: Page) -> None:
    open_panel(page, "details")
    page.locator(".st-key-approve_outline label").click()
    start(page, "Heat pumps in old buildings")
    approval = page.locator(".st-key-approval")
    expect(approval).to_be_visible(timeout=DONE_MS)
    expect(page).to_have_title(re.compile("Waiting"))
    approve = approval.get_by_role("button", name="Approve", exact=True)
    expect(approve).to_be_in_viewport()  # however long the outline is
    assert page.evaluate(WIDTHS) == 0
    assert too_pale(page) == []

    page.reload()  # waiting does not hang on this page
    heading = approval.get_by_label("Heading of section 1")
    heading.fill("Why now")
    heading.press("Tab")
    expect(approval).to_contain_text("You have changed the outline")
    approval.get_by_role("button", name="Remove section 2").press("Enter")
    expect(approval.get_by_label("Heading of section 5")).to_have_count(0)
    approval.get_by_role("button", name="Approve with changes").press("Enter")

    finished(page)
    expect(page.get_by_role("heading", name="Why now")).to_be_visible()
    expect(page.locator(".st-key-headline")).to_contain_text("–")  # no saving: it stood still
    dialog = open_editor(page, "topic_planner")
    expect(dialog.get_by_label("Heading of section 1")).to_have_value("Why now")
    assert page.evaluate(WIDTHS) == 0
    assert too_pale(page) == []
