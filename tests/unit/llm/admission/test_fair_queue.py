"""Who is next: the rule, in order, and that nobody waits for ever."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.admission.fair_queue import AGED_EVERY, AGED_S, REBUILT_ABOVE, FairQueue
from pipeline.llm.admission.ticket import Ticket

Queue = FairQueue[str]


def filled(*calls: tuple[str, Ticket], since_s: float = 0.0) -> Queue:
    queue = Queue()
    for name, ticket in calls:
        queue.push(name, ticket, since_s)
    return queue


def drain(queue: Queue, *, now: float = 1.0, crowded: bool = True) -> list[str]:
    order = []
    while (entry := queue.first(now, crowded)) is not None:
        queue.take(entry, now)
        order.append(entry.item)
    return order


def ticket(run: int, path_s: float = 0.0, owner: str = "", interactive: bool = True) -> Ticket:
    return Ticket(f"run {run}", "agent", owner, interactive, float(run), path_s)


def test_the_oldest_run_goes_first_and_in_a_run_the_longest_path() -> None:
    queue = filled(
        ("new", ticket(2, 90)), ("old, short", ticket(1, 5)), ("old, long", ticket(1, 50))
    )

    assert queue.in_order()[0].item == "old, long"
    assert drain(queue) == ["old, long", "old, short", "new"]


def test_with_fewer_runs_than_slots_the_longest_path_goes_first() -> None:
    queue = filled(("new", ticket(2, 90)), ("old", ticket(1, 5)))

    assert [entry.item for entry in queue.in_order(crowded=False)] == ["new", "old"]
    assert drain(queue, crowded=False) == ["new", "old"]


def test_a_batch_waits_for_everybody_who_is_there() -> None:
    queue = filled(("batch", ticket(0, interactive=False)), ("a", ticket(1)), ("b", ticket(2)))

    assert drain(queue) == ["a", "b", "batch"]


def test_equals_go_in_the_order_they_came() -> None:
    queue = filled(*((str(n), Ticket()) for n in range(10)))

    assert drain(queue) == [str(n) for n in range(10)]


def test_one_owner_with_a_hundred_runs_does_not_hold_up_anothers_only_run() -> None:
    queue = Queue()
    for run in range(100):
        for step in range(2):
            queue.push(f"many {run}.{step}", ticket(run, owner="many"), 0.0)
    for _ in range(20):  # the first owner is well under way
        entry = queue.first(1.0)
        assert entry is not None
        queue.take(entry, 1.0)
    for step in range(5):
        queue.push(f"one {step}", ticket(1_000, owner="one"), 1.0)

    order = drain(queue)

    assert [order.index(f"one {step}") for step in range(5)] == [0, 2, 4, 6, 8]


def test_who_was_away_has_saved_up_nothing() -> None:
    queue = filled(("a", ticket(1, owner="a")), ("a2", ticket(1, owner="a")))
    for n in range(10):
        queue.push(f"b{n}", ticket(2, owner="b"), 0.0)
    assert drain(queue)[:4] == ["a", "b0", "a2", "b1"]

    for n in range(10):
        queue.push(f"b{n}", ticket(2, owner="b"), 0.0)
    for _ in range(5):
        entry = queue.first(1.0)
        assert entry is not None
        queue.take(entry, 1.0)
    for n in range(5):
        queue.push(f"a{n}", ticket(1, owner="a"), 0.0)
    assert drain(queue)[:4] in (["b5", "a0", "b6", "a1"], ["a0", "b5", "a1", "b6"])


def test_one_admission_in_eight_is_for_whoever_waited_a_minute() -> None:
    queue = filled(("starved", ticket(0, interactive=False)))
    order = []
    for n in range(20):
        queue.push(f"fresh {n}", ticket(n + 1), AGED_S)
        entry = queue.first(AGED_S + 1.0)
        assert entry is not None
        queue.take(entry, AGED_S + 1.0)
        order.append(entry.item)

    assert order.index("starved") == AGED_EVERY - 1


def test_giving_up_leaves_no_trace() -> None:
    queue = filled(("a", ticket(1)))
    entry = queue.push("b", ticket(0), 0.0)

    queue.discard(entry)
    queue.discard(entry)

    assert (len(queue), queue.runs, queue.counts) == (1, 1, (1, 0))
    assert drain(queue) == ["a"]
    assert (len(queue), queue.runs) == (0, 0)
    assert queue.first(0.0) is None


calls = st.lists(
    st.tuples(
        st.integers(0, 5),  # run
        st.floats(0, 100),  # path
        st.sampled_from("abc"),  # owner
        st.booleans(),  # interactive
        st.sampled_from(["push", "take", "discard"]),
    ),
    max_size=60,
)


@given(calls=calls, crowded=st.booleans())
def test_it_agrees_with_a_queue_that_looks_at_everybody(
    calls: list[tuple[int, float, str, bool, str]], crowded: bool
) -> None:
    """Without ageing, and the owners' turns kept by hand: the same order as a plain scan."""
    queue, waiting = Queue(), []
    admitted: dict[tuple[bool, str], float] = {}
    level: dict[bool, float] = {True: 0.0, False: 0.0}
    turn: dict[tuple[bool, str], int] = {}
    turns = 0

    def enter(lane: tuple[bool, str]) -> None:
        nonlocal turns
        turns += 1
        turn[lane] = turns

    def lane_of(entry: object) -> tuple[bool, str]:
        return (entry.ticket.interactive, entry.ticket.owner)  # type: ignore[attr-defined]

    def gone(interactive: bool) -> None:
        if not any(e.ticket.interactive == interactive for e in waiting):
            level[interactive] = 0.0
            for lane in [lane for lane in admitted if lane[0] == interactive]:
                del admitted[lane]

    for run, path_s, owner, interactive, action in calls:
        if action == "push" or not waiting:
            lane = (interactive, owner)
            if not any(lane_of(e) == lane for e in waiting):
                admitted[lane] = max(admitted.get(lane, 0.0), level[interactive])
                enter(lane)
            entry = queue.push("x", ticket(run, path_s, owner, interactive), 0.0)
            waiting.append(entry)
        elif action == "discard":
            entry = waiting.pop(run % len(waiting))
            queue.discard(entry)
            gone(entry.ticket.interactive)
        else:
            urgent = any(e.ticket.interactive for e in waiting)
            lane = min(
                {lane_of(e) for e in waiting if e.ticket.interactive == urgent},
                key=lambda each: (admitted[each], turn[each]),
            )

            def place(e: object) -> tuple[object, ...]:
                t = e.ticket  # type: ignore[attr-defined]
                run_, path = (t.run_started_s, t.run_id), (-t.remaining_s,)
                return (*(run_ + path if crowded else path + run_), e.serial)  # type: ignore[attr-defined]

            expected = min((e for e in waiting if lane_of(e) == lane), key=place)
            assert queue.in_order(crowded)[0] is expected
            assert queue.first(1.0, crowded) is expected
            queue.take(expected, 1.0)
            waiting.remove(expected)
            level[lane[0]] = max(level[lane[0]], admitted[lane])
            admitted[lane] += 1.0
            enter(lane)
            gone(lane[0])
        assert len(queue) == len(waiting)
        assert queue.runs == len({e.ticket.run_id for e in waiting})


