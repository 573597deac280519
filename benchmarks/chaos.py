"""Whole pipelines against a server that breaks a seeded share of its answers.

    python -m benchmarks.chaos [--runs 100] [--seed 1] [--no-fallback]

10 % of all answers are refusals (429), 10 % are cut connections (before or in the middle of the
answer), 5 % hold a broken chunk, 5 % stall in the middle. Counted are runs that come to an end
with an article; *wrong successes*: outputs taken for good that are not what the server meant to
send; *doubled texts*: agents whose text on screen is not their output, once. Exit code 0 when at
least 99 % finish and the other two are 0.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.content.article import article_of
from pipeline.llm.admission import GateRegistry
from pipeline.llm.call import Deadlines
from pipeline.llm.client import ModelCaller, make_client
from pipeline.models import AgentState, RunStatus
from pipeline.tools.samples import sample_research
from tests.fault_front import Fault, FaultFront, text_of
from tests.fault_server import SILENCE, Answer, Reset, Step, error, stream, text

MODEL, FALLBACK = "gantry-demo-instant", "gantry-demo"
TOPIC = "Heat pumps in old buildings"
AT_ONCE = 10
SHARES = {"429": 0.10, "drop": 0.10, "broken chunk": 0.05, "stall": 0.05}
DEADLINES = Deadlines(first_token_s=10.0, idle_s=1.0, total_s=60.0)
REFUSED = error(429, {"error": {"message": "slow down"}}, {"retry-after-ms": "20"})


class Chaos(FaultFront):
    """`met` counts the faults that were injected."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.met: Counter[str] = Counter()
        self._rng = random.Random(seed)

    def next_fault(self, agent: str) -> Fault | None:
        names, shares = [*SHARES, ""], [*SHARES.values(), 1.0 - sum(SHARES.values())]
        (name,) = self._rng.choices(names, shares)
        self.met[name or "none"] += 1
        cut = self._rng.random()
        match name:
            case "429":
                return REFUSED
            case "drop" if cut < 0.5:
                return Answer([Reset()], framing="close")
            case "drop":
                return _cut(cut, Reset())
            case "broken chunk":
                return _cut(cut, b'data: {"choices": [{"delta"\n\n')
            case "stall":
                return _cut(cut, SILENCE)
            case _:
                return None


def _cut(share: float, ending: Step) -> Fault:
    """So much of the good answer's text, then `ending`; an answer of tool calls has no text."""

    def fault(good: bytes) -> Answer:
        whole = text_of(good)
        half = whole[: int(len(whole) * share)]
        return stream(text(half), ending) if half else stream(good[: int(len(good) / 3)], ending)

    return fault


@dataclass
class Outcome:
    """What a campaign came to."""

    runs: int
    wall_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    most_attempts: int = 0

    @property
    def finished(self) -> int:
        return self.ends[RunStatus.DONE.value] + self.ends[RunStatus.DEGRADED.value]

    @property
    def holds(self) -> bool:
        return self.finished >= 0.99 * self.runs and not self.wrong and not self.doubled


async def campaign(runs: int, seed: int, *, fallback: bool) -> Outcome:
    """`runs` pipelines, ten at once."""
    outcome = Outcome(runs)
    started_s = time.monotonic()
    async with Chaos(seed) as front, make_client(front.endpoint) as client:
        caller = ModelCaller(
            client, gates=GateRegistry(16), deadlines=DEADLINES, rng=random.Random(seed)
        )
        orchestrator = ChatOrchestrator(
            client, model=MODEL, caller=caller, research=sample_research()
        )
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                result = await orchestrator.run_pipeline(
                    TOPIC, seed=number, fallback_model=FALLBACK if fallback else ""
                )
            _take(outcome, front, result, number)

        async with asyncio.TaskGroup() as group:
            for number in range(runs):
                group.create_task(one(number), name=f"run {number}")
        await caller.aclose()
        outcome.met = front.met
    outcome.wall_s = time.monotonic() - started_s
    return outcome


def _take(outcome: Outcome, front: FaultFront, result: RunResult, number: int) -> None:
    outcome.ends[result.status.value] += 1
    if result.error is not None:
        outcome.errors[result.error.code] += 1
    for name, output in result.outputs.items():
        if result.settled[name].state is not AgentState.DONE:
            continue
        kept = output.text.strip()
        if kept not in {meant.strip() for meant in front.meant[name]}:
            outcome.wrong.append(f"run {number}: {name}")
        if result.journal.text(name).strip() != kept:
            outcome.doubled.append(f"run {number}: {name}")
    if result.status in (RunStatus.DONE, RunStatus.DEGRADED):
        article = article_of(result.spec, result.outputs, result.degraded)
        if article is None:
            outcome.wrong.append(f"run {number}: no article")
    attempts = [agent.attempts for agent in result.timing.agents]
    outcome.most_attempts = max(outcome.most_attempts, *attempts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-fallback", action="store_true")
    asked = parser.parse_args()
    outcome = asyncio.run(campaign(asked.runs, asked.seed, fallback=not asked.no_fallback))
    print(f"runs {outcome.runs}, finished {outcome.finished}: {dict(outcome.ends)}")
    print(f"errors of runs that stopped: {dict(outcome.errors)}")
    print(f"wrong successes {len(outcome.wrong)}: {outcome.wrong[:5]}")
    print(f"doubled texts {len(outcome.doubled)}: {outcome.doubled[:5]}")
    print(f"answers by fault: {dict(outcome.met)}")
    print(f"{outcome.wall_s:.1f} s, {AT_ONCE} runs at once")
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())
