"""Where the keyboard is can be seen, in both themes: what Tab reaches gets a ring."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.panels import open_panel

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

STOPS = 26
AROUND_PX = 5
THREE_TO_ONE = 3.0
ENOUGH = 1.5  # rings of one pixel; ours have two, less their corners
# the focused element, or what stands for it on the page where it is tiny
BOX = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return null;
  const frame = "label, [role=group], [data-testid$=RootElement], [data-testid=stNumberInputContainer]";
  const shown = focused.matches("input, textarea") ? focused.closest(frame) : focused;
  const { x, y, width, height } = shown.getBoundingClientRect();
  return { x, y, width, height, name: focused.tagName + " " + (focused.getAttribute("role") ?? "")
    + " " + focused.textContent.slice(0, 30) };
}"""


def luminance(picture: bytes) -> np.ndarray:
    rgb = np.asarray(Image.open(BytesIO(picture)).convert("RGB")) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def changed(page: Page, box: dict[str, float]) -> int:
    """Pixels in and around the box whose contrast with what they are without focus is 3:1 or more."""
    size = page.viewport_size
    assert size is not None
    left, top = max(0.0, box["x"] - AROUND_PX), max(0.0, box["y"] - AROUND_PX)
    right = min(size["width"], box["x"] + box["width"] + AROUND_PX)
    bottom = min(size["height"], box["y"] + box["height"] + AROUND_PX)
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    with_ring = luminance(page.screenshot(clip=clip, animations="disabled", caret="hide"))
    page.evaluate("() => { window.before = document.activeElement; before.blur(); }")
    without = luminance(page.screenshot(clip=clip, animations="disabled", caret="hide"))
    page.evaluate("() => window.before.focus({ focusVisible: true })")
    lighter, darker = np.maximum(with_ring, without), np.minimum(with_ring, without)
    return int(np.count_nonzero((lighter + 0.05) / (darker + 0.05) >= THREE_TO_ONE))


@pytest.mark.parametrize(
    "context", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True
)
def test_what_tab_reaches_has_a_ring(page: Page) -> None:
    open_panel(page, "details")
    page.locator("[data-testid=stTopNavLink]").first.focus()
    seen, faint = [], {}  # but of the page itself, whose ring lies partly under the header
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        box = page.evaluate(BOX)
        if box is None:
            break
        seen.append(box["name"])
        ring = 2 * (box["width"] + box["height"])  # of one pixel
        if changed(page, box) < ENOUGH * ring and not box["name"].startswith("MAIN"):
            faint[box["name"]] = box

    assert any("A " in name for name in seen)
    assert any("switch" in name for name in seen)
    assert any("TEXTAREA" in name for name in seen)
    assert any("combobox" in name for name in seen)
    assert len(seen) == STOPS
    assert faint == {}


def test_what_opens_over_the_page_has_a_ring_too(page: Page) -> None:
    page.evaluate(  # where Streamlit puts popovers and dialogs: beside the app, not in it
        "document.body.insertAdjacentHTML('beforeend', '<div><button id=\"over\">x</button></div>')"
    )
    page.evaluate("document.querySelector('#over').focus({ focusVisible: true })")

    over = page.locator("#over")
    expect(over).to_have_css("outline-style", "solid")
    expect(over).to_have_css("outline-width", "2px")


PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36",
}


@pytest.mark.parametrize("context", [PHONE], indirect=True, ids=["phone"])
def test_the_menu_of_a_phone_closes_after_a_choice(page: Page) -> None:
    page.locator("[data-testid=stExpandSidebarButton]").click()
    page.locator("[data-testid=stSidebarNavLink]", has_text="History").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("History")
    expect(page.locator(".stSidebar")).not_to_be_in_viewport()