@pytest.mark.slow
def test_nobody_waits_for_ever() -> None:
    """A thousand random loads that never let up: the wait is bounded by the rule.

    A call that has waited a minute is overtaken by no more than `AGED_EVERY` for each call that
    is older than it.
    """
    for seed in range(1_000):
        _wait_out_a_load(random.Random(seed))


def _wait_out_a_load(rng: random.Random) -> None:
    """One admission a second, one arrival or more, all ahead of those that are there."""
    queue = Queue()
    began = {}
    for n in range(rng.randrange(1, 30)):
        interactive = rng.random() < 0.5
        queue.push(f"first {n}", ticket(900 + n, 1, rng.choice("ab"), interactive), 0.0)
        began[f"first {n}"] = 0.0
    bound_s = AGED_S + AGED_EVERY * len(began)
    now, fresh = 0.0, 0
    while any(name.startswith("first") for name in began) and now <= bound_s + 1.0:
        for _ in range(1 + (rng.random() < 0.1)):  # older runs of all owners, with longer paths
            fresh += 1
            queue.push(f"fresh {fresh}", ticket(0, 100, rng.choice("ab")), now)
        entry = queue.first(now)
        assert entry is not None
        queue.take(entry, now)
        began.pop(entry.item, None)
        now += 1.0

    assert not began


def test_a_thousand_owners_who_left_are_forgotten() -> None:
    queue = Queue()
    keeper = ticket(1, owner="keeper")
    queue.push("keeper", keeper, 0.0)
    for n in range(5_000):
        queue.push("x", replace(keeper, owner=f"owner {n}"), 0.0)
        queue.push("keeper", keeper, 0.0)
        for _ in range(2):
            entry = queue.first(1.0)
            assert entry is not None
            queue.take(entry, 1.0)

    assert len(queue._classes[0]._lanes) <= 2_001


@pytest.mark.parametrize("crowded", [True, False])
@pytest.mark.parametrize("gives_up", [True, False])
def test_who_left_takes_no_room_while_others_always_wait(crowded: bool, gives_up: bool) -> None:
    """Somebody always waits who is last in the order that is not asked, and in that of age."""
    queue = Queue()
    for n in range(5):
        queue.push(f"stays {n}", ticket(n if not crowded else 9_000, 0.0), 0.0)
    for _ in range(5_000):
        queue.push("x", ticket(8_000, 100.0), 1.0)
        entry = queue.first(1.0, crowded)
        assert entry is not None
        if gives_up:
            queue.discard(entry)
        else:
            queue.take(entry, 1.0)

    (lane,) = queue._classes[0]._lanes.values()
    assert len(queue) == 5
    for order in (lane.by_run, lane.by_path, queue._by_age):
        assert len(order) <= 2 * (5 + 1) + REBUILT_ABOVE
