"""Two gates, as if in two processes, keep one limit together through a port."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from pipeline.errors import RateLimited
from pipeline.llm.admission import Gate, InMemoryLimits, Lease, SharedLimits, Ticket
from pipeline.models import ToldLimit
from tests.unit.llm.admission.jumping import now, run

KEY = ("http://h/v1", "m")


async def work_through(gate: Gate, calls: int, starts: list[float], tokens: float = 0.0) -> None:
    async def work() -> None:
        async with gate.admit(Ticket("r"), tokens):
            starts.append(now())
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(work())


@pytest.mark.parametrize("seed", range(5))
def test_two_processes_together_keep_to_the_limit_and_use_it(seed: int) -> None:
    starts: list[float] = []

    async def main() -> None:
        port = InMemoryLimits(requests_per_minute=120)
        gates = [Gate(8, key=KEY, shared=port) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            group.create_task(work_through(gates[0], 20 + seed, starts))
            group.create_task(work_through(gates[1], 20, starts))
        for gate in gates:
            await gate.aclose()
        assert len(asyncio.all_tasks()) == 1

    run(main())

    starts.sort()
    assert len(starts) == 40 + seed
    assert all(b - a >= 0.5 - 1e-6 for a, b in pairwise(starts))
    assert starts[-1] <= 0.5 * len(starts) + 1.0


def test_tokens_are_shared_and_what_was_not_used_goes_back() -> None:
    async def main() -> None:
        port = InMemoryLimits(tokens_per_minute=6_000)
        first, second = (Gate(4, key=KEY, shared=port) for _ in range(2))
        grant = await first.acquire(tokens=6_000)
        first.settle(grant, 1_000)
        first.release(grant)
        await asyncio.sleep(0)

        got = await second.acquire(tokens=5_000)

        assert now() == pytest.approx(0.0, abs=0.1)
        second.release(got)
        for gate in (first, second):
            await gate.aclose()

    run(main())


def test_a_refusal_of_one_process_cools_the_other() -> None:
    async def main() -> None:
        port = InMemoryLimits()
        first, second = (Gate(4, key=KEY, shared=port) for _ in range(2))
        grant = await first.acquire()
        first.refused(
            grant,
            RateLimited("x", retry_after_s=20.0, limits=(ToldLimit("requests", 60.0, 0.0),)),
        )
        first.release(grant)
        await asyncio.sleep(0.1)

        got = await second.acquire()

        assert now() >= 20.0
        second.release(got)
        for gate in (first, second):
            await gate.aclose()

    run(main())


class Broken:
    """A port whose database is gone."""

    def __init__(self) -> None:
        self.asked = 0

    async def reserve(self, key: tuple[str, str], requests: int, tokens: float) -> Lease:
        self.asked += 1
        raise ConnectionError("the database is gone")

    async def settle(self, key: tuple[str, str], requests: int, tokens: float) -> None:
        raise ConnectionError("the database is gone")

    async def cool(self, key: tuple[str, str], delay_s: float) -> None:
        raise ConnectionError("the database is gone")

    async def learned(self, key: tuple[str, str], told: tuple[ToldLimit, ...]) -> None:
        raise ConnectionError("the database is gone")


class Silent(Broken):
    """A port that never answers."""

    async def reserve(self, key: tuple[str, str], requests: int, tokens: float) -> Lease:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("kind", [Broken, Silent])
def test_without_its_port_a_gate_goes_on_by_its_own_limits(
    kind: type[Broken], caplog: pytest.LogCaptureFixture
) -> None:
    starts: list[float] = []

    async def main() -> None:
        port = kind()
        shared: SharedLimits = port
        gate = Gate(4, requests_per_minute=60, key=KEY, shared=shared)
        await work_through(gate, 20, starts)
        assert port.asked <= 5  # not for every call
        await gate.aclose()
        assert len(asyncio.all_tasks()) == 1

    with caplog.at_level(logging.WARNING):
        run(main())

    assert all(b - a >= 1.0 - 1e-6 for a, b in pairwise(starts))
    assert len(starts) == 20
    assert sum("own limits hold" in record.message for record in caplog.records) == 1


def test_nobody_is_asked_while_nobody_waits() -> None:
    async def main() -> None:
        port = Broken()
        gate = Gate(4, key=KEY, shared=port)
        assert gate.wait_reason() == "shared"
        gate.snapshot()
        await asyncio.sleep(1.0)
        assert port.asked == 0

    run(main())
