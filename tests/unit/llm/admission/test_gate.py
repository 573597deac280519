"""The gate: limits are never passed, order is kept, slots come back whatever happens.

Time is a loop's whose clock jumps to the next timer, so minutes pass at once.
"""

from __future__ import annotations

import asyncio
import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RateLimited
from pipeline.llm.admission import Gate, GateRegistry, Ticket
from pipeline.llm.admission.gate import RESTART_DOUBLES_S
from pipeline.models import ToldLimit
from tests.unit.llm.admission.jumping import now, run

jobs = st.lists(
    st.tuples(
        st.floats(0, 5),  # comes at
        st.floats(0, 3),  # works for
        st.none() | st.floats(0, 6),  # is cancelled after
        st.integers(0, 2),  # run
        st.sampled_from([0.0, 10.0, 400.0, 2_000.0]),  # tokens
    ),
    max_size=15,
)


@given(
    jobs=jobs,
    limit=st.integers(1, 4),
    rate=st.none() | st.integers(20, 600),
    tokens=st.none() | st.integers(200, 50_000),
)
def test_limits_are_never_passed_and_every_slot_comes_back(
    jobs: list[tuple[float, float, float | None, int, float]],
    limit: int,
    rate: int | None,
    tokens: int | None,
) -> None:
    starts: list[tuple[float, float]] = []
    most = 0

    async def main() -> None:
        gate = Gate(limit, rate, tokens)

        async def work(comes_s: float, works_s: float, run_: int, need: float) -> None:
            nonlocal most
            await asyncio.sleep(comes_s)
            ticket = Ticket(f"run {run_}", owner=f"owner {run_ % 2}", run_started_s=run_)
            async with gate.admit(ticket, need):
                starts.append((now(), need))
                most = max(most, gate.snapshot().in_flight)
                await asyncio.sleep(works_s)

        async def job(
            comes_s: float, works_s: float, gives_up_s: float | None, n: int, need: float
        ) -> None:
            try:
                async with asyncio.timeout(gives_up_s):
                    await work(comes_s, works_s, n, need)
            except TimeoutError:
                pass  # cancelled at whatever await it was

        async with asyncio.TaskGroup() as group:
            for each in jobs:
                group.create_task(job(*each))
        after = gate.snapshot()
        assert (after.in_flight, after.waiting) == (0, 0)
        assert gate._wake_up is None  # no timer is left behind

    run(main())

    assert most <= limit
    if rate is not None:
        gaps = [b - a for (a, _), (b, _) in pairwise(starts)]
        assert all(gap >= 60.0 / rate - 1e-6 for gap in gaps)
    if tokens is not None:  # in every window no more than the bucket holds and refills
        for i, (begin_s, _) in enumerate(starts):
            for j in range(i, len(starts)):
                used = sum(min(need, tokens) for _, need in starts[i : j + 1])
                seconds = starts[j][0] - begin_s
                assert used <= tokens + tokens * seconds / 60.0 + 1e-3


def test_an_older_run_goes_first_and_equals_go_in_turn() -> None:
    order: list[str] = []

    async def main() -> None:
        gate = Gate(1)

        async def work(name: str, started_s: float) -> None:
            async with gate.admit(Ticket(f"run {started_s}", run_started_s=started_s)):
                order.append(name)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for name, started_s in [("holder", 9), ("late", 2), ("a", 1), ("b", 1), ("first", 0)]:
                group.create_task(work(name, started_s))
            await asyncio.sleep(0.5)
            assert (gate.snapshot().waiting, gate.wait_reason()) == (4, "in_flight")

    run(main())

    assert order == ["holder", "first", "a", "b", "late"]


def test_starts_are_spread_evenly_over_the_minute() -> None:
    starts: list[float] = []

    async def main() -> None:
        gate = Gate(10, requests_per_minute=30)

        async def work() -> None:
            async with gate.admit():
                starts.append(now())

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work())

    run(main())

    assert starts == pytest.approx([0.0, 2.0, 4.0, 6.0, 8.0])


