"""What stands in the tabs of a finished run, as a browser draws it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.panels import open_panel, open_tab
from tests.browser.test_contrast import too_pale

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DONE_MS = 120_000


def finished_run(page: Page, topic: str) -> None:
    page.locator(".st-key-topic textarea").fill(topic)
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(r"[?&]run="))
    expect(page.locator(".st-key-headline")).to_be_visible(timeout=DONE_MS)


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": 1280, "height": 900}}], indirect=True, ids=["laptop"]
)
def test_the_article_begins_on_the_first_screen_and_its_citations_lead_to_their_source(
    page: Page,
) -> None:
    finished_run(page, "Heat pumps in old buildings")

    title = page.locator(".st-key-article h2").first
    expect(title).to_be_in_viewport(ratio=1)
    expect(page.locator(".st-key-gantt .gantt .bar").first).to_be_in_viewport()
    expect(page.locator(".st-key-seo_checks")).to_have_count(0)
    expect(page.locator("h1")).to_have_count(1)
    source = page.locator(".st-key-article .sources li").nth(1)
    expect(source).not_to_be_in_viewport()
    page.locator(".st-key-article").get_by_role("link", name="[2]").first.click()
    expect(source).to_be_in_viewport()
    expect(title).not_to_be_in_viewport()


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": 390, "height": 844}}], indirect=True, ids=["phone"]
)
def test_a_phone_has_the_tabs_on_the_first_screen_and_the_chart_folded(page: Page) -> None:
    finished_run(page, "Urban bees")

    expect(page.get_by_role("tab", name="Article")).to_be_in_viewport()
    expect(page.locator(".st-key-gantt")).to_be_hidden()
    chart = page.locator(".st-key-gantt_fold .gantt")
    open_panel(page, "gantt_fold")
    expect(chart).to_be_visible()
    assert chart.evaluate("e => e.scrollWidth - e.clientWidth") <= 0


def test_the_seo_tab_shows_the_result_page_the_score_and_lines_for_the_head(page: Page) -> None:
    finished_run(page, "Heat pumps <img src=x onerror=alert(1)>")
    open_tab(page, "SEO")

    cards = page.locator(".st-key-snippets .snippet")
    expect(cards).to_have_count(2)
    expect(cards.first.locator(".snippet-title")).to_contain_text("Heat pumps")
    expect(cards.first.locator(".snippet-title")).to_have_css("font-size", "20px")
    expect(cards.locator("img")).to_have_count(0)
    title = cards.first.locator(".snippet-title").bounding_box()
    assert title is not None and title["height"] < 40  # what fits by our table stands on one line
    expect(page.locator(".st-key-seo_checks")).to_contain_text("/ 100")
    open_panel(page, "page_head")
    expect(page.locator(".st-key-page_head code")).to_contain_text("application/ld+json")


def test_the_changes_tab_tells_words_edits_and_advice(page: Page) -> None:
    finished_run(page, "Heat pumps in old buildings")
    open_tab(page, "Changes")

    text = page.locator(".st-key-changes_text")
    expect(text.locator("ins").first).to_have_css("text-decoration-line", "underline")
    expect(text.locator("del").first).to_have_css("text-decoration-line", "line-through")
    expect(page.locator(".st-key-changes_edits")).to_contain_text("applied")
    expect(page.locator(".st-key-changes_advice")).to_contain_text("SEO 1")
    expect(page.locator(".st-key-changes_advice")).not_to_contain_text("not mentioned")


@pytest.mark.parametrize(
    "context",
    [
        {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
        {"color_scheme": "dark"},
    ],
    indirect=True,
    ids=["light, phone", "dark"],
)
def test_the_tabs_can_be_read_in_both_themes_and_on_a_phone(page: Page) -> None:
    finished_run(page, "Heat pumps in old buildings")

    for name, key in (("SEO", "seo_checks"), ("Changes", "changes_advice")):
        open_tab(page, name)
        expect(page.locator(f".st-key-{key} table")).to_be_visible()
        assert too_pale(page) == []
        assert (
            page.locator("[data-testid=stMain]").evaluate("e => e.scrollWidth - e.clientWidth") == 0
        )


def test_the_evidence_tab_sets_each_statement_beside_its_passage(page: Page) -> None:
    finished_run(page, "Heat pumps in old buildings")
    open_tab(page, "Evidence")

    evidence = page.locator(".st-key-evidence")
    expect(evidence).to_contain_text("statements name a source")
    statement = evidence.locator(".evidence li", has=page.locator(".verdict.supported")).first
    expect(statement.locator(".numbers")).to_have_text(re.compile(r"\[\d"))
    expect(statement.locator("blockquote")).not_to_be_empty()
    expect(statement.locator(".verdict")).to_have_text("✓ Supported")
    evidence.get_by_role("radio", name="Flagged").focus()  # by keyboard, too
    page.keyboard.press("Enter")
    expect(evidence).to_contain_text("Nothing of that kind.")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
