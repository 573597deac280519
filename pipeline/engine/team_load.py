"""What a team does now, gathered for whoever looks: queue, workers, shared limits, everybody's gates.

Nothing is told while nobody looks. Whoever shows the gates says so every two seconds
(`gantry_look`); then each process tells once a second what its own gates do (`gantry_load`), over
LISTEN/NOTIFY, and the looking one reads queue and limits as often. Nothing is stored: a process
that dies is silent, and its runs are found in the queue. What the messages hold is
`load_messages.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from pipeline.engine.load_messages import (
    Load,
    load_of,
    loads,
    look_of,
    looks,
    sign_of,
    together,
)
from pipeline.engine.postgresql import PostgresEngine, QueueReading
from pipeline.engine.steady_connection import SteadyConnection
from pipeline.llm.admission import GateSnapshot
from pipeline.llm.admission.team import SharedRow, TeamSnapshot, WorkerReading
from pipeline.store.shared_limits import ROWS_NOW, row_of

LOOK_CHANNEL = "gantry_look"
LOAD_CHANNEL = "gantry_load"
TELL_EVERY_S = 1.0
SAY_EVERY_S = 2.0  # that somebody looks
FORGET_AFTER_S = 6.0  # who has not looked since
SILENT_AFTER_S = 3.5  # without a word of a process that was asked
ANSWER_S = 2.0  # what whoever asks first waits for the others
OWNERS_MAX = 60  # looked for at once; the last ones to look

logger = logging.getLogger(__name__)


class LoadTeller:
    """Tells the others what this process does, while somebody looks. Owned by one loop.

    `concurrency` is None in a process that takes no runs; `runs` says how many it works on.
    """

    def __init__(
        self,
        connection: SteadyConnection,
        process: str,
        concurrency: int | None,
        runs: Callable[[], int],
        gates: Callable[[], Sequence[GateSnapshot]],
    ) -> None:
        self.wanted = asyncio.Event()  # somebody looks
        self._connection = connection
        self._process = process
        self._concurrency = concurrency
        self._runs = runs
        self._gates = gates
        self._asked: dict[str, float] = {}  # owner → until when; the last that asked stands last
        self._number = 0

    async def start(self) -> None:
        await self._connection.add_listener(LOOK_CHANNEL, self._hear)

    async def tell(self) -> None:
        """Tell once, if somebody looks and there is something to tell. Raises `StoreError`."""
        now = time.monotonic()
        self._asked = {owner: until for owner, until in self._asked.items() if until > now}
        if not self._asked:
            self.wanted.clear()
            return
        gates = self._gates()
        if self._concurrency is None and not gates:
            return
        self._number += 1
        load = Load(
            self._process,
            self._number,
            self._concurrency,
            self._runs(),
            in_flight=sum(gate.in_flight for gate in gates),
            waiting=sum(gate.waiting for gate in gates),
            asked=[],
            gates=[],
        )
        for payload in loads(load, gates, list(self._asked)):
            await self._connection.notify(LOAD_CHANNEL, payload)

    def _hear(self, payload: str | bytes | bytearray) -> None:
        try:
            owners = look_of(payload).owners
        except msgspec.MsgspecError as error:
            logger.warning("A question for the gates cannot be read: %s", error)
            return
        until = time.monotonic() + FORGET_AFTER_S
        _remember(self._asked, owners, until)
        self.wanted.set()


@dataclass(slots=True)
class _Told:
    """The last that one process told, and when."""

    at: float
    load: Load


@dataclass(frozen=True, slots=True)
class _Read:
    """What the database said, and when."""

    at: float
    queue: QueueReading
    rows: tuple[SharedRow, ...]


class LoadReader:
    """Has the team's state here for whoever looks at it in this process. Owned by one loop."""

    def __init__(
        self,
        connection: SteadyConnection,
        engine: PostgresEngine,
        max_running: int,
        lease_s: float,
    ) -> None:
        self.wanted = asyncio.Event()  # somebody looks
        self._connection = connection
        self._engine = engine
        self._max_running = max_running
        self._lease_s = lease_s
        self._looking: dict[str, float] = {}  # owner → until when
        self._met: dict[str, float] = {}  # worker → when a run was first seen in its hands
        self._said_at = 0.0
        self._said: frozenset[str] = frozenset()
        self._told: dict[str, _Told] = {}
        self._read: _Read | None = None
        self._news = asyncio.Event()

    async def start(self) -> None:
        await self._connection.add_listener(LOAD_CHANNEL, self._hear)

    async def seen(self, owner: str, *, patient: bool) -> TeamSnapshot | None:
        """The team as the owner may see it; looks at it for the next seconds.

        None while nothing is known yet. `patient`: wait for that, and for what every worker has to
        say, two seconds at most.
        """
        now = time.monotonic()
        _remember(self._looking, [owner], now + FORGET_AFTER_S)
        self.wanted.set()
        if patient:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    while not self._is_answered(owner):
                        self._news.clear()
                        await self._news.wait()
        return self._snapshot(owner)

    async def read(self) -> None:
        """Say that somebody looks, and read what the database knows. Raises `StoreError`."""
        now = time.monotonic()
        self._looking = {owner: until for owner, until in self._looking.items() if until > now}
        if not self._looking:
            self.wanted.clear()
            self._told.clear()
            self._met.clear()
            self._read = None
            return
        owners = frozenset(self._looking)
        if owners - self._said or now - self._said_at >= SAY_EVERY_S:
            self._said, self._said_at = owners, now
            for payload in looks(list(self._looking)):
                await self._connection.notify(LOOK_CHANNEL, payload)
        queue = await self._engine.reading()
        rows = tuple(row_of(row) for row in await self._connection.fetch(ROWS_NOW))
        self._read = _Read(time.monotonic(), queue, rows)
        self._met = {worker: self._met.get(worker, self._read.at) for worker in queue.held}
        self._forget()
        self._news.set()

    def _hear(self, payload: str | bytes | bytearray) -> None:
        if not self._looking:
            return
        try:
            load = load_of(payload)
        except msgspec.MsgspecError as error:
            logger.warning("What a process tells of its gates cannot be read: %s", error)
            return
        before = self._told.get(load.process)
        if before is not None and before.load.number == load.number:
            before.load.gates.extend(load.gates)
        else:
            self._told[load.process] = _Told(time.monotonic(), load)
        self._news.set()

    def _is_answered(self, owner: str) -> bool:
        if self._read is None:
            return False
        sign = sign_of(owner)
        workers = [told for told in self._told.values() if told.load.concurrency is not None]
        return len(workers) >= self._read.queue.workers and all(
            sign in told.load.asked for told in self._told.values()
        )

    def _forget(self) -> None:
        """Drop processes that are silent for a lease and have no run in hand."""
        assert self._read is not None
        held, now = self._read.queue.held, time.monotonic()
        kept_s = max(self._lease_s, SILENT_AFTER_S)
        self._told = {
            process: told
            for process, told in self._told.items()
            if now - told.at <= kept_s or process in held
        }

    def _snapshot(self, owner: str) -> TeamSnapshot | None:
        read, now = self._read, time.monotonic()
        if read is None:
            return None
        heard = [told for told in self._told.values() if now - told.at <= SILENT_AFTER_S]
        sign, passed_s = sign_of(owner), now - read.at
        return TeamSnapshot(
            running=sum(holding.runs for holding in read.queue.held.values()),
            max_running=self._max_running,
            running_typed=sum(told.load.runs for told in heard if told.load.concurrency is None),
            queued=read.queue.queued,
            workers=self._workers(read, now),
            gates=together(
                [(now - told.at, gate) for told in heard for gate in _gates(told.load, sign)],
                [gate for told in self._told.values() for gate in _gates(told.load, sign)],
                [replace(row, cooling_s=row.cooling_s - passed_s) for row in read.rows],
            ),
            age_s=passed_s,
        )

    def _workers(self, read: _Read, now: float) -> tuple[WorkerReading, ...]:
        told = {p: t for p, t in self._told.items() if t.load.concurrency is not None}
        names = sorted({*told, *read.queue.held})
        return tuple(self._worker(name, told.get(name), read, now) for name in names)

    def _worker(self, name: str, told: _Told | None, read: _Read, now: float) -> WorkerReading:
        holding = read.queue.held.get(name)
        told_s = now - (self._met[name] if told is None else told.at)
        beats = [] if holding is None else [holding.beat_s + now - read.at]
        is_silent = told_s > SILENT_AFTER_S
        load = None if told is None or is_silent else told.load
        return WorkerReading(
            id=shown_id(name),
            concurrency=None if told is None else told.load.concurrency,
            runs=load.runs if load is not None else 0 if holding is None else holding.runs,
            in_flight=None if load is None else load.in_flight,
            waiting=None if load is None else load.waiting,
            heard_s=min(beats if told is None else [*beats, told_s]),
            is_silent=is_silent,
        )


def shown_id(process: str) -> str:
    """Enough of its name to tell a process from others."""
    return process[:8]


def _gates(load: Load, sign: str) -> Iterator[GateSnapshot]:
    return (told.gate for told in load.gates if told.sign == sign)


def _remember(owners: dict[str, float], new: Iterable[str], until: float) -> None:
    """Those that came last stay, whoever they push out."""
    for owner in new:
        owners.pop(owner, None)
        owners[owner] = until
    while len(owners) > OWNERS_MAX:
        del owners[next(iter(owners))]
