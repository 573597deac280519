"""The main job in a real Chromium: type, run, watch, read, come back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import docx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pypdf import PdfReader

from tests.browser.panels import open_panel, open_tab, take_ones_time

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DATA = Path(__file__).parents[1] / "data"
DONE_MS = 120_000
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
expect.set_options(timeout=20_000)


def start(page: Page, topic: str) -> None:
    """Type the topic and start it with the keyboard, as the button promises."""
    page.locator(".st-key-topic textarea").fill(topic)
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(r"[?&]run="))


def finished(page: Page) -> None:
    expect(page.locator(".st-key-headline")).to_be_visible(timeout=DONE_MS)


def hostile(name: str, *wanted: str) -> list[str]:
    """The first payload of a list that contains each word; lists have a column before it, or none."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    payloads = [line.split("\t")[-1] for line in lines if not line.startswith("#")]
    return [next(p for p in payloads if word in p) for word in wanted]


def test_a_demo_runs_live_to_its_article(page: Page) -> None:
    take_ones_time(page)
    start(page, "Heat pumps in old buildings")

    expect(page.locator("[data-agent]")).to_have_count(10)
    expect(page.locator("[data-state=streaming] .gl-text").first).not_to_be_empty()
    expect(page.locator("[data-gantt] .js-plotly-plot .bars path").first).to_be_attached()
    expect(page).to_have_title(re.compile(r"^● \d+/10 "))
    finished(page)
    expect(page).to_have_title(re.compile(r"^✓ Done – Heat pumps"))
    expect(page.get_by_role("heading", name="Sources")).to_be_visible()
    expect(page.locator(".st-key-gantt .gantt .bar").first).to_be_visible()
    expect(page.locator(".st-key-headline")).to_contain_text("measured")

    page.set_viewport_size({"width": 1280, "height": 900})
    open_tab(page, "Timing")
    expect(page.locator(".st-key-gantt_full .js-plotly-plot").first).to_be_visible()
    table = page.locator(".st-key-timing_agents table")
    last = table.locator("tr").nth(1).locator("td").last
    box = last.bounding_box()
    assert box is not None and box["x"] + box["width"] <= 1280 - 60  # nothing is cut
    assert table.locator("td").nth(4).evaluate("(td) => getComputedStyle(td).textAlign") == "right"


def test_a_phase_switched_off_runs_one_after_another_in_the_gantt(page: Page) -> None:
    page.locator(".st-key-parallel_research label").click()
    start(page, "Urban bees")
    finished(page)

    with page.expect_download() as download:
        page.locator(".st-key-download_json button").click()
    report = json.loads(Path(download.value.path()).read_text("utf-8"))
    agents = {agent["agent"]: agent for agent in report["agents"]}
    assert agents["kb_researcher"]["started_s"] >= agents["web_researcher"]["finished_s"]
    assert report["switches"]["research"] is False
    expect(page.locator(".st-key-run_header")).to_contain_text("research off")


def test_every_file_of_the_download_opens_elsewhere(page: Page) -> None:
    start(page, "Urban bees")
    finished(page)
    title = page.locator(".st-key-article h2").first.inner_text()

    with page.expect_download() as download:
        page.locator(".st-key-download_zip button").click()

    with ZipFile(download.value.path()) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert title in files["article.md"].decode()
    assert title in files["article.html"].decode()
    assert docx.Document(BytesIO(files["article.docx"])).paragraphs[0].text == title
    assert PdfReader(BytesIO(files["article.pdf"])).metadata["/Title"] == title
    assert json.loads(files["report.json"])["demo"] is True