def test_somebody_who_waits_for_an_answer_overtakes_a_batch_that_waits_for_the_rate() -> None:
    order: list[str] = []

    async def main() -> None:
        gate = Gate(10, requests_per_minute=60)

        async def work(name: str, interactive: bool) -> None:
            async with gate.admit(Ticket(name, interactive=interactive)):
                order.append(name)

        async with asyncio.TaskGroup() as group:
            for name in ("first", "second", "third"):
                group.create_task(work(name, False))
            await asyncio.sleep(0.5)
            group.create_task(work("urgent", True))

    run(main())

    assert order == ["first", "urgent", "second", "third"]


def test_a_call_larger_than_the_token_limit_goes_when_the_bucket_is_full() -> None:
    async def main() -> None:
        gate = Gate(10, tokens_per_minute=600)
        async with gate.admit(tokens=300):
            pass

        async with asyncio.timeout(3_600), gate.admit(tokens=5_000):
            assert now() == pytest.approx(30.0)  # half of it had to come back

    run(main())


def test_tokens_that_were_not_used_go_back_and_let_the_next_call_go() -> None:
    async def main() -> None:
        gate = Gate(10, tokens_per_minute=600)

        async def first() -> None:
            async with gate.admit(tokens=600) as grant:
                await asyncio.sleep(1)
                gate.settle(grant, 100)
                gate.settle(grant, 100)  # told twice, counted once

        task = asyncio.create_task(first())
        await asyncio.sleep(0.5)
        assert gate.wait_reason(500) == "tokens"
        async with gate.admit(tokens=500):
            assert now() == pytest.approx(1.0)
        await task

    run(main())


@pytest.mark.parametrize("told", [1e9, -7.0, math.inf, -math.inf, math.nan])
def test_one_odd_figure_of_usage_holds_nobody_up(
    told: float, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        gate = Gate(10, tokens_per_minute=60_000)
        for _ in range(2):
            grant = await gate.acquire(tokens=100)
            gate.settle(grant, told)
            gate.release(grant)

        assert (gate.expected_s(100) or 0.0) < 60.0
        (limit,) = gate.snapshot().limits
        assert limit.available is not None and limit.available <= 60_000

    run(main())

    assert len(caplog.messages) == (0 if math.isnan(told) else 1)


def test_a_call_may_use_much_more_than_was_reserved() -> None:
    async def main() -> None:
        gate = Gate(10, tokens_per_minute=60_000)
        grant = await gate.acquire(tokens=100)
        gate.settle(grant, 15_000.0)
        assert gate.snapshot().limits[0].available == 45_000.0

    run(main())


def test_a_cooling_gate_admits_nobody_and_says_so() -> None:
    async def main() -> None:
        gate = Gate(5)
        gate.cool(30.0)
        gate.cool(10.0)  # a shorter wish does not shorten it
        assert (gate.wait_reason(), gate.snapshot().cooling_s) == ("cooling", 30.0)

        async with gate.admit():
            assert now() == pytest.approx(30.0)
        await asyncio.sleep(1)
        assert gate.wait_reason() == ""

    run(main())


def test_a_cooling_that_begins_while_calls_wait_for_the_rate_holds_them_too() -> None:
    async def main() -> None:
        gate = Gate(5, requests_per_minute=60)
        async with gate.admit():
            pass
        asyncio.get_running_loop().call_later(0.5, gate.cool, 20.0)

        async with gate.admit():
            assert now() == pytest.approx(20.5)

    run(main())


def test_after_a_cool_down_the_herd_comes_in_steps() -> None:
    starts: list[float] = []

    async def main() -> None:
        gate = Gate(100)
        gate.cool(10.0)

        async def work() -> None:
            async with gate.admit():
                starts.append(now())

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(work())

    run(main())

    for steps in range(5):
        by_then = [s for s in starts if s <= 10.0 + steps * RESTART_DOUBLES_S + 1e-9]
        assert len(by_then) == 2**steps


def test_a_refusal_holds_every_sibling_and_a_returning_call_keeps_its_age() -> None:
    order: list[str] = []

    async def main() -> None:
        gate = Gate(1)
        grant = await gate.acquire(Ticket("a", "old"))

        async def later(name: str, since_s: float) -> None:
            await asyncio.sleep(1)
            got = await gate.acquire(Ticket("b", name), since_s=since_s)
            order.append(name)
            assert now() >= 21.0
            gate.release(got)

        async with asyncio.TaskGroup() as group:
            group.create_task(later("new", 1.0))
            await asyncio.sleep(1)
            gate.refused(grant, RateLimited("slow down", retry_after_s=20.0))
            gate.release(grant)
            group.create_task(later("old", 0.0))
            await asyncio.sleep(1.5)
            assert [w.agent for w in gate.snapshot().waiters] == ["new", "old"]
            assert [w.waited_s for w in gate.snapshot().waiters] == [1.5, 2.5]
            assert {w.reason for w in gate.snapshot().waiters} == {"cooling"}

    run(main())

    assert order == ["new", "old"]  # age decides only when somebody has waited very long


def test_a_call_cancelled_in_the_moment_of_its_admission_gives_the_slot_back() -> None:
    async def main() -> None:
        gate = Gate(1)

        async def hold() -> None:
            async with gate.admit():
                await asyncio.sleep(1)

        holder = asyncio.create_task(hold())
        waiter = asyncio.create_task(hold())
        holder.add_done_callback(lambda _: waiter.cancel())  # the slot is already the waiter's
        await asyncio.wait({holder, waiter})
        assert waiter.cancelled()

        async with asyncio.timeout(10), gate.admit():
            assert gate.snapshot().in_flight == 1

    run(main())


@given(steps=st.integers(0, 40), count=st.integers(1, 6))
def test_cancelled_at_any_step_of_the_loop_the_slot_comes_back(steps: int, count: int) -> None:
    async def main() -> None:
        gate = Gate(2, requests_per_minute=600)

        async def work() -> None:
            async with gate.admit():
                await asyncio.sleep(0)
                await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(work()) for _ in range(count)]
        for _ in range(steps):
            await asyncio.sleep(0)
        tasks[steps % count].cancel()
        await asyncio.wait(tasks)
        assert (gate.snapshot().in_flight, gate.snapshot().waiting) == (0, 0)

    run(main())


