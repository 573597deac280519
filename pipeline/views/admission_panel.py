"""What the live view's admission panel shows: the gates as words, ready to be put into the page.

Pure. The message has its own type and no position: it says how things are now, and the next one
replaces it.

    {"type": "admission", "summary", "gates": [{"title", "facts": [[name, value]], "why",
     "waiters": [one line each], "more": how many more wait, "others": true when only other runs
     use it}],
     "team": null, or {"facts": [[name, value]], "note",
     "workers": [{"id", "runs", "calls", "heard", "silent"}]}}

The summary is about the gates that the run on the page uses; those that only other runs of its
owner use stand last. In a team the gates are those of all processes together.

All of it is text: models, addresses and agents are other people's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pipeline.budgets import Spending
from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.snapshot import GateSnapshot, WaiterReading
from pipeline.llm.admission.team import TeamGate, TeamSnapshot, WorkerReading
from pipeline.views.cockpit import circuit_text, limit_text, waiter_text
from pipeline.views.progress import printable

GATES_SHOWN = 6
WAITERS_SHOWN = 8
ASKED_TO_WAIT = "Provider asked to wait"
STALE_S = 5.0  # what the database said is read every second
JUST_NOW_S = 3.0
TEAM_SOURCES: Mapping[str, str] = {"configured": "configured", "told": "told by the provider"}


class GatePanel(msgspec.Struct):
    title: str
    facts: list[tuple[str, str]]
    why: str
    waiters: list[str]
    more: int
    others: bool = False


@dataclass(frozen=True, slots=True)
class OnThePage:
    """The run whose page it is: which gates it uses, and what its agents are called."""

    run_id: str = ""
    uses: Callable[[GateSnapshot | TeamGate], bool] = lambda gate: True
    titles: Mapping[str, str] = field(default_factory=dict)  # agent → title

    def waiter(self, waiter: WaiterReading) -> str:
        """`Editor waits 3 s: …`; calls of another run name it."""
        who = printable(self.titles.get(waiter.agent, waiter.agent) or "a call")
        if waiter.run_id and waiter.run_id != self.run_id:
            who += f" of run {printable(waiter.run_id[:8])}"
        return waiter_text(waiter, who)


ANY_RUN = OnThePage()


class WorkerRow(msgspec.Struct):
    id: str
    runs: str
    calls: str
    heard: str
    silent: bool


class TeamPanel(msgspec.Struct):
    facts: list[tuple[str, str]]
    workers: list[WorkerRow]
    note: str


class AdmissionMessage(msgspec.Struct):
    summary: str
    gates: list[GatePanel]
    team: TeamPanel | None = None
    type: Literal["admission"] = "admission"


def admission_message(
    gates: Sequence[GateSnapshot], spending: Spending | None = None, run: OnThePage = ANY_RUN
) -> AdmissionMessage:
    """The gates that have admitted anybody, the busiest first, and the run's budget if it has one."""
    used = [gate for gate in gates if gate.admitted or gate.waiting or gate.circuit]
    used.sort(key=lambda gate: (-(gate.in_flight + gate.waiting), gate.model, gate.endpoint))
    used.sort(key=run.uses, reverse=True)
    summary = _summary([gate for gate in used if run.uses(gate)])
    if spending is not None:
        summary = f"{summary}, budget: {spending.text}"
    return AdmissionMessage(summary, [_panel(gate, run) for gate in used[:GATES_SHOWN]])


def team_message(
    team: TeamSnapshot, spending: Spending | None = None, run: OnThePage = ANY_RUN
) -> AdmissionMessage:
    """A team's gates together, its queue and its workers, and the run's budget if it has one."""
    gates = sorted(team.gates, key=run.uses, reverse=True)
    parts = [_calls_summary([gate for gate in gates if run.uses(gate)]), _runs_summary(team)]
    if spending is not None:
        parts.append(f"budget: {spending.text}")
    facts = [
        ("Runs", f"{team.running} of {team.max_running} at once"),
        ("Queued", f"{team.queued:,}"),
    ]
    if team.running_typed:
        facts.insert(1, ("On typed keys", f"{team.running_typed} in dashboards"))
    return AdmissionMessage(
        " · ".join(parts),
        [_team_gate(gate, run) for gate in gates[:GATES_SHOWN]],
        TeamPanel(facts, [_worker(worker) for worker in team.workers], _note(team)),
    )


def _calls_summary(gates: Sequence[TeamGate]) -> str:
    refused = sum(gate.refused_last_minute for gate in gates)
    cooling_s = max((gate.cooling_s for gate in gates), default=0.0)
    parts = [
        f"{sum(gate.in_flight for gate in gates)} in flight",
        f"{sum(gate.waiting for gate in gates)} waiting",
    ]
    if any(gate.circuit for gate in gates):
        parts.insert(0, "endpoint down")
    if refused:
        parts.append(f"{refused} refused in the last minute")
    if cooling_s > 0:
        parts.append(f"the provider asked to wait {math.ceil(cooling_s)} s")
    return ", ".join(parts)


