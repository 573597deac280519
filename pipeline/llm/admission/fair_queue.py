"""Decide who is next: a queue that is fair between owners and lets no one starve.

Pure: no clock of its own, no loop. `gate.py` decides when somebody may go, this module who.
In this order (docs/admission.md says why):

1. One admission in `AGED_EVERY` goes to the call that waited longest, once that is `AGED_S`.
2. Interactive calls before batch calls.
3. The owner who was admitted least, counted while somebody of theirs waits.
4. The oldest run; when few runs wait (`crowded` false: no more than a quarter of the slots), the longest
   remaining path instead: then the slots soon reach everybody, and the last one ends sooner.
5. Inside a run the longest remaining path, then the call that came first.

All operations are O(log n) in waiting calls; one that gave up is skipped when it comes up.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pipeline.llm.admission.ticket import Ticket

AGED_S = 60.0
AGED_EVERY = 8
OWNERS_REMEMBERED = 1_000
REBUILT_ABOVE = 64  # entries of an order beside twice those that wait

T = TypeVar("T")
Key = tuple[Any, ...]
Placed = TypeVar("Placed", bound=tuple[Any, ...])  # what it is ordered by, then the call


@dataclass(slots=True, eq=False)
class Waiting(Generic[T]):
    """One call in the queue. `since_s` is kept when it has to come back."""

    item: T
    ticket: Ticket
    since_s: float
    serial: int
    tokens: float = 0.0
    is_waiting: bool = True

    def __lt__(self, other: Waiting[T]) -> bool:
        return self.serial < other.serial


@dataclass(slots=True)
class _Lane(Generic[T]):
    """The waiting calls of one owner in one class, in both orders."""

    admitted: float  # comparable between lanes of a class only
    by_run: list[tuple[Key, Waiting[T]]] = field(default_factory=list)
    by_path: list[tuple[Key, Waiting[T]]] = field(default_factory=list)
    waiting: int = 0

    def push(self, entry: Waiting[T]) -> None:
        ticket = entry.ticket
        run = (ticket.run_started_s, ticket.run_id)
        heapq.heappush(self.by_run, ((*run, -ticket.remaining_s, entry.serial), entry))
        heapq.heappush(self.by_path, ((-ticket.remaining_s, *run, entry.serial), entry))
        self.waiting += 1
        self.by_run = _rid_of_the_gone(self.by_run, self.waiting)
        self.by_path = _rid_of_the_gone(self.by_path, self.waiting)

    def first(self, crowded: bool) -> Waiting[T]:
        heap = self.by_run if crowded else self.by_path
        while not heap[0][1].is_waiting:
            heapq.heappop(heap)
        return heap[0][1]

    def in_order(self, crowded: bool) -> list[Waiting[T]]:
        heap = self.by_run if crowded else self.by_path
        return [entry for _, entry in sorted(heap) if entry.is_waiting]


def _rid_of_the_gone(heap: list[Placed], waiting: int) -> list[Placed]:
    """Only one of the two orders is in use at a time; the other would never come upon who left.

    Each rebuild is paid for by as many calls that left: O(1) of them for each call.
    """
    if len(heap) <= 2 * waiting + REBUILT_ABOVE:
        return heap
    left = [each for each in heap if each[-1].is_waiting]
    heapq.heapify(left)
    return left


class _Class(Generic[T]):
    """The owners' lanes of one class. The least admitted owner is first."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[T]] = {}
        self._order: list[
            tuple[float, int, str]
        ] = []  # admitted, tie, owner; stale ones are skipped
        self._tie = 0
        self._forget_at = OWNERS_REMEMBERED
        self._level = 0.0  # what the owner admitted last had been admitted: newcomers begin here
        self.waiting = 0

    def push(self, entry: Waiting[T]) -> None:
        owner = entry.ticket.owner
        lane = self._lanes.get(owner)
        if lane is None:
            self._forget_owners()
            lane = self._lanes[owner] = _Lane(self._level)
        if lane.waiting == 0:
            lane.admitted = max(lane.admitted, self._level)
            self._enter(owner, lane)
        lane.push(entry)
        self.waiting += 1

    def first(self, crowded: bool) -> Waiting[T]:
        while True:
            admitted, _, owner = self._order[0]
            lane = self._lanes.get(owner)
            if lane is not None and lane.waiting and lane.admitted == admitted:
                return lane.first(crowded)
            heapq.heappop(self._order)

    def _forget_owners(self) -> None:
        """Who waits for nothing and is not ahead of anybody needs no memory."""
        if len(self._lanes) >= self._forget_at:
            self._lanes = {
                owner: lane
                for owner, lane in self._lanes.items()
                if lane.waiting or lane.admitted > self._level
            }
            self._forget_at = max(OWNERS_REMEMBERED, 2 * len(self._lanes))

    def in_order(self, crowded: bool) -> list[Waiting[T]]:
        turns: list[tuple[float, int, Waiting[T]]] = []
        places = {owner: place for place, (_, _, owner) in enumerate(sorted(self._order))}
        for owner, lane in self._lanes.items():
            if lane.waiting:
                turns += [
                    (lane.admitted + turn, places.get(owner, 0), entry)
                    for turn, entry in enumerate(lane.in_order(crowded))
                ]
        return [entry for *_, entry in sorted(turns, key=lambda each: each[:2])]

    def remove(self, entry: Waiting[T], *, admitted: bool) -> None:
        owner = entry.ticket.owner
        lane = self._lanes[owner]
        lane.waiting -= 1
        self.waiting -= 1
        if admitted:
            self._level = max(self._level, lane.admitted)
            lane.admitted += 1.0
            if lane.waiting:
                self._enter(owner, lane)
        if not lane.waiting:
            lane.by_run.clear()
            lane.by_path.clear()
        if not self.waiting:  # nobody was kept back by anybody: begin anew
            self._lanes.clear()
            self._order.clear()
            self._level = 0.0

    def _enter(self, owner: str, lane: _Lane[T]) -> None:
        self._tie += 1
        heapq.heappush(self._order, (lane.admitted, self._tie, owner))