def test_a_told_limit_holds_and_is_shown_with_its_source() -> None:
    async def main() -> None:
        gate = Gate(10)
        grant = await gate.acquire()
        gate.heard(grant, (ToldLimit("requests", 3.0, 0.0, 60.0),))
        gate.release(grant)

        async with gate.admit():
            assert now() == pytest.approx(60.0)
        (limit,) = gate.snapshot().limits
        assert (limit.unit, limit.per_minute, limit.source) == ("requests", 3.0, "header")

    run(main())


def limits_of(gate: Gate) -> list[tuple[float, str]]:
    return [(limit.per_minute, limit.source) for limit in gate.snapshot().limits]


def test_the_newest_telling_of_a_limit_holds_whoever_told_it() -> None:
    async def main() -> None:
        gate = Gate(10)
        grants = [await gate.acquire() for _ in range(4)]
        words = RateLimited("no", limits=(ToldLimit("requests", 3.0, 0.0, None, 60.0),))
        gate.refused(grants[0], words)
        assert limits_of(gate) == [(3.0, "429 body")]

        gate.heard(grants[1], (ToldLimit("requests", 500.0, 499.0, 0.12),))
        assert limits_of(gate) == [(500.0, "header")]
        gate.heard(grants[2], (ToldLimit("requests", 5_000.0, 4_000.0, None, 86_400.0),))
        assert [source for _, source in limits_of(gate)] == ["header", "header"]
        gate.refused(grants[3], words)
        assert (3.0, "429 body") in limits_of(gate) and len(limits_of(gate)) == 2

    run(main())


def test_a_limit_that_turns_out_to_count_in_hours_is_still_one_limit() -> None:
    async def main() -> None:
        gate = Gate(10)
        for told in (
            ToldLimit("requests", 600.0, 599.0),
            ToldLimit("requests", 600.0, 500.0, 600.0),
            ToldLimit("requests", 600.0, 499.0),
        ):
            gate.heard(await gate.acquire(), (told,))
        assert limits_of(gate) == [(10.0, "header")]

    run(main())


