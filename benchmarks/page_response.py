"""Measure how soon the pages answer a person while ten runs are under way, and while none is.

    python -m benchmarks.page_response [--rounds 10] [--json FILE]

Serves the real dashboard with the demo provider at realistic speed, and uses it in a real Chromium
(`benchmarks/gestures.py`), beside a second tab that shows a run. First nothing runs; then ten runs
start at once, and whenever one ends the next begins. Fails when a run does not end. Dashboard,
provider and browser share this machine's cores; the idle column tells what the machine adds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.gestures import ANSWER_MS, ROUND, UNIQUE, enter, perform
from benchmarks.live_view import ROOT, cpu_s, free_port, percentile, process
from benchmarks.machine import claim
from pipeline.engine import RunContext, RunOutcome, Runtime
from pipeline.journal import Journal
from pipeline.models import RunRecord, RunSpec, RunStatus, Speed
from pipeline.settings import Settings
from scripts.ensure_browser import ADVICE, FLAGS, find_browser

TOPIC = "Heat pumps in old buildings"  # the sample collection has sources for it
AT_ONCE = 10
HISTORY = 20  # finished runs before anything is measured: a full page
LIMIT_MS = 1_000  # what the fault matrix asks of p95
RUN_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Heard:
    """A gesture that was answered."""

    name: str
    ms: float
    server_ms: float  # CPU of the dashboard meanwhile, with what its runs take
    page_ms: float  # CPU of the thread that draws the page


@dataclass(frozen=True)
class Column:
    """What was measured while nothing, or everything, was under way."""

    took: list[Heard]
    wall_s: float
    server_cpu_s: float  # without the demo provider, which is a process of its own
    load_before: float

    def of(self, gesture: str) -> list[Heard]:
        """Those of one kind; all when it is empty."""
        return [heard for heard in self.took if not gesture or heard.name == gesture]


@dataclass(frozen=True)
class Figures:
    idle: Column
    busy: Column
    runs: dict[str, int]  # how those of the busy column ended
    at_once: list[int]  # under way at the end of each gesture of the busy column


async def nobody(spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
    raise AssertionError("the dashboard executes, this process only submits")


class Runs:
    """Submits to the dashboard's engine and keeps `AT_ONCE` runs under way."""

    def __init__(self, runtime: Runtime, speed: Speed) -> None:
        self._runtime = runtime
        self._speed: Speed = speed
        self._under_way: list[str] = []
        self.ids: list[str] = []
        self.counts: list[int] = []

    @property
    def latest(self) -> str:
        return self.ids[-1]

    def top_up(self) -> None:
        """Submit what is missing; notes how many had been under way."""
        self._under_way = [i for i in self._under_way if not self._record(i).status.is_final]
        if self.ids:
            self.counts.append(len(self._under_way))
        for _ in range(AT_ONCE - len(self._under_way)):
            number = len(self.ids) + 1
            run_id = self._runtime.submit(
                RunSpec(topic=f"{TOPIC}, part {number}", speed=self._speed)
            )
            self._under_way.append(run_id)
            self.ids.append(run_id)

    def ends(self) -> dict[str, int]:
        """How all runs ended: status → runs. Raises `RuntimeError` when one has not."""
        records = [ended(self._runtime, run_id) for run_id in self.ids]
        return {s.value: sum(r.status is s for r in records) for s in {r.status for r in records}}

    def _record(self, run_id: str) -> RunRecord:
        record = self._runtime.run(run_id)
        assert record is not None
        return record


def ended(runtime: Runtime, run_id: str) -> RunRecord:
    record = runtime.wait(run_id, RUN_TIMEOUT_S)
    if record is None or not record.status.is_final:
        raise RuntimeError(f"Run {run_id} did not end within {RUN_TIMEOUT_S:.0f} s.")
    return record


def fill_history(runtime: Runtime) -> str:
    """Finished runs to show; returns the id of the one that a person will open."""
    topics = [f"{TOPIC}: {UNIQUE}", *(f"{TOPIC} ({number})" for number in range(1, HISTORY))]
    ids = [runtime.submit(RunSpec(topic=topic, speed="instant")) for topic in topics]
    for run_id in ids:
        record = ended(runtime, run_id)
        if record.status is not RunStatus.DONE:
            raise RuntimeError(f"A run that fills the history is {record.status}: {record.error}")
    return ids[0]