def test_sections_join_the_view_when_the_outline_is_there(page: Page) -> None:
    """Cards and rows are added in the middle of the run; what was written before stays."""
    open_panel(page, "details")
    page.locator(".st-key-section_writing label").click()
    expect(page.locator(".st-key-parallel_writing")).to_be_visible()
    take_ones_time(page)
    start(page, "Heat pumps in old buildings")

    planner = page.locator("[data-agent=topic_planner]")
    expect(page.locator("[data-agent]")).to_have_count(10)
    expect(planner.locator(".gl-text")).to_contain_text("Outline")
    expect(page.locator("[data-agent]")).to_have_count(15)
    expect(planner.locator(".gl-text")).to_contain_text("Outline")
    names = page.locator("[data-agent]").evaluate_all(
        "(cards) => cards.map((c) => c.dataset.agent)"
    )
    assert names[3:9] == [*(f"content_writer/{n}" for n in range(1, 6)), "content_writer"]
    expect(page.locator("[data-gantt]")).to_contain_text("Section writer 5")
    expect(page.locator('[data-agent="content_writer/4"][data-state=streaming]')).to_be_visible()
    writing = page.locator('[data-agent^="content_writer/"][data-state=streaming]')
    expect(writing.nth(1)).to_be_visible()  # side by side
    page.reload()
    expect(page.locator("[data-agent]")).to_have_count(15)
    expect(planner.locator(".gl-text")).to_contain_text("Outline")
    finished(page)
    expect(page.locator(".st-key-run_header")).to_contain_text("by section")
    expect(page.locator(".st-key-gantt")).to_contain_text("Section writer 5")
    expect(page.get_by_role("heading", name="Sources")).to_be_visible()


def test_reload_and_second_tab_show_the_same_run(page: Page, context: BrowserContext) -> None:
    take_ones_time(page)
    start(page, "Code reviews in small teams")
    expect(page.locator("[data-agent=topic_planner][data-state=done]")).to_be_visible()

    page.reload()
    second = context.new_page()
    second.goto(page.url)

    planner = "[data-agent=topic_planner][data-state=done] .gl-text"
    for tab in (page, second):
        expect(tab.locator(planner)).not_to_be_empty()
    second.locator(".st-key-cancel button").click()
    for tab in (page, second):
        expect(tab.get_by_text("This run was cancelled.")).to_be_visible()


def test_the_tabs_title_says_that_a_run_was_cancelled_and_stays_so(page: Page) -> None:
    take_ones_time(page)
    start(page, "Urban bees")
    expect(page).to_have_title(re.compile(r"^● \d+/10 "))

    told = page.evaluate(  # the page names the end before the live view hears of it
        """() => {
          document.title = "■ Cancelled – told by the page";
          document.dispatchEvent(new Event("visibilitychange"));
          return document.title;
        }"""
    )
    page.locator(".st-key-cancel button").click()

    assert told == "■ Cancelled – told by the page"
    expect(page.get_by_text("This run was cancelled.")).to_be_visible()
    expect(page).to_have_title("■ Cancelled – Urban bees – Gantry")
    page.locator(".st-key-continue button").click()
    expect(page).to_have_title(re.compile(r"^● \d+/10 "))
    page.locator(".st-key-cancel button").click()
    expect(page).to_have_title("■ Cancelled – Urban bees – Gantry")


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": 1280, "height": 900}}], indirect=True, ids=["laptop"]
)
def test_what_an_agent_writes_is_on_the_screen_without_scrolling(page: Page) -> None:
    """Also when the brief and the provider panel were open at the start."""
    open_panel(page, "details")
    take_ones_time(page)
    start(page, "Urban bees")

    card = page.locator("[data-agent=topic_planner]")
    expect(card.locator(".gl-text")).not_to_be_empty()
    expect(card.locator(".gl-tokens")).to_have_text(re.compile(r"^≈ [\d,]+ tokens$"))
    box = card.locator(".gl-text").bounding_box()
    assert box is not None and box["y"] + 80 < 900
    assert page.locator("[data-testid=stMain]").evaluate("(main) => main.scrollTop") == 0
    expect(page.locator("[data-gantt]")).to_contain_text("replayed")
    expect(card).to_have_attribute("data-state", "done")
    expect(card.locator(".gl-tokens")).to_have_text(re.compile(r"^[\d,]+ tokens$"))
    expect(page.locator(".st-key-run button")).to_be_hidden()
    page.locator(".st-key-brief_line summary").first.click()
    expect(page.locator(".st-key-run button")).to_be_disabled()
    expect(page.locator(".st-key-topic textarea")).to_have_value("Urban bees")
    page.locator(".st-key-cancel button").click()


