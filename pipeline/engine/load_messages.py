"""What the processes of a team tell each other of their gates, and what it comes to. Pure.

Whoever looks says for which owners; every process then tells its gates as each of those owners may
see them, in messages small enough for NOTIFY. `team_load.py` carries the messages.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from pipeline.llm.admission import GateSnapshot
from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.team import SharedRow, TeamGate
from pipeline.store.codec import storable

MAX_BYTES = 7_500  # NOTIFY refuses 8,000
GATE_BYTES = 5_800  # the rest is for the load's own fields, the signs of 60 owners among them
OWNERS_AT_ONCE = 30  # in one message; an owner's word is 200 signs at most
WAITERS_TOLD = 8  # of an owner at one gate
NAME_CHARS = 500  # of an endpoint or model, as the shared row's
WORDS_CHARS = 200  # of a sentence


class Look(msgspec.Struct, array_like=True):
    """Somebody looks at the gates, as these owners."""

    owners: list[str]


class ToldGate(msgspec.Struct, array_like=True):
    """A gate as the owner with that sign may see it."""

    sign: str
    gate: GateSnapshot


class Load(msgspec.Struct, array_like=True):
    """What one process does, or a part of that: messages with the same `number` belong together.

    `concurrency` is None in a process that takes no runs from the queue. `in_flight` and `waiting`
    count the calls at all its gates. `asked` are the signs of all owners that were told of.
    """

    process: str
    number: int
    concurrency: int | None
    runs: int
    in_flight: int
    waiting: int
    asked: list[str]
    gates: list[ToldGate]


_encode = msgspec.json.Encoder().encode
look_of = msgspec.json.Decoder(Look).decode
load_of = msgspec.json.Decoder(Load).decode


def sign_of(owner: str) -> str:
    """Short, so that many fit in a message."""
    return hashlib.blake2b(owner.encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()


def looks(owners: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(owners), OWNERS_AT_ONCE):
        yield _encode(Look(list(owners[start : start + OWNERS_AT_ONCE]))).decode()


def loads(load: Load, gates: Iterable[GateSnapshot], owners: Sequence[str]) -> Iterator[str]:
    """`load` as messages, with those of `gates` that one of `owners` uses.

    Calls that wait are left out where a gate would not fit with them, and a gate that does not fit
    without them.
    """
    load.asked = [sign_of(owner) for owner in owners]
    room = MAX_BYTES - len(_encode(load))
    size = 0
    for told in _told(gates, owners):
        told_size = len(_encode(told)) + 1
        if size + told_size > room:
            yield _encode(load).decode()
            load.gates, size = [], 0
        load.gates.append(told)
        size += told_size
    yield _encode(load).decode()


def _told(gates: Iterable[GateSnapshot], owners: Sequence[str]) -> Iterator[ToldGate]:
    for gate in gates:
        users = set(gate.used_by)
        for owner in owners:
            if owner in users and (told := _fitting(owner, gate)) is not None:
                yield told


def _fitting(owner: str, gate: GateSnapshot) -> ToldGate | None:
    told = ToldGate(sign_of(owner), _as_seen_by(owner, gate))
    while len(_encode(told)) > GATE_BYTES:
        if not told.gate.waiters:
            return None
        told.gate = replace(told.gate, waiters=told.gate.waiters[:-1])
    return told


def _as_seen_by(owner: str, gate: GateSnapshot) -> GateSnapshot:
    """Small enough, without anybody else's calls, and in signs that travel."""
    waiters = [waiter for waiter in gate.waiters if waiter.owner == owner][:WAITERS_TOLD]
    circuit = gate.circuit
    if circuit is not None:
        circuit = replace(circuit, endpoint="", error=storable(circuit.error)[:WORDS_CHARS])
    return replace(
        gate,
        endpoint=storable(gate.endpoint)[:NAME_CHARS],
        model=storable(gate.model)[:NAME_CHARS],
        why="",
        waiters=tuple(replace(w, owner="", agent=storable(w.agent)[:100]) for w in waiters),
        circuit=circuit,
        used_by=(),
    )


def together(
    told: Sequence[tuple[float, GateSnapshot]],
    known: Iterable[GateSnapshot],
    rows: Iterable[SharedRow],
) -> tuple[TeamGate, ...]:
    """One gate for each endpoint and model, the busiest first.

    `told` is what processes that are heard say, each with its age in seconds; `known` is what
    those said that are silent now: that there is such a gate still holds. A row whose gate
    is in neither is of other owners, and left out.
    """
    parts: defaultdict[tuple[str, str], list[tuple[float, GateSnapshot]]] = defaultdict(list)
    for gate in known:
        parts[gate.endpoint, gate.model] = []
    for age_s, gate in told:
        parts[gate.endpoint, gate.model].append((age_s, gate))
    shared = {(row.endpoint, row.model): row for row in rows}
    gates = [_gate(key, of_key, shared.get(key)) for key, of_key in parts.items()]
    return tuple(sorted(gates, key=lambda g: (-(g.in_flight + g.waiting), g.model, g.endpoint)))


def _gate(
    key: tuple[str, str], told: Sequence[tuple[float, GateSnapshot]], row: SharedRow | None
) -> TeamGate:
    gates = [gate for _, gate in told]
    cooling_s = [gate.cooling_s - age_s for age_s, gate in told]
    waiters = sorted((w for gate in gates for w in gate.waiters), key=lambda w: -w.waited_s)
    circuits = [gate.circuit for gate in gates if gate.circuit is not None]
    return TeamGate(
        *key,
        processes=len(gates),
        in_flight=sum(gate.in_flight for gate in gates),
        waiting=sum(gate.waiting for gate in gates) + sum(each.waiting for each in circuits),
        waiters=tuple(waiters[:WAITERS_TOLD]),
        limits=_limits(gates, row),
        admitted_last_minute=sum(gate.admitted_last_minute for gate in gates),
        tokens_last_minute=sum(gate.tokens_last_minute for gate in gates),
        refused_last_minute=sum(gate.refused_last_minute for gate in gates),
        cooling_s=max(0.0, row.cooling_s if row else 0.0, *cooling_s),
        circuit=circuits[0].error if circuits else "",
    )


def _limits(gates: Iterable[GateSnapshot], row: SharedRow | None) -> tuple[LimitReading, ...]:
    """The shared ones, and each that a process found out or keeps by itself, once.

    A process keeps what is shared as well; what is left of it there is its own count only.
    """
    shared = row.limits if row else ()
    units = {limit.unit for limit in shared}
    own = {
        replace(limit, available=None)
        for gate in gates
        for limit in gate.limits
        if limit.source == "learned" or limit.unit not in units
    }
    return (*shared, *sorted(own, key=lambda limit: (limit.unit, limit.per_minute)))
