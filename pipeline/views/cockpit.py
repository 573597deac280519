"""Say what the gates do, for people who watch a terminal. Pure.

One short block per endpoint and model: how many calls are out and wait, what is known of the
limits and why, and who is next. Names come from run specs and providers: control characters are
made visible.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.budgets import Spending
from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.snapshot import CircuitReading, GateSnapshot, WaiterReading
from pipeline.views.cards import ADMISSION_REASONS
from pipeline.views.progress import printable

WAITERS_SHOWN = 5


def cockpit_lines(gates: Sequence[GateSnapshot], spending: Spending | None = None) -> list[str]:
    """The budget, if there is one, and the gates: the block of every gate that has calls out or waiting; one line when none has."""
    busy = [gate for gate in gates if gate.in_flight or gate.waiting or gate.circuit]
    budget = [f"budget: {spending.text}"] if spending is not None else []
    if not busy:
        return [*budget, "admission: nothing in flight, nobody waits"]
    return [*budget, *(line for gate in busy for line in _gate_lines(gate))]


def _gate_lines(gate: GateSnapshot) -> list[str]:
    window = f"{gate.window}" if gate.window == gate.max_in_flight else f"{gate.window} (overload)"
    parts = [f"{gate.in_flight}/{window} in flight", f"{gate.waiting} waiting{_classes(gate)}"]
    parts += [limit_text(limit) for limit in gate.limits]
    if gate.refused:
        parts.append(f"429s: {gate.refused_last_minute} in the last minute, {gate.refused} in all")
    if gate.cooling_s > 0:
        parts.append(f"cooling {gate.cooling_s:.0f} s")
    if gate.hedges.sent:
        parts.append(f"second requests: {gate.hedges.sent}, {gate.hedges.won} were faster")
    head = f"admission {printable(gate.model)} at {printable(gate.endpoint)}: {' · '.join(parts)}"
    lines = [head]
    if gate.circuit:
        lines.append(f"  {printable(circuit_text(gate.circuit))}")
    if gate.why:
        lines.append(f"  {gate.why}")
    lines += [f"  {waiter_text(waiter, _who(waiter))}" for waiter in gate.waiters[:WAITERS_SHOWN]]
    more = gate.waiting - min(len(gate.waiters), WAITERS_SHOWN)
    return [*lines, f"  and {more} more"] if more > 0 and gate.waiters else lines


def circuit_text(circuit: CircuitReading) -> str:
    """`down for 12 s, 3 calls wait, tried again in 4 s: connection refused`."""
    calls = f"{circuit.waiting} call{'' if circuit.waiting == 1 else 's'} wait"
    calls += "s" if circuit.waiting == 1 else ""
    again = f"tried again in {circuit.probe_in_s:.0f} s" if circuit.probe_in_s else "tried now"
    return f"down for {circuit.open_s:.0f} s, {calls}, {again}: {circuit.error}"


def _classes(gate: GateSnapshot) -> str:
    if not gate.waiting_batch:
        return ""
    return f" ({gate.waiting_interactive} interactive, {gate.waiting_batch} batch)"


def limit_text(limit: LimitReading) -> str:
    """`600 requests/min (header), 42 left`."""
    left = "" if limit.available is None else f", {max(0.0, limit.available):.0f} left"
    return f"{limit.per_minute:.0f} {limit.unit}/min ({limit.source}){left}"


def _who(waiter: WaiterReading) -> str:
    who = printable(waiter.agent or "a call")
    return f"{who} of run {printable(waiter.run_id[:8])}" if waiter.run_id else who


def waiter_text(waiter: WaiterReading, who: str) -> str:
    """`editor of run abcdefgh waits 12 s, about 8 s more: the provider asked to wait`."""
    about = "" if waiter.expected_s is None else f", about {waiter.expected_s:.0f} s more"
    why = ADMISSION_REASONS.get(waiter.reason, waiter.reason)
    return f"{who} waits {waiter.waited_s:.0f} s{about}: {printable(why)}"