def test_a_cancelled_run_continues_with_what_was_finished(page: Page) -> None:
    take_ones_time(page)
    start(page, "Heat pumps, stopped halfway")
    planner = page.locator("[data-agent=topic_planner][data-state=done]")
    expect(planner).to_be_visible()
    page.locator(".st-key-cancel button").click()
    expect(page.get_by_text("This run was cancelled.")).to_be_visible()

    page.locator(".st-key-continue button").click()

    expect(page.locator("[data-gantt]")).to_contain_text(re.compile(r"paused \d+\.\d s"))
    expect(page.locator(".gl-clock")).to_contain_text("in between")
    kept = page.locator("[data-agent=topic_planner][data-state=done]")
    expect(kept).to_contain_text("not paid for again")
    expect(kept.locator(".gl-text")).to_contain_text("Outline")
    expect(
        page.locator(".gl-card:is([data-state=streaming], [data-state=tools])").first
    ).to_be_visible()
    page.locator(".st-key-cancel button").click()
    expect(page.get_by_text("This run was cancelled.")).to_be_visible()


@pytest.mark.parametrize("context", [{"timezone_id": "Asia/Kathmandu"}], indirect=True)
def test_the_history_opens_a_run_and_keeps_what_was_typed(page: Page) -> None:
    start(page, "Something to find again")
    finished(page)
    open_panel(page, "brief_line")
    page.locator(".st-key-topic textarea").fill("half a thought")
    page.locator(".st-key-topic textarea").blur()

    page.get_by_role("link", name="History").click()
    row = page.locator("[class*=st-key-run_]", has_text="Something to find again").first
    expect(row).to_contain_text(MOMENT)
    (told,) = MOMENT.findall(row.inner_text())
    at = datetime.fromisoformat(told).replace(tzinfo=ZoneInfo("Asia/Kathmandu"))  # as the browser's
    assert timedelta(0) <= datetime.now(UTC) - at < timedelta(minutes=15)
    row.get_by_role("button", name="Open").click()

    finished(page)
    expect(page.locator(".st-key-topic textarea")).to_have_value("half a thought")
    assert "run=" in page.url


def test_the_form_of_a_finished_run_is_one_line_that_opens(page: Page) -> None:
    start(page, "Urban bees")
    finished(page)
    first = page.url
    expect(page.locator(".st-key-run button")).to_be_hidden()

    page.keyboard.press("Control+Enter")  # nobody sees the form: nothing starts
    open_panel(page, "brief_line")
    expect(page.locator(".st-key-run button kbd").first).to_be_visible()
    assert page.url == first
    page.locator(".st-key-topic textarea").fill("x" * 2_001)
    page.locator(".st-key-run button").click()
    expect(page.get_by_text("the limit is 2,000")).to_be_in_viewport()
    expect(page.get_by_text("Not started.")).to_be_visible()
    page.locator(".st-key-topic textarea").fill("Urban bees, once more")
    page.keyboard.press("Control+Enter")

    expect(page).not_to_have_url(first)
    finished(page)
    expect(page.locator(".st-key-run button")).to_be_hidden()


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": 390, "height": 844}}], indirect=True, ids=["phone"]
)
def test_a_phone_shows_the_result_before_the_form(page: Page) -> None:
    start(page, "Urban bees")
    finished(page)

    box = page.locator(".st-key-headline").bounding_box()
    assert box is not None and box["y"] + box["height"] < 844


