"""The gate: limits are never passed, order is kept, slots come back whatever happens.

Time is a loop's whose clock jumps to the next timer, so minutes pass at once.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.admission import Gate, GateRegistry


class _NoWaiting(selectors.SelectSelector):
    """Where a loop would wait for its next timer, time jumps there."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the loop waits for something that no timer will bring")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._time = _NoWaiting()
        super().__init__(self._time)

    def time(self) -> float:
        return self._time.now_s


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


jobs = st.lists(
    st.tuples(
        st.floats(0, 5),  # comes at
        st.floats(0, 3),  # works for
        st.none() | st.floats(0, 6),  # is cancelled after
        st.integers(0, 2),  # priority
    ),
    max_size=15,
)


@given(jobs=jobs, limit=st.integers(1, 4), rate=st.none() | st.integers(20, 600))
def test_limits_are_never_passed_and_every_slot_comes_back(
    jobs: list[tuple[float, float, float | None, int]], limit: int, rate: int | None
) -> None:
    starts: list[float] = []
    most = 0

    async def main() -> None:
        gate = Gate(limit, rate)

        async def work(comes_s: float, works_s: float, priority: int) -> None:
            nonlocal most
            await asyncio.sleep(comes_s)
            async with gate.admit((priority,)):
                starts.append(now())
                most = max(most, gate.snapshot().in_flight)
                await asyncio.sleep(works_s)

        async def job(comes_s: float, works_s: float, gives_up_s: float | None, n: int) -> None:
            try:
                async with asyncio.timeout(gives_up_s):
                    await work(comes_s, works_s, n)
            except TimeoutError:
                pass  # cancelled at whatever await it was

        async with asyncio.TaskGroup() as group:
            for each in jobs:
                group.create_task(job(*each))
        after = gate.snapshot()
        assert (after.in_flight, after.waiting) == (0, 0)

    run(main())

    assert most <= limit
    if rate is not None:
        gaps = [b - a for a, b in pairwise(starts)]
        assert all(gap >= 60.0 / rate - 1e-6 for gap in gaps)


def test_a_lower_priority_goes_first_and_equals_go_in_turn() -> None:
    order: list[str] = []

    async def main() -> None:
        gate = Gate(1)

        async def work(name: str, priority: int) -> None:
            async with gate.admit((priority,)):
                order.append(name)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for name, priority in [("holder", 9), ("late", 2), ("a", 1), ("b", 1), ("urgent", 0)]:
                group.create_task(work(name, priority))
            await asyncio.sleep(0.5)
            assert (gate.snapshot().waiting, gate.wait_reason()) == (4, "in_flight")

    run(main())

    assert order == ["holder", "urgent", "a", "b", "late"]


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


def test_an_urgent_call_overtakes_those_that_wait_for_the_rate() -> None:
    order: list[str] = []

    async def main() -> None:
        gate = Gate(10, requests_per_minute=60)

        async def work(name: str, priority: int) -> None:
            async with gate.admit((priority,)):
                order.append(name)

        async with asyncio.TaskGroup() as group:
            for name in ("first", "second", "third"):
                group.create_task(work(name, 5))
            await asyncio.sleep(0.5)
            group.create_task(work("urgent", 0))

    run(main())

    assert order == ["first", "urgent", "second", "third"]


def test_a_cooling_gate_admits_nobody_and_says_so() -> None:
    async def main() -> None:
        gate = Gate(5)
        gate.cool(30.0)
        gate.cool(10.0)  # a shorter wish does not shorten it
        assert (gate.wait_reason(), gate.snapshot().cooling_s) == ("cooling", 30.0)

        async with gate.admit():
            assert now() == pytest.approx(30.0)
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


def test_an_endpoint_and_model_have_one_gate() -> None:
    gates = GateRegistry(2, requests_per_minute=10)

    same = gates.gate_for("http://h/v1/", "m")

    assert gates.gate_for("http://h/v1", "m") is same
    assert gates.gate_for("http://h/v1", "other") is not same
    assert (same.max_in_flight, same.requests_per_minute) == (2, 10)


def test_the_registry_shows_every_gate() -> None:
    async def main() -> None:
        gates = GateRegistry(2)
        async with gates.gate_for("http://h/v1", "m").admit():
            assert gates.snapshot()["http://h/v1", "m"].in_flight == 1

    run(main())


@pytest.mark.parametrize("limits", [(0, None), (1, 0)])
def test_limits_that_admit_nobody_are_refused(limits: tuple[int, int | None]) -> None:
    with pytest.raises(ValueError, match="must be at least 1" if limits[0] == 0 else "use None"):
        Gate(*limits)
