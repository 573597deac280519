"""Find a Chromium that starts, or get one: what the browser tests and screenshots drive.

Order: `GANTRY_CHROMIUM`, a Chromium or Chrome on PATH, the one Playwright has downloaded, a
Playwright download, and at last the system's package manager when run as root. A browser counts
only when it opens a page. `find_browser` is the one place that knows where browsers are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from playwright.sync_api import Error, Playwright, sync_playwright

SETTING = "GANTRY_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_TIMEOUT_MS = 30_000
DOWNLOAD_TIMEOUT_S = 240
APT_TIMEOUT_S = 300
ADVICE = (
    "No Chromium starts on this machine. Install Chromium or Chrome "
    f"(Debian: apt install chromium), or set {SETTING} to one, then run this again."
)


def main() -> None:
    browser = find_browser() or download() or install_with_apt()
    if browser is None:
        sys.exit(ADVICE)
    print(f"Browser for the tests: {browser}", flush=True)


def find_browser() -> str | None:
    """The path of a browser that starts, or None. A wrong `GANTRY_CHROMIUM` is said, not skipped."""
    with sync_playwright() as playwright:
        if chosen := os.environ.get(SETTING):
            if not starts(playwright, chosen):
                sys.exit(f"{SETTING}={chosen} does not start. Correct it or unset it.")
            return chosen
        found = (path for path in _candidates(playwright) if starts(playwright, path))
        return next(found, None)


def _candidates(playwright: Playwright) -> Iterator[str]:
    for name in NAMES:
        if path := shutil.which(name):
            yield path
    yield from PLACES
    yield playwright.chromium.executable_path


def starts(playwright: Playwright, path: str) -> bool:
    """True when the browser at `path` opens an empty page."""
    if not os.access(path, os.X_OK):
        return False
    try:
        browser = playwright.chromium.launch(
            executable_path=path, args=list(FLAGS), timeout=START_TIMEOUT_MS
        )
        browser.new_page().close()
        browser.close()
    except Error as exc:
        print(f"{path} does not start: {str(exc).splitlines()[0]}", file=sys.stderr)
        return False
    return True


def download() -> str | None:
    """Let Playwright fetch its own Chromium; its system libraries may still be missing."""
    print("No Chromium here; asking Playwright for one", flush=True)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    return find_browser() if _succeeds(command, DOWNLOAD_TIMEOUT_S) else None


def install_with_apt() -> str | None:
    """Install Debian's Chromium, when that is possible without asking anybody."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    print("Installing Chromium with apt-get", flush=True)
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    update = ["apt-get", "update", "-qq"]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    done = _succeeds(update, APT_TIMEOUT_S) and _succeeds(install, APT_TIMEOUT_S)
    return find_browser() if done else None


def _succeeds(command: list[str], timeout_s: float) -> bool:
    """Run a command to its end; what it says goes to stderr."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"`{command[0]}` took longer than {timeout_s:.0f} s", file=sys.stderr)
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