def test_a_told_limit_nobody_speaks_of_any_more_is_forgotten_and_a_set_one_is_not() -> None:
    async def main() -> None:
        gate = Gate(10, requests_per_minute=100)
        grant = await gate.acquire()
        gate.heard(grant, (ToldLimit("requests", 3.0, 2.0, None, 60.0),))
        await asyncio.sleep(290)
        gate.good(grant)
        assert len(limits_of(gate)) == 2
        await asyncio.sleep(11)
        gate.good(grant)
        assert limits_of(gate) == [(100.0, "configured")]

    run(main())


def test_a_limit_of_nothing_is_none() -> None:
    async def main() -> None:
        gate = Gate(10)
        first, second = await gate.acquire(), await gate.acquire()
        gate.heard(first, (ToldLimit("requests", 100.0, 99.0),))
        gate.heard(second, (ToldLimit("requests", 0.0, 0.0), ToldLimit("tokens", 0.0)))

        assert gate.try_acquire() is not None
        assert (gate.expected_s(), limits_of(gate)) == (0.0, [(100.0, "header")])

    run(main())


def test_what_is_on_its_way_is_not_counted_as_left() -> None:
    async def main() -> None:
        gate = Gate(10)
        first, second = await gate.acquire(), await gate.acquire()
        gate.heard(first, (ToldLimit("requests", 60.0, 1.0, 59.0),))

        assert gate.wait_reason() == "rate"  # the one left is the second's, who is not heard yet
        gate.heard(second, (ToldLimit("requests", 60.0, 1.0, 59.0),))
        assert gate.wait_reason() == ""

    run(main())


def test_a_daily_limit_that_is_used_up_ends_the_call_instead_of_holding_it() -> None:
    async def main() -> None:
        gate = Gate(10)
        grant = await gate.acquire()
        error = RateLimited("used up", limits=(ToldLimit("requests", 100.0, 0.0, None, 86_400.0),))
        gate.refused(grant, error)
        gate.release(grant)

        with pytest.raises(RateLimited, match="limit of 100 requests is used up"):
            await gate.acquire()
        assert gate.snapshot().waiting == 0

    run(main())


def test_a_call_cancelled_as_a_limit_is_found_used_up_stays_cancelled() -> None:
    async def main() -> None:
        gate = Gate(1)
        held = await gate.acquire()
        waiting = [asyncio.create_task(gate.acquire()) for _ in range(3)]
        await asyncio.sleep(1)
        used_up = (ToldLimit("requests", 100.0, 0.0, None, 86_400.0),)
        for task in waiting:
            task.cancel()
        gate.heard(held, used_up)
        gate.release(held)

        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
        assert (gate.snapshot().in_flight, gate.snapshot().waiting) == (0, 0)

    run(main())


def test_who_waits_learns_at_once_of_a_limit_that_rose() -> None:
    async def main() -> None:
        gate = Gate(4)
        first, second = await gate.acquire(), await gate.acquire()
        gate.heard(first, (ToldLimit("requests", 2.0, 0.0, 60.0),))
        waiting = asyncio.create_task(gate.acquire())
        await asyncio.sleep(1)
        gate.heard(second, (ToldLimit("requests", 1_000.0, 999.0, 0.06),))

        assert now() == (await waiting).at_s == pytest.approx(1.0)

    run(main())


def test_who_waits_learns_at_once_that_a_limit_is_used_up() -> None:
    async def main() -> None:
        gate = Gate(4)
        held = await gate.acquire()
        gate.cool(100.0)
        waiting = asyncio.create_task(gate.acquire())
        await asyncio.sleep(1)
        gate.heard(held, (ToldLimit("requests", 100.0, 0.0, None, 86_400.0),))
        with pytest.raises(RateLimited, match="used up"):
            await waiting
        assert now() == pytest.approx(1.0)  # though it cools, and later though no slot were free

    run(main())


def test_nobody_waits_longer_than_a_day() -> None:
    async def main() -> None:
        gate = Gate(1)
        held = await gate.acquire()
        waiting = asyncio.create_task(gate.acquire())
        await asyncio.sleep(86_400.0)
        gate.release(held)

        with pytest.raises(RateLimited, match="waited a day"):
            await waiting
        async with gate.admit():  # the next one is not held up by it
            assert gate.snapshot().waiting == 0

    run(main())


