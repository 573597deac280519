"""A provider that asks to wait: the card counts the seconds down, and reads none of them aloud."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from pipeline.engine.loop_thread import LoopThread
from tests.browser.test_endpoint_down import choose, run, shoot
from tests.fault_server import FaultServer, error

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

RETRY_AFTER_S = 60
WAITS = re.compile(r"^The provider asked to wait: (\d+) s$")


@pytest.fixture
def host() -> Iterator[FaultServer]:
    thread = LoopThread("host")
    thread.start()
    slow_down = {"error": {"message": "slow down"}}
    server = FaultServer(default=error(429, slow_down, {"retry-after": str(RETRY_AFTER_S)}))
    thread.call(server.__aenter__(), 10)
    yield server
    thread.call(server.__aexit__(None, None, None), 10)
    thread.close(10)


def seconds(text: str) -> int:
    told = WAITS.match(text)
    assert told is not None
    return int(told[1])


def test_a_card_counts_down_how_long_the_provider_asked_to_wait(
    page: Page, host: FaultServer
) -> None:
    choose(page, host)
    run(page, "Bees in the city")
    wait = page.locator("[data-agent=topic_planner] .gl-wait")
    expect(wait).to_have_text(WAITS)

    begun = wait.inner_text()
    expect(wait).not_to_have_text(begun)
    expect(wait).to_have_text(WAITS)

    assert seconds(wait.inner_text()) < seconds(begun) <= RETRY_AFTER_S
    spoken = "[aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=timer]"
    assert wait.evaluate(f"(wait) => wait.closest('{spoken}')") is None
    shoot(page, "countdown")
    page.reload()
    expect(wait).to_have_text(WAITS)
    assert seconds(wait.inner_text()) < seconds(begun)
    page.locator(".st-key-cancel button").click()
    expect(page.get_by_text("This run was cancelled.")).to_be_visible()