class FairQueue(Generic[T]):
    """Waiting calls, and who of them is next."""

    def __init__(self) -> None:
        self._classes: tuple[_Class[T], _Class[T]] = (_Class(), _Class())
        self._by_age: list[tuple[float, int, Waiting[T]]] = []
        self._runs: Counter[str] = Counter()
        self._serial = 0
        self._since_aged = 0

    def __len__(self) -> int:
        return self._classes[0].waiting + self._classes[1].waiting

    @property
    def counts(self) -> tuple[int, int]:
        """How many wait: interactive, batch."""
        return self._classes[0].waiting, self._classes[1].waiting

    def in_order(self, crowded: bool = True) -> list[Waiting[T]]:
        """All that wait, as they would be admitted if nobody came, left or aged. O(n log n)."""
        return [entry for each in self._classes for entry in each.in_order(crowded)]

    @property
    def runs(self) -> int:
        """How many runs have a call waiting."""
        return len(self._runs)

    def push(self, item: T, ticket: Ticket, since_s: float, tokens: float = 0.0) -> Waiting[T]:
        self._serial += 1
        entry = Waiting(item, ticket, since_s, self._serial, tokens)
        self._class_of(ticket).push(entry)
        self._runs[ticket.run_id] += 1
        heapq.heappush(self._by_age, (since_s, entry.serial, entry))
        self._by_age = _rid_of_the_gone(self._by_age, len(self))
        return entry

    def first(self, now: float, crowded: bool = True) -> Waiting[T] | None:
        """Who is next; None when nobody waits."""
        if not len(self):
            return None
        if self._since_aged >= AGED_EVERY - 1:
            oldest = self._oldest()
            if now - oldest.since_s >= AGED_S:
                return oldest
        urgent, batch = self._classes
        return (urgent if urgent.waiting else batch).first(crowded)

    def take(self, entry: Waiting[T], now: float) -> None:
        """`entry`, which `first` gave, has been admitted."""
        aged = entry is self._oldest() and now - entry.since_s >= AGED_S
        self._since_aged = 0 if aged else self._since_aged + 1
        self._remove(entry, admitted=True)

    def discard(self, entry: Waiting[T]) -> None:
        """`entry` gave up, if it still waits."""
        if entry.is_waiting:
            self._remove(entry, admitted=False)

    def _remove(self, entry: Waiting[T], *, admitted: bool) -> None:
        entry.is_waiting = False
        self._class_of(entry.ticket).remove(entry, admitted=admitted)
        run_id = entry.ticket.run_id
        self._runs[run_id] -= 1
        if not self._runs[run_id]:
            del self._runs[run_id]
        if not len(self):
            self._by_age.clear()

    def oldest(self) -> Waiting[T] | None:
        """Who has waited longest; None when nobody waits."""
        return self._oldest() if len(self) else None

    def _oldest(self) -> Waiting[T]:
        while not self._by_age[0][2].is_waiting:
            heapq.heappop(self._by_age)
        return self._by_age[0][2]

    def _class_of(self, ticket: Ticket) -> _Class[T]:
        return self._classes[0 if ticket.interactive else 1]