def test_signs_of_overload_shrink_the_window_and_good_replies_widen_it_again() -> None:
    async def main() -> None:
        gate = Gate(8)
        grants = [await gate.acquire() for _ in range(8)]
        gate.overloaded()
        gate.overloaded()  # the same moment: one sign
        assert gate.snapshot().window == 5
        for grant in grants:
            gate.release(grant)

        for _ in range(60):
            held = [await gate.acquire() for _ in range(gate.snapshot().window)]
            for grant in held:
                gate.good(grant)
                gate.release(grant)
        assert gate.snapshot().window == 8

    run(main())


def test_the_snapshot_becomes_json_and_hides_other_owners_calls() -> None:
    async def main() -> None:
        gates = GateRegistry(1)
        gate = gates.gate_for("http://h/v1", "m")
        held = await gate.acquire(Ticket("r0", "editor", "ann"))
        tasks = [
            asyncio.create_task(gate.acquire(Ticket(f"r{i}", "editor", owner)))
            for i, owner in enumerate(("ann", "bob"), 1)
        ]
        await asyncio.sleep(2)

        snapshot = gates.snapshot()["http://h/v1", "m"]

        assert (snapshot.in_flight, snapshot.waiting_interactive) == (1, 2)
        assert [w.run_id for w in snapshot.waiters] == ["r1", "r2"]
        seen = gates.snapshot("bob")["http://h/v1", "m"]
        assert [w.run_id for w in seen.waiters] == ["r2"]
        assert seen.waiting == 2
        assert gates.snapshot("eve") == {}
        assert json.loads(json.dumps(snapshot.to_dict()))["endpoint"] == "http://h/v1"
        gate.release(held)
        for task in tasks:
            gate.release(await task)

    run(main())


def test_an_owner_sees_their_own_calls_behind_however_many_others() -> None:
    async def main() -> None:
        gate = Gate(1)
        held = await gate.acquire(Ticket(owner="ann"))
        tickets = [*(Ticket(f"r{i}", owner="ann") for i in range(250))]
        tickets.append(Ticket("mine", owner="bob", interactive=False))
        tasks = [asyncio.create_task(gate.acquire(ticket)) for ticket in tickets]
        await asyncio.sleep(1)
        gate.release(held)
        await asyncio.sleep(1)

        assert [w.run_id for w in gate.snapshot("bob").waiters] == ["mine"]
        assert len(gate.snapshot("ann").waiters) == len(gate.snapshot().waiters) == 200
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(main())


def test_who_used_a_gate_is_remembered_for_the_last_thousand() -> None:
    async def main() -> None:
        gate = Gate(1)
        for n in range(1_001):
            async with gate.admit(Ticket(owner=f"owner {n}")):
                pass
        assert not gate.is_used_by("owner 0")
        assert gate.is_used_by("owner 1") and gate.is_used_by("owner 1000")

    run(main())


def test_an_endpoint_and_model_have_one_gate() -> None:
    gates = GateRegistry(2, requests_per_minute=10)

    same = gates.gate_for("http://h/v1/", "m")

    assert gates.gate_for("http://h/v1", "m") is same
    assert gates.gate_for("http://h/v1", "other") is not same
    assert (same.max_in_flight, same.requests_per_minute) == (2, 10)


@pytest.mark.parametrize("limits", [(0, None, None), (1, 0, None), (1, None, 0)])
def test_limits_that_admit_nobody_are_refused(limits: tuple[int, int | None, int | None]) -> None:
    with pytest.raises(ValueError, match="must be at least 1" if limits[0] == 0 else "use None"):
        Gate(*limits)


def test_a_gate_keeps_its_limit_on_the_other_loop_too() -> None:
    """uvloop's handles are not asyncio's: what is due at once is no timer there."""
    uvloop = pytest.importorskip("uvloop")
    starts: list[float] = []

    async def main() -> None:
        gate = Gate(8, requests_per_minute=60_000)

        async def work() -> None:
            async with gate.admit():
                starts.append(now())
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for _ in range(300):
                group.create_task(work())
        assert (gate.snapshot().in_flight, gate.snapshot().waiting) == (0, 0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

    assert len(starts) == 300
    assert starts[-1] - starts[0] >= 0.28
