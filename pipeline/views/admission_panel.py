"""What the live view's admission panel shows: the gates as words, ready to be put into the page.

Pure. The message has its own type and no position: it says how things are now, and the next one
replaces it.

    {"type": "admission", "summary", "gates": [{"title", "facts": [[name, value]], "why",
     "waiters": [one line each], "more": how many more wait}]}

All of it is text: models, addresses and agents are other people's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pipeline.budgets import Spending
from pipeline.llm.admission.snapshot import GateSnapshot
from pipeline.views.cockpit import circuit_text, limit_text, waiter_text

GATES_SHOWN = 6
WAITERS_SHOWN = 8


class GatePanel(msgspec.Struct):
    title: str
    facts: list[tuple[str, str]]
    why: str
    waiters: list[str]
    more: int


class AdmissionMessage(msgspec.Struct):
    summary: str
    gates: list[GatePanel]
    type: Literal["admission"] = "admission"


def admission_message(
    gates: Sequence[GateSnapshot], spending: Spending | None = None
) -> AdmissionMessage:
    """The gates that have admitted anybody, the busiest first, and the run's budget if it has one."""
    used = [gate for gate in gates if gate.admitted or gate.waiting or gate.circuit]
    used.sort(key=lambda gate: (-(gate.in_flight + gate.waiting), gate.model, gate.endpoint))
    summary = _summary(used)
    if spending is not None:
        summary = f"{summary}, budget: {spending.text}"
    return AdmissionMessage(summary, [_panel(gate) for gate in used[:GATES_SHOWN]])


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
        parts.append(f"cooling {cooling_s:.0f} s")
    if down:
        parts.insert(0, "endpoint down" if len(down) == 1 else f"{len(down)} endpoints down")
    return ", ".join(parts)


def _panel(gate: GateSnapshot) -> GatePanel:
    facts = [("In flight", f"{gate.in_flight} of {gate.window}"), ("Waiting", _waiting(gate))]
    if gate.circuit:
        facts.insert(0, ("Endpoint", circuit_text(gate.circuit)))
    facts += [("Limit", limit_text(limit)) for limit in gate.limits]
    facts.append(
        ("Refused (429)", f"{gate.refused_last_minute} last minute, {gate.refused} in all")
    )
    if gate.cooling_s > 0:
        facts.append(("Cooling", f"{gate.cooling_s:.0f} s"))
    if gate.hedges.sent:
        facts.append(("Second requests", f"{gate.hedges.sent}, {gate.hedges.won} were faster"))
    waiters = [waiter_text(waiter).strip() for waiter in gate.waiters[:WAITERS_SHOWN]]
    return GatePanel(
        f"{gate.model} at {gate.endpoint}", facts, gate.why, waiters, gate.waiting - len(waiters)
    )


def _waiting(gate: GateSnapshot) -> str:
    if not gate.waiting_batch:
        return str(gate.waiting)
    return f"{gate.waiting_interactive} interactive, {gate.waiting_batch} batch"
