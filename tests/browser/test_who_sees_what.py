"""Two browsers on one server: each sees its own runs; a link shows one run until it is withdrawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Download, Page, WebSocketRoute, expect

from scripts.ensure_browser import FLAGS
from tests.browser.conftest import ACTION_MS, Watch, free_port, served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

GONE = "This link shows nothing"
NO_ACTIONS = ("cancel", "continue", "new_run", "share", "brief", "brief_line")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app that tells browsers apart, with runs slow enough to be watched."""
    settings = {"GANTRY_OWNERS": "cookie", "GANTRY_DEMO_SPEED": "realistic"}
    with served(tmp_path_factory, free_port(), **settings) as base:
        yield base


def visitor(chromium: Browser, base: str, path: str = "/") -> Page:
    context = chromium.new_context(base_url=base)
    context.set_default_timeout(ACTION_MS)
    page = context.new_page()
    page.goto(path)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return page


@pytest.fixture
def owner(chromium: Browser, team: str) -> Iterator[Page]:
    page = visitor(chromium, team)
    yield page
    page.context.close()


@pytest.fixture
def other(chromium: Browser, team: str) -> Iterator[Page]:
    """Somebody else, whose page asks no other host for anything."""
    page = visitor(chromium, team)
    watch = Watch(team)
    watch.follow(page.context)
    yield page
    page.context.close()
    assert (watch.outside, watch.dialogs, watch.errors) == ([], [], [])


def start(page: Page) -> None:
    page.locator(".st-key-sample_1 button").click()
    expect(page).to_have_url(re.compile(r"[?&]run="))
    expect(page.locator("[data-agent]")).to_have_count(10)


def share(page: Page) -> str:
    page.locator(".st-key-share button").first.click()
    page.locator(".st-key-share_make button").click()
    link = page.locator("[data-testid=stPopoverBody] code").filter(has_text="shared=")
    return link.inner_text().strip()


def nothing_to_do(page: Page) -> None:
    """The page offers nothing that acts on a run."""
    found = [key for key in NO_ACTIONS if page.locator(f".st-key-{key}").count()]
    assert found == []


def test_a_first_visitor_is_known_before_anything_is_asked(owner: Page) -> None:
    cookies = [cookie["name"] for cookie in owner.context.cookies()]

    assert "gantry_visitor" in cookies
    expect(owner.locator(".st-key-run button")).to_be_enabled()
    assert "gantry_visitor" not in owner.evaluate("document.cookie")


def test_a_browser_sees_its_own_runs_only(owner: Page, other: Page) -> None:
    start(owner)

    other.goto(owner.url)
    expect(other.get_by_text("This run is not known here")).to_be_visible()
    expect(other.locator("[data-agent]")).to_have_count(0)
    other.goto("/history")
    expect(other.get_by_text("There are no runs yet")).to_be_visible()

    owner.goto("/history")
    expect(owner.locator("[class*=st-key-open_]")).to_have_count(1)


def test_a_shared_run_is_watched_and_withdrawn_while_it_goes_on(owner: Page, other: Page) -> None:
    start(owner)
    link = share(owner)

    other.goto(link)
    expect(other.locator("[data-agent]")).to_have_count(10)
    expect(other.locator("[data-state=streaming] .gl-text").first).not_to_be_empty()
    nothing_to_do(other)
    owner.locator(".st-key-share_stop button").click()

    expect(other.get_by_text(GONE)).to_be_visible()
    expect(other.locator("[data-agent]")).to_have_count(0)
    other.goto(link)
    expect(other.get_by_text(GONE)).to_be_visible()
    expect(owner.locator("[data-agent]")).to_have_count(10)  # the run itself goes on


def test_a_shared_run_is_read_when_it_has_ended(owner: Page, other: Page) -> None:
    start(owner)
    link = share(owner)
    owner.keyboard.press("Escape")
    owner.locator(".st-key-cancel button").click()
    expect(owner.get_by_text("This run was cancelled")).to_be_visible()

    other.goto(link)

    expect(other.get_by_text("This run was cancelled")).to_be_visible()
    expect(other.get_by_role("tab", name="Agents")).to_be_visible()
    expect(other).to_have_title(re.compile("^■ Cancelled – "))
    nothing_to_do(other)
    other.set_viewport_size({"width": 390, "height": 844})
    width = other.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def test_a_page_left_open_gives_no_file_away_when_the_link_is_withdrawn(
    owner: Page, other: Page
) -> None:
    start(owner)
    link = share(owner)
    owner.keyboard.press("Escape")
    owner.locator(".st-key-cancel button").click()
    expect(owner.get_by_text("This run was cancelled")).to_be_visible()
    other.goto(link)
    with other.expect_download():
        other.locator(".st-key-download_json button").click()
    files: list[Download] = []
    other.on("download", lambda file: files.append(file))

    owner.locator(".st-key-share button").first.click()
    owner.locator(".st-key-share_stop button").click()
    expect(owner.locator(".st-key-share_make button")).to_be_visible()
    other.locator(".st-key-download_zip button").click()

    expect(other.get_by_text("Failed to generate file")).to_be_visible()
    assert files == []


def test_who_keeps_no_cookies_is_told_so(
    chromium: Browser, chromium_path: str, team: str, tmp_path: Path
) -> None:
    refused = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(refused))

    with chromium.browser_type.launch_persistent_context(
        tmp_path, executable_path=chromium_path, args=list(FLAGS), base_url=team
    ) as context:
        page = context.new_page()
        page.goto("/")

        expect(page.get_by_text("Gantry knows your runs by a cookie")).to_be_visible(timeout=20_000)
        expect(page.locator(".st-key-run")).to_have_count(0)
        assert context.cookies() == []


def test_a_view_that_was_cut_off_for_long_comes_back_with_a_new_token(owner: Page) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    owner.clock.install()
    owner.route_web_socket(re.compile(r"/api/runs/"), pass_on)
    start(owner)
    written = owner.locator("[data-agent] .gl-text").filter(has_text=re.compile(r"\w"))
    written.first.wait_for()

    owner.clock.fast_forward(120_000)  # two minutes later, by the page's clock
    sockets[0].close(code=1011)
    expect(owner.locator(".gl-note")).to_be_hidden()
    owner.locator("[data-state=done]").first.wait_for()

    tokens = [parse_qs(urlsplit(socket.url).query)["token"][0] for socket in sockets]
    assert len(set(tokens)) == len(tokens) == 2
