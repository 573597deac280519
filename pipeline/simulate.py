"""Lay known work out in time under any plan and any limits: what would have happened if.

Pure and deterministic: no clock, no I/O, no chance. `workload.py` says how long every step takes,
the plan which agent waits for which, `Limits` what the gate allows. What follows is a
discrete-event simulation, O(events log events).

The same rules as at run time
    An agent starts when all its predecessors have settled. A call waits at the gate until fewer
    than `max_in_flight` calls are out and both buckets allow it, and holds its slot until its last
    token; tools and local work hold none. When the gate binds, the call whose agent has the
    longest remaining path goes first (its own service time and the longest chain of agents after
    it, over all edges), then the one that waited longest, then roster order. Things that happen
    at the same moment all happen before the gate decides.

Not simulated
    Failures, retries, ageing, other runs at the same gate, and that calls side by side may slow
    each other at the provider: every step takes as long as in the run it comes from.

A higher cap is not always faster. The rule is list scheduling, and list scheduling has anomalies
(R. L. Graham, "Bounds on multiprocessing timing anomalies", 1969): one more slot, or a faster
agent, can lengthen the makespan, because another call then goes first. What does hold: never
shorter than the bound, and without rate limits never longer than everything in sequence.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import PlanError
from pipeline.plan import Plan, bound_s, remaining_paths
from pipeline.schedule import (
    AT_ONCE,
    AgentSchedule,
    Cause,
    PlacedStep,
    Release,
    Schedule,
    critical_chain,
)
from pipeline.workload import Call, Step, Workload


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gate allows; None is no limit.

    Each rate fills a bucket evenly. A call goes when the bucket holds what it takes, or is full,
    and may leave a debt when it takes more than the bucket can hold. As at the gate, requests are
    spread evenly (`request_burst` 1) and a whole minute's tokens may be used in one go
    (`token_burst` None). So in any window of W seconds at most `request_burst` + W ÷ 60 ×
    `requests_per_minute` calls are admitted, and tokens likewise.
    """

    max_in_flight: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    request_burst: int = 1
    token_burst: int | None = None

    def __post_init__(self) -> None:
        if self.max_in_flight is not None and self.max_in_flight < 1:
            raise ValueError(f"max_in_flight is {self.max_in_flight}; it must be at least 1")
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value:g}; use None for no limit")
        for name in ("request_burst", "token_burst"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")


NO_LIMITS = Limits()


def simulate(plan: Plan, workloads: Mapping[str, Workload], limits: Limits = NO_LIMITS) -> Schedule:
    """Carry `workloads` out under `plan` and `limits`.

    Raises `PlanError` when an agent has no workload, or when tokens are limited and a call's
    tokens are not known.
    """
    for name in plan.names:
        if name not in workloads:
            raise PlanError(f"Agent `{name}` has no workload.", "Give one workload per agent.")
        if limits.tokens_per_minute is not None and not workloads[name].knows_tokens:
            raise PlanError(
                f"The tokens of a call of `{name}` are not known.",
                "Leave the tokens-per-minute limit out.",
            )
    return _Simulation(plan, workloads, limits).run()


def _neighbours(plan: Plan) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Agent → its predecessors, agent → its successors; both in roster order."""
    before: dict[str, list[str]] = {name: [] for name in plan.names}
    after: dict[str, list[str]] = {name: [] for name in plan.names}
    place = {name: index for index, name in enumerate(plan.names)}
    for first, then in sorted(
        plan.data_edges | plan.order_edges, key=lambda edge: (place[edge[0]], place[edge[1]])
    ):
        before[then].append(first)
        after[first].append(then)
    return before, after


@dataclass(slots=True)
class _Bucket:
    """Holds at most `capacity` units and is full again at `full_s`."""

    release: Release
    capacity: float
    s_per_unit: float
    full_s: float = float("-inf")
    last: tuple[str, int] = ("", -1)  # the agent and step charged last

    def ready_s(self, units: int) -> float:
        """When it holds `units`, or is full."""
        return self.full_s - max(0.0, self.capacity - units) * self.s_per_unit

    def charge(self, units: int, now_s: float, agent: str, step: int) -> None:
        self.full_s = max(self.full_s, now_s) + units * self.s_per_unit
        self.last = (agent, step)


@dataclass(slots=True)
class _Work:
    """An agent under way. `step` is the index of the one that is placed, or waits at the gate."""

    missing: int  # predecessors that have not settled
    steps: tuple[Step, ...]
    step: int = -1
    started_s: float = 0.0
    settled_s: float = 0.0
    queued_s: float = 0.0
    cause: Cause = AT_ONCE
    placed: list[PlacedStep] = field(default_factory=list)


class _Simulation:
    """Use once. The heap holds when steps end; a name of "" only wakes the gate."""

    def __init__(self, plan: Plan, workloads: Mapping[str, Workload], limits: Limits) -> None:
        self.plan = plan
        self.durations_s = {name: workloads[name].service_s for name in plan.names}
        self.cap = limits.max_in_flight
        self.buckets = _buckets(limits)
        before, self.after = _neighbours(plan)
        self.work = {name: _Work(len(before[name]), workloads[name].steps) for name in plan.names}
        self.rank = remaining_paths(plan, self.durations_s)
        self.place = {name: index for index, name in enumerate(plan.names)}
        self.ends: list[tuple[float, int, str]] = []
        self.gate: list[tuple[float, float, int, str]] = []  # who waits, first in line first
        self.in_flight = self.peak = self.count = 0
        self.freed, self.freed_s = AT_ONCE, -1.0  # the call that gave its slot back last, and when
        self.now_s = 0.0

    def run(self) -> Schedule:
        for name, work in self.work.items():
            if not work.missing:
                self._at(0.0, name)
        while self.ends:
            self.now_s = self.ends[0][0]
            while self.ends and self.ends[0][0] == self.now_s:
                _, _, name = heapq.heappop(self.ends)
                if name:
                    self._go_on(name)
            self._admit()
        return self._schedule()

    def _at(self, at_s: float, name: str) -> None:
        self.count += 1
        heapq.heappush(self.ends, (at_s, self.count, name))

    def _go_on(self, name: str) -> None:
        """What `name` was at has ended: a step, or, before its first, the wait for others."""
        work = self.work[name]
        if work.step < 0:
            work.started_s = self.now_s
        elif isinstance(work.steps[work.step], Call):
            self.freed, self.freed_s = Cause(Release.SLOT, name, work.step), self.now_s
            self.in_flight -= 1
        work.step += 1
        if work.step == len(work.steps):
            self._settle(name, work)
            return
        work.queued_s = self.now_s
        step = work.steps[work.step]
        if isinstance(step, Call):
            first = (-self.rank[name], self.now_s, self.place[name], name)
            heapq.heappush(self.gate, first)
        else:
            self._place(name, work, AT_ONCE)

    def _settle(self, name: str, work: _Work) -> None:
        work.settled_s = self.now_s
        for later in self.after[name]:
            waiting = self.work[later]
            waiting.missing -= 1
            if not waiting.missing:
                waiting.cause = Cause(Release.PREDECESSOR, name, len(work.steps) - 1)
                self._at(self.now_s, later)

    def _place(self, name: str, work: _Work, cause: Cause) -> None:
        """The step begins now; come back at its end."""
        step = work.steps[work.step]
        end_s = self.now_s + step.duration_s
        work.placed.append(PlacedStep(step, work.queued_s, self.now_s, end_s, cause))
        self._at(end_s, name)

    def _admit(self) -> None:
        """Let calls go, first in line first, while the limits allow; else come back when they do."""
        while self.gate and (self.cap is None or self.in_flight < self.cap):
            name = self.gate[0][-1]
            work = self.work[name]
            step = work.steps[work.step]
            ready = [bucket.ready_s(_units(bucket, step)) for bucket in self.buckets]
            if max(ready, default=self.now_s) > self.now_s:
                self._at(max(ready), "")
                return
            heapq.heappop(self.gate)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            cause = self._cause(work, ready)
            for bucket in self.buckets:
                bucket.charge(_units(bucket, step), self.now_s, name, work.step)
            self._place(name, work, cause)

    def _cause(self, work: _Work, ready: list[float]) -> Cause:
        """Of all that had to hold for this admission, what came true only now."""
        if work.queued_s == self.now_s:
            return AT_ONCE
        for bucket, ready_s in zip(self.buckets, ready, strict=True):
            if ready_s == self.now_s:
                return Cause(bucket.release, *bucket.last)
        if self.freed_s == self.now_s or not self.buckets:
            return self.freed
        # by a rounding error: it stood behind a call that takes more, and that one went only now
        return Cause(self.buckets[-1].release, *self.buckets[-1].last)

    def _schedule(self) -> Schedule:
        agents = {
            name: AgentSchedule(
                name, work.started_s, work.settled_s, tuple(work.placed), work.cause
            )
            for name, work in self.work.items()
        }
        return Schedule(
            plan=self.plan,
            agents=tuple(agents.values()),
            makespan_s=max(agent.settled_s for agent in agents.values()),
            sequential_s=sum(self.durations_s.values()),
            bound_s=bound_s(self.plan, self.durations_s),
            peak_in_flight=self.peak,
            critical=critical_chain(agents),
        )


def _buckets(limits: Limits) -> list[_Bucket]:
    found = []
    if limits.requests_per_minute is not None:
        pause_s = 60.0 / limits.requests_per_minute
        found.append(_Bucket(Release.REQUESTS, limits.request_burst, pause_s))
    if limits.tokens_per_minute is not None:
        capacity = limits.token_burst or limits.tokens_per_minute
        found.append(_Bucket(Release.TOKENS, capacity, 60.0 / limits.tokens_per_minute))
    return found


def _units(bucket: _Bucket, step: Step) -> int:
    if bucket.release is Release.REQUESTS or not isinstance(step, Call):
        return 1
    return step.tokens or 0