def column(
    page: Page, watch: Callable[[], None], keep_up: Callable[[], None], rounds: int, pid: int
) -> Column:
    """`keep_up` is called before each gesture, `watch` before each round."""
    took: list[Heard] = []
    drawing = page.context.new_cdp_session(page)
    drawing.send("Performance.enable", {"timeDomain": "threadTicks"})
    load, start, cpu = os.getloadavg()[0], time.monotonic(), cpu_s(pid)
    for _ in range(rounds):
        keep_up()
        watch()
        server_s, page_s = cpu_s(pid), drawing_s(drawing)
        for name, ms in perform(page):
            server, drawn = cpu_s(pid) - server_s, drawing_s(drawing) - page_s
            took.append(Heard(name, ms, 1_000 * server, 1_000 * drawn))
            keep_up()
            server_s, page_s = cpu_s(pid), drawing_s(drawing)
    return Column(took, time.monotonic() - start, cpu_s(pid) - cpu, load)


def drawing_s(browser: CDPSession) -> float:
    """CPU seconds of the page's main thread so far."""
    metrics = browser.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))


def use(
    browser: Browser, base: str, runtime: Runtime, pid: int, rounds: int, speed: Speed
) -> Figures:
    # windows beside each other: a browser hardly draws a tab that is behind another
    page, other = (browser.new_context(base_url=base).new_page() for _ in range(2))
    for each in (page, other):
        each.set_default_timeout(ANSWER_MS)
    shown = fill_history(runtime)
    runs = Runs(runtime, speed)
    enter(page, base)
    for _ in perform(page):  # warm-up: what is imported and loaded once
        continue

    idle = column(page, lambda: watch(other, shown), lambda: None, rounds, pid)
    busy = column(page, lambda: watch(other, runs.latest), runs.top_up, rounds, pid)
    return Figures(idle, busy, runs.ends(), runs.counts)


def watch(page: Page, run_id: str) -> None:
    page.goto(f"/?run={run_id}")
    page.locator(".st-key-run_panel").wait_for()


def measure(rounds: int, speed: Speed = "realistic", *, chromium: str) -> Figures:
    """Raises `RuntimeError` when a run does not end, Playwright's `Error` when a gesture is not heard."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    foreign = ("OPENAI_", "GANTRY_", "DATABASE_")
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        env |= {"GANTRY_DATA_DIR": folder, "PYTHONPATH": str(ROOT)}
        app = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
        settings = Settings(data_dir=Path(folder), database_url=None)
        with (
            process([*app, f"--server.port={port}"], env, f"{base}/readyz") as server,
            Runtime(settings, nobody) as runtime,
            sync_playwright() as playwright,
        ):
            if runtime.is_engine:
                raise RuntimeError("The dashboard is not the engine of its own data folder.")
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            figures = use(browser, base, runtime, server.pid, rounds, speed)
            browser.close()
            return figures


def summary(heard: list[Heard]) -> str:
    ms = [one.ms for one in heard]
    server, drawn = mean(one.server_ms for one in heard), mean(one.page_ms for one in heard)
    return (
        f"{median(ms):5.0f} {percentile(ms, 0.95):5.0f} {max(ms):5.0f} {server:5.0f} {drawn:5.0f}"
    )


def report(figures: Figures) -> str:
    idle, busy = figures.idle, figures.busy
    head = "  p50   p95   max CPU: server page"
    lines = [f"{'ms':24} idle:{head}   ten runs:{head}"]
    for name in (*dict.fromkeys(gesture.name for gesture in ROUND), ""):
        lines.append(f"{name or 'all':28} {summary(idle.of(name)):38} {summary(busy.of(name))}")
    for title, one in (("idle", idle), ("ten runs", busy)):
        share = 100 * one.server_cpu_s / one.wall_s
        lines.append(
            f"{title}: {len(one.took)} gestures in {one.wall_s:.0f} s, dashboard {share:.0f} % of a "
            f"core, load average before {one.load_before:.1f}"
        )
    under_way = mean(figures.at_once)
    lines.append(f"runs: {figures.runs}; under way at a gesture {under_way:.1f}, mean")
    p95 = percentile([one.ms for one in busy.took], 0.95)
    met = "met" if p95 <= LIMIT_MS else "missed"
    lines.append(f"p95 with ten runs at most {LIMIT_MS} ms: {met} ({p95:.0f} ms)")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=10, help=f"of {len(ROUND)} gestures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chromium = find_browser()
    if chromium is None:
        sys.exit(ADVICE)
    first = claim(None)
    figures = measure(options.rounds, chromium=chromium)
    print(report(figures))
    print(f"went before what else ran on this machine: {'yes' if first else 'no'}")
    if options.json:
        options.json.write_text(json.dumps(asdict(figures), indent=1))
    if set(figures.runs) != {RunStatus.DONE.value}:
        sys.exit("Not every run was done.")


if __name__ == "__main__":
    main()
