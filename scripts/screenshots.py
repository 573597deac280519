"""Make the pictures of the README: start the app on a demo run and photograph it in Chromium.

python -m scripts.screenshots [--out docs/pictures] [--speed realistic]
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from scripts.ensure_browser import FLAGS, find_browser

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 60.0
RUN_TIMEOUT_MS = 180_000
TOPIC = "Heat pumps in old buildings"
DESKTOP = ViewportSize(width=1280, height=900)
TALL = ViewportSize(width=1280, height=1500)  # what a finished run shows first
PHONE = ViewportSize(width=390, height=844)


def start_app(port: int, folder: str, speed: str) -> subprocess.Popen[bytes]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    env |= {"GANTRY_DATA_DIR": folder, "GANTRY_DEMO_SPEED": speed}
    app = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    child = subprocess.Popen([*app, "--server.headless=true"], cwd=ROOT, env=env)
    limit = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < limit:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return child
    child.terminate()
    raise RuntimeError("The app did not start.")


def open_page(
    browser: Browser, url: str, scheme: Literal["dark", "light"], size: ViewportSize
) -> Page:
    page = browser.new_context(
        color_scheme=scheme,
        viewport=size,
        device_scale_factor=1.5 if size is DESKTOP else 2,
    ).new_page()
    page.goto(url)
    page.locator(".st-key-topic textarea").wait_for()
    return page


def shoot(page: Page, out: Path, name: str) -> None:
    page.evaluate("() => document.fonts.ready.then(() => true)")
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=20_000)
    page.screenshot(path=out / f"{name}.png")
    print(out / f"{name}.png")


def whole(page: Page, out: Path, name: str) -> None:
    """Everything on the page: Streamlit scrolls inside, so the window grows to the content."""
    height = page.locator('[data-testid="stMainBlockContainer"]').evaluate("e => e.scrollHeight")
    size = page.viewport_size or DESKTOP
    page.set_viewport_size(ViewportSize(width=size["width"], height=min(int(height) + 80, 6000)))
    page.wait_for_timeout(800)
    shoot(page, out, name)
    page.set_viewport_size(size)


def photograph(url: str, out: Path) -> None:
    chromium = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        dark = open_page(browser, url, "dark", DESKTOP)
        shoot(dark, out, "start_dark")
        light = open_page(browser, url, "light", DESKTOP)
        shoot(light, out, "start_light")
        light.locator(".st-key-topic textarea").fill(TOPIC)
        light.locator(".st-key-run button").click()
        light.locator('[data-agent="content_writer"][data-state="streaming"]').wait_for(
            timeout=RUN_TIMEOUT_MS
        )
        run_url = light.url
        phone = open_page(browser, url, "light", PHONE)
        for page in (dark, phone):
            page.goto(run_url)
            page.locator("[data-agent]").first.wait_for()
        dark.locator('[data-agent="seo_specialist"][data-state="streaming"]').wait_for(
            timeout=RUN_TIMEOUT_MS
        )
        whole(dark, out, "running_dark")
        shoot(phone, out, "running_phone")
        light.get_by_role("tab", name="Article").wait_for(timeout=RUN_TIMEOUT_MS)
        light.set_viewport_size(TALL)
        light.wait_for_timeout(1500)
        shoot(light, out, "done_light")
        light.get_by_role("link", name="Plan lab").first.click()
        light.locator(".st-key-lab_mode").wait_for()
        light.wait_for_timeout(1500)
        shoot(light, out, "plan_lab_light")
        dark.get_by_role("tab", name="Article").wait_for(timeout=RUN_TIMEOUT_MS)
        dark.set_viewport_size(TALL)
        dark.wait_for_timeout(1500)
        shoot(dark, out, "done_dark")
        dark.set_viewport_size(DESKTOP)
        phone.get_by_role("tab", name="Article").wait_for(timeout=RUN_TIMEOUT_MS)
        phone.wait_for_timeout(1500)
        shoot(phone, out, "done_phone")
        dark.get_by_role("link", name="History").first.click()
        dark.get_by_text(TOPIC).first.wait_for()
        dark.wait_for_timeout(800)
        shoot(dark, out, "history_dark")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--speed", default="realistic")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        child = start_app(port, folder, options.speed)
        try:
            photograph(f"http://127.0.0.1:{port}", options.out)
        finally:
            child.terminate()
            child.wait(15)


if __name__ == "__main__":
    main()
