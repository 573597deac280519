"""Every text can be read, in both themes, before, during and after a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.panels import take_ones_time

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TOO_PALE = Path(__file__).with_name("contrast.js").read_text("utf-8")
DONE_MS = 120_000
SETTLE_MS = 5_000


UNTIL_SETTLED = f"""async () => {{
  const audit = {TOO_PALE.strip().rstrip(";")};
  const ends = performance.now() + {SETTLE_MS};
  let found = audit();
  while (found.length && performance.now() < ends) {{
    await new Promise(requestAnimationFrame);
    found = audit();
  }}
  return found;
}}"""


def too_pale(page: Page) -> list[dict[str, object]]:
    """What is too pale and stays so: icons are invisible until their font has come."""
    found: list[dict[str, object]] = page.evaluate(UNTIL_SETTLED)
    return found


def test_the_audit_sees_a_pale_text(page: Page) -> None:
    page.evaluate(
        "document.querySelector('[data-testid=stApp]')"
        ".insertAdjacentHTML('beforeend', '<p style=\"color:#999;background:#aaa\">pale</p>')"
    )

    assert "pale" in [found["text"] for found in too_pale(page)]


@pytest.mark.parametrize(
    "context", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True
)
def test_no_text_is_too_pale(page: Page) -> None:
    assert too_pale(page) == []

    take_ones_time(page)
    page.locator(".st-key-sample_1 button").click()
    expect(page.locator("[data-state=streaming]").first).to_be_visible(timeout=DONE_MS)
    assert too_pale(page) == []

    expect(page.locator(".st-key-gantt .gantt .label").first).to_be_visible(timeout=DONE_MS)
    assert too_pale(page) == []

    page.goto("/history")
    expect(page.locator(".st-key-runs")).to_be_visible()
    assert too_pale(page) == []
