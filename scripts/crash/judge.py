"""Decide what a campaign's kills cost, from the provider's log and the stored runs. Pure."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scripts.crash.provider import Request

ENDED_WELL = ("done", "degraded")


@dataclass(frozen=True, slots=True)
class KeptText:
    """A finished agent of one run: what it wrote and when that was committed, as `Request.at`."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class RunSeen:
    """One run at the end of the campaign; what is expected is the same run's undisturbed.

    `expected_calls` holds how many calls each agent makes then.
    """

    seed: int
    status: str
    error: str
    epochs: int
    seqs: Sequence[int]
    kept: Mapping[str, KeptText]
    expected: Mapping[str, str]
    expected_calls: Mapping[str, int]


@dataclass(slots=True)
class Verdict:
    """`problems` is empty when every promise was kept. Agents are counted once per run and kill.

    What was in flight, and recoveries, are known only where a kill ends all work.
    """

    runs: int = 0
    kills: int = 0
    runs_interrupted: int = 0  # at least once
    agents_finished: int = 0
    calls: int = 0
    calls_again: int = 0  # beyond those of the undisturbed runs
    agents_in_flight: int = 0  # at a kill: asked, not committed
    agents_again: int = 0  # asked again after it
    most_again: int = 0  # of one run, after one kill
    finished_called_again: int = 0
    recovery_s: list[float] = field(default_factory=list)  # start → first call of any run
    problems: list[str] = field(default_factory=list)


def judge(
    runs: Sequence[RunSeen],
    requests: Sequence[Request],
    kills: Sequence[float],
    starts: Sequence[float],
    *,
    kills_all: bool = True,
) -> Verdict:
    """`kills` and `starts` are times as in `Request.at`, oldest first; the first start had no run to continue."""
    verdict = Verdict(runs=len(runs), kills=len(kills))
    asked: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for request in requests:
        asked[request.seed][request.agent].append(request.at)
    for run in runs:
        _judge_run(run, asked.get(run.seed, {}), verdict)
        if kills_all:
            _count_in_flight(run, asked.get(run.seed, {}), kills, verdict)
    if kills_all:
        verdict.recovery_s = _recoveries(requests, kills, starts)
    return verdict


def _judge_run(run: RunSeen, asked: Mapping[str, Sequence[float]], verdict: Verdict) -> None:
    def problem(text: str) -> None:
        verdict.problems.append(f"run {run.seed}: {text}")

    if run.status not in ENDED_WELL:
        problem(f"is {run.status} after {run.epochs} epochs. {run.error}")
        return
    if list(run.seqs) != list(range(1, len(run.seqs) + 1)):
        problem("facts are missing or doubled")
    if {name: one.text for name, one in run.kept.items()} != dict(run.expected):
        problem("the texts are not those of the same run undisturbed")
    verdict.runs_interrupted += run.epochs > 1
    verdict.agents_finished += len(run.kept)
    for agent, times in asked.items():
        verdict.calls += len(times)
        verdict.calls_again += max(0, len(times) - run.expected_calls.get(agent, 0))
        if late := sum(at > _committed(run, agent) for at in times):
            verdict.finished_called_again += 1
            problem(f"{agent} was asked {late} times after its output was committed")


def _count_in_flight(
    run: RunSeen, asked: Mapping[str, Sequence[float]], kills: Sequence[float], verdict: Verdict
) -> None:
    again: dict[int, int] = defaultdict(int)
    for agent, times in asked.items():
        for number, killed in enumerate(kills):
            before, after = bisect.bisect(times, killed), len(times) - bisect.bisect(times, killed)
            since = kills[number - 1] if number else float("-inf")
            was_asked = before and times[before - 1] > since
            if was_asked and killed < _committed(run, agent):
                verdict.agents_in_flight += 1
                again[number] += bool(after)
    verdict.agents_again += sum(again.values())
    verdict.most_again = max([verdict.most_again, *again.values()])


def _committed(run: RunSeen, agent: str) -> float:
    return run.kept[agent].at if agent in run.kept else float("inf")


def _recoveries(
    requests: Sequence[Request], kills: Sequence[float], starts: Sequence[float]
) -> list[float]:
    """From each start after a kill to the first call, for those that lived to make one."""
    times = sorted(request.at for request in requests)
    found = []
    for number, start in enumerate(starts[1:], 1):
        ended = kills[number] if number < len(kills) else float("inf")
        first = bisect.bisect(times, start)
        if first < len(times) and times[first] < ended:
            found.append(times[first] - start)
    return found