def _runs_summary(team: TeamSnapshot) -> str:
    silent = sum(worker.is_silent for worker in team.workers)
    heard = len(team.workers) - silent
    workers = "1 worker" if heard == 1 else f"{heard} workers"
    if silent:
        workers += f", {silent} silent"
    return f"{team.running} of {team.max_running} runs, {team.queued:,} queued, {workers}"


def _note(team: TeamSnapshot) -> str:
    if team.age_s > STALE_S:
        return f"The database has not answered for {team.age_s:.0f} s; so it was then."
    return "" if team.workers else "No worker has been heard."


def _worker(worker: WorkerReading) -> WorkerRow:
    of = "" if worker.concurrency is None else f" of {worker.concurrency}"
    calls = "not known"
    if worker.in_flight is not None:
        calls = f"{worker.in_flight} in flight, {worker.waiting} waiting"
    heard = f"{worker.heard_s:.0f} s ago" if worker.heard_s >= JUST_NOW_S else "just now"
    return WorkerRow(worker.id, f"{worker.runs}{of}", calls, heard, worker.is_silent)


def _team_gate(gate: TeamGate, run: OnThePage) -> GatePanel:
    facts = [("In flight", str(gate.in_flight)), ("Waiting", str(gate.waiting))]
    if gate.circuit:
        facts.insert(0, ("Endpoint", f"down: {printable(gate.circuit)}"))
    if gate.cooling_s > 0:
        facts.append((ASKED_TO_WAIT, f"{math.ceil(gate.cooling_s)} s"))
    shared = {limit.unit: limit for limit in gate.limits if limit.source in TEAM_SOURCES}
    facts.append(("Requests", _used(gate.admitted_last_minute, shared.get("requests"))))
    facts.append(("Tokens", _used(gate.tokens_last_minute, shared.get("tokens"))))
    facts += [
        ("Limit of one process", limit_text(limit))
        for limit in gate.limits
        if limit not in shared.values()
    ]
    if gate.refused_last_minute:
        facts.append(("Refused (429)", f"{gate.refused_last_minute} in the last minute"))
    waiters = [run.waiter(waiter) for waiter in gate.waiters[:WAITERS_SHOWN]]
    more = gate.waiting - len(waiters) if waiters else 0
    title = f"{gate.model} at {gate.endpoint}"
    return GatePanel(title, facts, "", waiters, more, others=not run.uses(gate))


def _used(last_minute: float, limit: LimitReading | None) -> str:
    """`42 in the last minute, of 60 (configured)`."""
    used = f"{last_minute:,.0f} in the last minute"
    if limit is None:
        return f"{used}, no limit known"
    left = "" if limit.available is None else f", {max(0.0, limit.available):,.0f} left"
    return f"{used}, of {limit.per_minute:,.0f} ({TEAM_SOURCES[limit.source]}){left}"


def _summary(gates: Sequence[GateSnapshot]) -> str:
    in_flight = sum(gate.in_flight for gate in gates)
    down = {gate.endpoint: gate.circuit for gate in gates if gate.circuit}
    waiting = sum(gate.waiting for gate in gates) + sum(each.waiting for each in down.values())
    refused = sum(gate.refused_last_minute for gate in gates)
    cooling_s = max((gate.cooling_s for gate in gates), default=0.0)
    parts = [f"{in_flight} in flight", f"{waiting} waiting"]
    if refused:
        parts.append(f"{refused} refused in the last minute")
    if cooling_s > 0:
        parts.append(f"the provider asked to wait {math.ceil(cooling_s)} s")
    if down:
        parts.insert(0, "endpoint down" if len(down) == 1 else f"{len(down)} endpoints down")
    return ", ".join(parts)


def _panel(gate: GateSnapshot, run: OnThePage) -> GatePanel:
    facts = [("In flight", f"{gate.in_flight} of {gate.window}"), ("Waiting", _waiting(gate))]
    if gate.circuit:
        facts.insert(0, ("Endpoint", circuit_text(gate.circuit)))
    facts += [("Limit", limit_text(limit)) for limit in gate.limits]
    facts.append(
        ("Refused (429)", f"{gate.refused_last_minute} last minute, {gate.refused} in all")
    )
    if gate.cooling_s > 0:
        facts.append((ASKED_TO_WAIT, f"{math.ceil(gate.cooling_s)} s"))
    if gate.hedges.sent:
        facts.append(("Second requests", f"{gate.hedges.sent}, {gate.hedges.won} were faster"))
    waiters = [run.waiter(waiter) for waiter in gate.waiters[:WAITERS_SHOWN]]
    more = gate.waiting - len(waiters)
    title = f"{gate.model} at {gate.endpoint}"
    return GatePanel(title, facts, gate.why, waiters, more, others=not run.uses(gate))


def _waiting(gate: GateSnapshot) -> str:
    if not gate.waiting_batch:
        return str(gate.waiting)
    return f"{gate.waiting_interactive} interactive, {gate.waiting_batch} batch"