def test_an_over_long_topic_is_refused_and_kept(page: Page) -> None:
    page.locator(".st-key-topic textarea").fill("x" * 2_001)
    page.keyboard.press("Control+Enter")

    expect(page.get_by_text("the limit is 2,000")).to_be_visible()
    expect(page.locator(".st-key-topic textarea")).to_have_value("x" * 2_001)


@pytest.mark.parametrize(
    "topic",
    [
        *hostile("xss.txt", "<script", "onerror", "javascript:", "<svg"),
        *hostile("blns.txt", "<iframe", "<a"),
        "![](https://outside.example/leak.png) :red[x] :material/delete: $\\frac{1}{2}$",
    ],
)
def test_a_hostile_topic_is_only_text(page: Page, topic: str) -> None:
    start(page, topic)

    # what may not happen is asserted where the visitor leaves (conftest: Watch)
    expect(page.locator(".st-key-run_header")).to_be_visible()
    finished(page)
    assert page.locator(".st-key-run_panel :is(script, iframe, img[src^=http])").count() == 0


def test_addresses_in_a_topic_are_shown_as_they_are_and_lead_nowhere(page: Page) -> None:
    topic = "See http://127.0.0.1:8080/v1: or www.example.org -> write to me@example.org"
    start(page, topic)

    line = page.locator(".st-key-brief_line > div summary").first
    expect(line).to_contain_text("write to")
    assert topic in line.inner_text().replace("\u2060", "")
    finished(page)
    heading = page.locator(".st-key-run_header h1")
    assert heading.inner_text().replace("\u2060", "") == topic
    assert page.locator(".st-key-run_header a, .st-key-brief_line a").count() == 0
    page.get_by_role("link", name="History").click()
    row = page.locator("[class*=st-key-about_]").first
    expect(row).to_contain_text("write to")
    assert topic in row.inner_text().replace("\u2060", "")
    assert page.locator("[class*=st-key-about_] a").count() == 0


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}],
    indirect=True,
    ids=["light", "dark"],
)
def test_the_cards_are_readable_in_both_themes(page: Page) -> None:
    start(page, "Heat pumps")

    # asked in one step: on a busy machine the run may be over, and the cards gone, before a second
    ratio = page.wait_for_function(
        """() => {
          const light = (c) => {
            const [r, g, b] = c.match(/[\\d.]+/g).map(Number)
              .map((v) => (c.startsWith("color(") ? v : v / 255))
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const card = document.querySelector("[data-state=done]");
          if (!card) return false;
          const text = light(getComputedStyle(card.querySelector(".gl-text")).color);
          const ground = light(getComputedStyle(card).backgroundColor.replace(/^color\\(srgb/, "color("));
          return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
        }"""
    ).json_value()

    assert ratio > 7
    finished(page)


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": 390, "height": 844}}], indirect=True, ids=["phone"]
)
def test_a_phone_shows_everything_without_scrolling_sideways(page: Page) -> None:
    def overflow() -> int:
        return int(
            page.evaluate(
                "() => Math.max(...[document.documentElement,"
                " document.querySelector('[data-testid=stMain]')]"
                ".map((e) => e.scrollWidth - e.clientWidth))"
            )
        )

    assert overflow() == 0
    start(page, "Urban bees")
    expect(page.locator("[data-agent]")).to_have_count(10)
    assert overflow() == 0
    finished(page)
    assert overflow() == 0
    boxes = [page.locator(".st-key-headline .stMetric").nth(n).bounding_box() for n in range(4)]
    assert all(boxes)
    assert len({round(box["y"]) for box in boxes if box}) == 2  # two by two


@pytest.mark.parametrize(
    "context",
    [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}],
    indirect=True,
    ids=["touch"],
)
def test_without_a_mouse_what_copies_is_always_to_be_seen(page: Page) -> None:
    start(page, "Urban bees")
    finished(page)
    open_tab(page, "Social posts")

    button = page.locator(".st-key-posts .stCode button").first
    seen = button.evaluate(
        "(b) => b.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})"
    )

    assert seen
