"""Kill Gantry at random moments, start it again, and see from the provider's log what it cost.

python -m scripts.crash_campaign [--kills 200] [--seed 1] [--target engine|dashboard|workers] [--json FILE]

Exit code 1 when a promise was broken. What is promised: docs/promises.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import socket
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

from pipeline.models import Endpoint
from scripts.crash import targets
from scripts.crash.campaign import Campaign, Order
from scripts.crash.judge import Verdict
from scripts.crash.provider import RecordingProvider
from scripts.crash.targets import Target

TARGETS = ("engine", "dashboard", "workers")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=4, help="unfinished runs at any time")
    parser.add_argument("--longest", type=float, default=5.0, help="seconds a process may live")
    parser.add_argument("--aimed", action="store_true", help="count it from the first call")
    parser.add_argument("--target", choices=TARGETS, default="engine")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    order = Order(asked.kills, asked.seed, asked.at_once, asked.longest, asked.aimed)
    verdict, poisoned = asyncio.run(carry_out(order, asked.target))
    for line in lines(verdict, poisoned):
        print(line)
    if asked.json:
        figures = {**asdict(order), "target": asked.target, **asdict(verdict), "poisoned": poisoned}
        Path(asked.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if verdict.problems else 0


async def carry_out(order: Order, target: str) -> tuple[Verdict, int]:
    async with RecordingProvider() as provider:
        killed = make_target(target, provider.endpoint)
        try:
            campaign = Campaign(order, killed, provider, say=_say)
            return await campaign.run(), campaign.poisoned
        finally:
            await killed.aclose()


def make_target(name: str, endpoint: Endpoint) -> Target:
    if name == "dashboard":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return targets.dashboard(endpoint, free.getsockname()[1])
    return targets.TwoWorkers(endpoint) if name == "workers" else targets.engine(endpoint)


def lines(verdict: Verdict, poisoned: int) -> list[str]:
    """The figures, for people."""
    took = sorted(verdict.recovery_s)
    found = [
        f"{verdict.kills} kills; {verdict.runs} runs, {verdict.runs_interrupted} of them interrupted; "
        f"{verdict.agents_finished} finished agents",
        f"finished agents asked again: {verdict.finished_called_again}",
        f"calls: {verdict.calls}, of them again: {verdict.calls_again}",
        f"stopped as poison by chance and continued: {poisoned}",
    ]
    if verdict.agents_in_flight:
        found.append(
            f"agents in flight at a kill: {verdict.agents_in_flight}; asked again: "
            f"{verdict.agents_again} (at most {verdict.most_again} of one run by one kill)"
        )
    if took:
        found.append(
            f"start → first call, {len(took)} starts: p50 {statistics.median(took):.2f} s, "
            f"p95 {took[math.ceil(0.95 * len(took)) - 1]:.2f} s, most {took[-1]:.2f} s"
        )
    return [*found, *verdict.problems, "broken" if verdict.problems else "every promise kept"]


def _say(text: str) -> None:
    sys.stderr.write(f"\r{text}   ")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
