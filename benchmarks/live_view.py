"""Measure the live view: provider's write → text in the page, and what watchers cost the server.

    python -m benchmarks.live_view [--rounds 3] [--json FILE]

Starts the real app and a paced provider (4 agents at 50 tokens/s), opens the page in Chromium and
reads, for every token, how old it was when it stood in the DOM. Then runs the same again without
a page, watched by 0 and by 20 sockets in turn, and compares the server's CPU seconds. All
processes share this machine; treat figures as those of a shared one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
from playwright.sync_api import sync_playwright
from sqlalchemy import URL

from benchmarks.paced_provider import MODULO_MS, RATE, TOKENS
from pipeline.engine.runtime import SECRET_BYTES, SIGNING
from pipeline.models import LOCAL_OWNER
from pipeline.store import Store
from pipeline.store.database import DATABASE_FILE
from pipeline.web.access import Grant, sign
from scripts.ensure_browser import FLAGS, find_browser

ROOT = Path(__file__).parent.parent
AGENTS = ("seo_specialist", "metrics_analyzer", "summary_writer", "social_promoter")
WATCHERS = 20
START_TIMEOUT_S = 60.0
RUN_TIMEOUT_S = 90.0

# Notes, for each token that appears in a card, its age in milliseconds.
OBSERVE = """
([agents, modulo]) => {
  window.ages = {};
  const seen = {};
  const look = () => {
    const now = Date.now() % modulo;
    for (const agent of agents) {
      const card = document.querySelector(`[data-agent="${agent}"]`);
      if (!card) continue;
      const tokens = card.textContent.match(/(?<= )\\d{7}/g) || [];
      const from = seen[agent] || 0;
      for (const token of tokens.slice(from))
        (window.ages[agent] ||= []).push(now - Number(token));
      seen[agent] = Math.max(from, tokens.length);
    }
  };
  new MutationObserver(look).observe(document.body,
    {childList: true, characterData: true, subtree: true});
}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], env: dict[str, str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child that answers at `url`; ended on the way out."""
    child = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        limit = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                urllib.request.urlopen(url, timeout=2).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > limit:
                    raise RuntimeError(f"{command} did not start") from None
                time.sleep(0.1)
        yield child
    finally:
        child.terminate()
        child.wait(15)


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def dom_latency(url: str) -> list[float]:
    """Ages in ms of all tokens of the four agents in one run, as the page showed them."""
    chromium = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(url)
        page.locator(".st-key-topic textarea").fill("Benchmark of the live view")
        page.locator(".st-key-mode").get_by_text("Dataflow", exact=False).first.click()
        page.locator(".st-key-allow_unsourced").locator("label").first.click()
        page.evaluate(OBSERVE, [list(AGENTS), MODULO_MS])
        page.locator(".st-key-run button").click()
        page.wait_for_function(
            "([agents, n]) => agents.every(a => (window.ages[a] || []).length >= n)",
            arg=[list(AGENTS), TOKENS - 5],
            timeout=RUN_TIMEOUT_S * 1000,
        )
        ages: dict[str, list[float]] = page.evaluate("window.ages")
        browser.close()
    return [age for values in ages.values() for age in values]


def submit(env: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """Start a run through the command line beside the running app; returns it and the run's id."""
    command = [sys.executable, "-m", "pipeline", "run", "Benchmark", "--mode", "dataflow"]
    client = subprocess.Popen(
        [*command, "--allow-unsourced", "--json", os.devnull],
        cwd=ROOT,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stderr is not None
    for line in client.stderr:
        if found := re.match(r"run (\S+)", line):
            # keep reading, or a full pipe would stop the client
            threading.Thread(target=client.stderr.read, daemon=True).start()
            return client, found[1]
    raise RuntimeError("the command line did not start a run")


async def token_for(env: dict[str, str], run_id: str) -> str:
    """What the page would hand to the browser."""
    store = await Store.open(
        URL.create("sqlite", database=f"{env['GANTRY_DATA_DIR']}/{DATABASE_FILE}")
    )
    try:
        secret = await store.secret(SIGNING, secrets.token_bytes(SECRET_BYTES))
    finally:
        await store.aclose()
    return sign(Grant(run_id, LOCAL_OWNER), secret)


async def watch(
    base: str, env: dict[str, str], run_id: str, count: int, received: list[int]
) -> None:
    token = await token_for(env, run_id)

    async def one(session: aiohttp.ClientSession) -> None:
        url = f"{base}/api/runs/{run_id}/ws?token={token}"
        async with session.ws_connect(url, headers={"Origin": base}) as ws:
            async for message in ws:
                received.append(len(message.data))

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one(session))


def server_cpu(pid: int, base: str, env: dict[str, str], watchers: int) -> dict[str, float]:
    """CPU seconds of the server over one run seen by `watchers` sockets."""
    received: list[int] = []
    before, start = cpu_s(pid), time.monotonic()
    client, run_id = submit(env)
    if watchers:
        asyncio.run(asyncio.wait_for(watch(base, env, run_id, watchers, received), RUN_TIMEOUT_S))
    if client.wait(RUN_TIMEOUT_S):
        raise RuntimeError("the run failed")
    wall = time.monotonic() - start
    return {
        "watchers": watchers,
        "cpu_s": cpu_s(pid) - before,
        "wall_s": wall,
        "messages": len(received),
    }


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(rounds: int) -> dict[str, Any]:
    provider_port, app_port = free_port(), free_port()
    base = f"http://127.0.0.1:{app_port}"
    provider_url = f"http://127.0.0.1:{provider_port}/v1"
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "OPENAI_BASE_URL": provider_url,
            "GANTRY_SEARCH": "samples",
            "OPENAI_API_KEY": "benchmark",
            "OPENAI_MODEL": "paced",
            "GANTRY_DATA_DIR": folder,
            "PYTHONPATH": str(ROOT),
        }
        provider = [sys.executable, "-m", "benchmarks.paced_provider", str(provider_port)]
        app = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
        app.append(f"--server.port={app_port}")
        with (
            process(provider, env, f"{provider_url}/models"),
            process(app, env, f"{base}/healthz") as server,
        ):
            server_cpu(server.pid, base, env, 0)  # warm-up
            ages = [age for _ in range(rounds) for age in dom_latency(base)]
            cpu = [
                server_cpu(server.pid, base, env, n) for _ in range(rounds) for n in (0, WATCHERS)
            ]
    alone = statistics.median(c["cpu_s"] for c in cpu if not c["watchers"])
    watched = statistics.median(c["cpu_s"] for c in cpu if c["watchers"])
    wall = statistics.median(c["wall_s"] for c in cpu)
    return {
        "agents": len(AGENTS),
        "tokens_per_s": RATE,
        "tokens": len(ages),
        "rounds": rounds,
        "dom_p50_ms": statistics.median(ages),
        "dom_p95_ms": percentile(ages, 0.95),
        "dom_max_ms": max(ages),
        "cpu_alone_s": alone,
        "cpu_20_watchers_s": watched,
        "cpu_share_alone": alone / wall,
        "cpu_share_20_watchers": watched / wall,
        "watchers_cost_points": 100 * (watched - alone) / wall,
        "runs": cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = measure(options.rounds)
    print(
        f"provider's write → DOM, {result['agents']} agents at {RATE:.0f} tokens/s, "
        f"{result['tokens']} tokens: p50 {result['dom_p50_ms']:.0f} ms, "
        f"p95 {result['dom_p95_ms']:.0f} ms, max {result['dom_max_ms']:.0f} ms"
    )
    print(
        f"server CPU over a run: {result['cpu_alone_s']:.2f} s unwatched "
        f"({100 * result['cpu_share_alone']:.1f} %), {result['cpu_20_watchers_s']:.2f} s with "
        f"{WATCHERS} watchers ({100 * result['cpu_share_20_watchers']:.1f} %): "
        f"{result['watchers_cost_points']:+.1f} points"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
