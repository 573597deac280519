"""What processes tell of their gates: small enough, whatever is in it, and each owner's own only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.load_messages import (
    Load,
    load_of,
    loads,
    look_of,
    looks,
    sign_of,
    together,
)
from pipeline.llm.admission import CircuitReading, GateSnapshot
from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.team import SharedRow
from tests.unit.views.test_cockpit import QUIET, WAITER

BY_ITSELF = LimitReading("requests", 600.0, 3.0, "learned")
KEPT = LimitReading("tokens", 9_000.0, 40.0, "configured")
SHARED = LimitReading("tokens", 9_000.0, 70.0, "told")


def load(number: int = 1) -> Load:
    return Load("p" * 36, number, 10, 3, 2, 1, [], [])


def told(gates: list[GateSnapshot], owners: list[str]) -> list[tuple[str, GateSnapshot]]:
    payloads = list(loads(load(), gates, owners))
    assert all(len(payload.encode()) < 8_000 for payload in payloads)
    messages = [load_of(payload) for payload in payloads]
    assert {(m.number, m.concurrency, m.runs, m.in_flight) for m in messages} == {(1, 10, 3, 2)}
    assert all(m.asked == [sign_of(owner) for owner in owners] for m in messages)
    return [(one.sign, one.gate) for message in messages for one in message.gates]


names = st.text(st.characters(), max_size=250)


@settings(max_examples=40, deadline=None)
@given(names, names, names, st.integers(0, 60), st.integers(0, 4))
def test_any_gate_fits_whatever_its_names_hold(
    endpoint: str, model: str, words: str, owners: int, gates: int
) -> None:
    asking = [f"browser-{number:064}" for number in range(owners)]
    waiters = tuple(replace(WAITER, owner=o, agent=words[:200]) for o in asking for _ in range(9))
    circuit = CircuitReading(endpoint, 1.0, 0.0, 3, words)
    gate = replace(
        QUIET, endpoint=endpoint, model=model, waiters=waiters, circuit=circuit,
        used_by=tuple(asking), limits=(KEPT, BY_ITSELF),
    )  # fmt: skip

    found = told([gate] * gates, asking)

    assert len(found) == owners * gates


@pytest.mark.parametrize(
    ("sign", "fits"), [("\U0001f4a1", 1), ("\ud800", 1), ('"', 1), ("\x01", 0)]
)
def test_the_longest_names_fit_or_are_left_out(sign: str, fits: int) -> None:
    gate = replace(
        QUIET, endpoint=sign * 9_999, model=sign * 9_999, used_by=("ann",),
        waiters=(replace(WAITER, agent=sign * 9_999),) * 20,
    )  # fmt: skip

    found = told([gate, replace(QUIET, used_by=("ann",))], ["ann"])

    assert len(found) == fits + 1


def test_an_owner_is_told_of_their_own_calls_at_gates_they_use() -> None:
    gate = replace(QUIET, waiting=2, waiters=(WAITER, replace(WAITER, owner="bob", run_id="b")))
    shared, of_bob = (
        replace(gate, used_by=("ann", "bob")),
        replace(gate, model="s", used_by=("bob",)),
    )

    found = told([shared, of_bob], ["ann"])

    assert [(sign, g.model, g.waiting) for sign, g in found] == [(sign_of("ann"), "m", 2)]
    assert [waiter.run_id for waiter in found[0][1].waiters] == [WAITER.run_id]
    assert found[0][1].used_by == ()


def test_everybody_who_looks_is_asked_for() -> None:
    owners = [f"browser-{number:064}" for number in range(60)]

    payloads = list(looks(owners))

    assert all(len(payload.encode()) < 8_000 for payload in payloads)
    assert [owner for payload in payloads for owner in look_of(payload).owners] == owners


def test_gates_of_one_endpoint_and_model_are_added_and_others_rows_left_out() -> None:
    one = replace(QUIET, in_flight=2, waiting=1, cooling_s=5.0, limits=(KEPT, BY_ITSELF))
    other = replace(one, cooling_s=6.5, waiters=(WAITER,))
    rows = [SharedRow("http://h/v1", "m", (SHARED,), 3.0), SharedRow("http://h/v1", "s", (), 99.0)]

    (gate,) = together([(0.0, one), (2.0, other)], [], rows)

    assert (gate.processes, gate.in_flight, gate.waiting) == (2, 4, 2)
    assert gate.cooling_s == 5.0  # the other's is two seconds old, and less by now
    assert gate.limits == (SHARED, replace(BY_ITSELF, available=None))
    assert gate.waiters == (WAITER,)


def test_the_gate_of_a_process_that_is_silent_shows_what_is_shared_alone() -> None:
    (gate,) = together([], [replace(QUIET, in_flight=2)], [SharedRow("http://h/v1", "m", (), 3.0)])

    assert (gate.processes, gate.in_flight, gate.cooling_s) == (0, 0, 3.0)
