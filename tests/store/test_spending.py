"""The account of runs and days on real databases, shared by processes that spend at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import select

from pipeline.budgets import Amount, Limits, Spent
from pipeline.errors import BudgetExceeded, Superseded
from pipeline.llm.budget import Budget
from pipeline.llm.client import ModelCaller, make_client
from pipeline.models import AgentOutput, Checkpoint, RunSpec, Usage
from pipeline.prices import PriceTable
from pipeline.settings import Settings
from pipeline.store import RunStopped, Store, database_url
from pipeline.store.tables import holds, spending
from tests.fault_server import FaultServer
from tests.store.outside import OutsidePostgres
from tests.unit.llm.conftest import ASK, Log

LIMITS = Limits(run_tokens=1_000, day_tokens=1_500)
LIMITS_OF_A_CALL = Limits(day_tokens=100_000)
YESTERDAY = "2000-01-01"
RUNS = ("a", "b", *(f"run{number}" for number in range(40)))

on_postgresql = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


@pytest.fixture
async def store(store: Store) -> Store:
    """With runs that execute in their first epoch."""
    await asyncio.gather(*(begun(store, run_id) for run_id in RUNS))
    return store


async def begun(store: Store, run_id: str) -> None:
    await store.insert_run(run_id, "ann", RunSpec(topic="t"))
    await store.begin(run_id)


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[Store]:
    """Another process's store on the same database."""
    other = await Store.open(database_url(settings))
    yield other
    await other.aclose()


def today() -> str:
    return f"day:{datetime.now(UTC).date().isoformat()}"


async def accounts(store: Store) -> dict[str, tuple[int, int]]:
    """Tokens spent or reserved, and the part of them that is an estimate, by scope."""
    rows = await store._rows(select(spending))
    return {row.scope: (row.tokens, row.estimated_tokens) for row in rows}


async def spend(store: Store, number: int, tokens: int = 400) -> bool:
    try:
        await store.ledger(f"run{number}", 1).reserve(f"{number}", Amount(tokens), LIMITS)
    except BudgetExceeded as error:
        assert "Today's budget" in error.message
        return False
    return True


async def test_what_is_reserved_counts_until_it_is_settled(store: Store) -> None:
    ledger = store.ledger("a", 1)

    assert await ledger.reserve("1", Amount(900, 90), LIMITS) == Spent(
        Amount(900, 90), Amount(900, 90)
    )
    with pytest.raises(BudgetExceeded, match="The run's budget of 1,000 tokens"):
        await ledger.reserve("2", Amount(200), LIMITS)
    spent = await ledger.settle("1", Amount(300, 30), estimated=False)
    again = await ledger.settle("1", Amount(300, 30), estimated=False)

    assert spent == again == Spent(Amount(300, 30), Amount(300, 30))
    assert (await accounts(store))["run:a"] == (300, 0)


async def test_a_reservation_made_twice_counts_once(store: Store) -> None:
    ledger = store.ledger("a", 1)

    once = await ledger.reserve("1", Amount(900), LIMITS)
    twice = await ledger.reserve("1", Amount(900), LIMITS)  # more than the rest by now

    assert once == twice == Spent(Amount(900), Amount(900))
    assert len(await store._rows(select(holds))) == 1


async def test_sums_beyond_32_bits_are_kept(store: Store) -> None:
    much = Amount(3_000_000_000, 5_000_000_000)

    await store.ledger("a", 1).reserve("1", much, Limits(day_tokens=10**12))
    spent = await store.ledger("b", 1).reserve("2", much, Limits(day_tokens=10**12))

    assert spent == Spent(much, much.plus(much))


async def test_processes_side_by_side_share_the_day(store: Store, other: Store) -> None:
    stores = (store, other)

    granted = await asyncio.gather(*(spend(stores[n % 2], n) for n in range(40)))

    assert sum(granted) == 3
    assert (await accounts(store))[today()] == (1_200, 0)


async def test_processes_that_spend_and_settle_at_once_lose_nothing(
    store: Store, other: Store
) -> None:
    peak = 0

    async def work(number: int) -> int:
        nonlocal peak
        ledger, used = (store, other)[number % 2].ledger(f"run{number % 6}", 1), 0
        for turn in range(5):
            try:
                spent = await ledger.reserve(f"{number}-{turn}", Amount(400), LIMITS)
            except BudgetExceeded:
                continue
            peak = max(peak, spent.day.tokens)
            await ledger.settle(f"{number}-{turn}", Amount(number + 1), estimated=False)
            used += number + 1
        return used

    used = await asyncio.gather(*(work(number) for number in range(12)))

    found = await accounts(store)
    assert found.pop(today()) == (sum(used), 0)
    assert sum(tokens for tokens, _ in found.values()) == sum(used) > 0
    assert peak <= 1_500
    assert await store._rows(select(holds)) == []


async def test_what_a_crash_left_reserved_stays_counted_as_an_estimate(
    store: Store, other: Store
) -> None:
    await store.ledger("a", 1).reserve("1", Amount(700), LIMITS)  # never settled

    with pytest.raises(BudgetExceeded):
        await other.ledger("a", 1).reserve("2", Amount(400), LIMITS)
    await other.begin("a")
    both = await asyncio.gather(other.ledger("a", 2).adopt(), store.ledger("a", 2).adopt())
    late = await store.ledger("a", 1).settle("1", Amount(5), estimated=False)

    assert [*both, late] == [Spent(Amount(700), Amount(700))] * 3
    assert await accounts(store) == {"run:a": (700, 700), today(): (700, 700)}
    assert await store._rows(select(holds)) == []


async def test_a_reservation_repeated_after_another_worker_adopted_it_is_not_counted_again(
    store: Store, other: Store
) -> None:
    await store.ledger("a", 1).reserve("1", Amount(600), LIMITS)  # its answer got lost

    await other.begin("a")
    await other.ledger("a", 2).adopt()
    with pytest.raises(Superseded, match="executed elsewhere"):
        await store.ledger("a", 1).reserve("1", Amount(600), LIMITS)
    with pytest.raises(Superseded):
        await store.ledger("a", 1).adopt()  # not what the new epoch holds

    assert await accounts(store) == {"run:a": (600, 600), today(): (600, 600)}
    assert await store._rows(select(holds)) == []
    assert (await other.ledger("a", 2).reserve("2", Amount(400), LIMITS)).run == Amount(1_000)


async def test_a_run_that_was_cancelled_reserves_nothing(store: Store) -> None:
    await store.cancel("a", "ann")

    with pytest.raises(RunStopped, match="cancelled"):
        await store.ledger("a", 1).reserve("1", Amount(600), LIMITS)

    assert (await accounts(store))[today()] == (0, 0)


async def test_a_deleted_run_leaves_no_account_and_its_day_keeps_the_sum(
    store: Store, other: Store
) -> None:
    for run_id in ("run-12345", "run-67890"):
        await begun(store, run_id)
    ledger, kept = store.ledger("run-12345", 1), store.ledger("run-67890", 1)
    await ledger.reserve("1", Amount(300), LIMITS)
    await ledger.settle("1", Amount(200), estimated=False)
    await ledger.reserve("2", Amount(500), LIMITS)  # in flight while it is deleted
    await kept.reserve("3", Amount(100), LIMITS)

    assert not await other.delete_run("run-12345", "bob")
    assert await other.delete_run("run-12345", "ann")
    late = await ledger.settle("2", Amount(50), estimated=False)

    assert late == Spent(Amount(0), Amount(800))
    assert await accounts(store) == {"run:run-67890": (100, 0), today(): (800, 500)}
    assert [row.id for row in await store._rows(select(holds))] == ["3"]


@asynccontextmanager
async def holding(settings: Settings, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """Another process in the midst of a transaction that has done `statement`; then it commits."""
    connection = await OutsidePostgres(database_url(settings)).connect()
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield connection
    finally:
        await connection.close()


async def waiting(connection: asyncpg.Connection, count: int) -> None:
    """Return when that many transactions wait for somebody's lock."""
    query = (
        "SELECT 1 FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(4):
        while len(await connection.fetch(query)) < count:
            await connection.execute("SELECT pg_stat_clear_snapshot()")


@on_postgresql
async def test_of_processes_that_open_the_day_at_once_none_fails_and_none_spends_more(
    settings: Settings, store: Store, other: Store
) -> None:
    opened = f"INSERT INTO spending VALUES ('{today()}', 700, 0, 0, 0)"
    async with holding(settings, opened) as first:
        both = asyncio.gather(spend(store, 1), spend(other, 2))
        await waiting(first, 2)

    assert sorted(await both) == [True, True]
    assert not await spend(store, 3)
    assert (await accounts(store))[today()] == (1_500, 0)


Ask = Callable[[Store], Awaitable[object]]
CALLS: dict[str, Ask] = {
    "reserve": lambda store: store.ledger("a", 1).reserve("2", Amount(100), LIMITS),
    "settle": lambda store: store.ledger("a", 1).settle("1", Amount(100), estimated=False),
    "settle yesterday's": lambda s: s.ledger("a", 1).settle("0", Amount(1), estimated=False),
    "adopt": lambda store: store.ledger("a", 1).adopt(),
    "delete": lambda store: store.delete_run("a", "ann"),
}


@on_postgresql
@pytest.mark.parametrize("call", CALLS)
async def test_whoever_waits_for_the_day_holds_no_other_account(
    settings: Settings, store: Store, call: str
) -> None:
    await store.ledger("a", 1).reserve("1", Amount(700), LIMITS)
    outside = OutsidePostgres(database_url(settings))
    await outside.ask(f"INSERT INTO spending VALUES ('day:{YESTERDAY}', 300, 0, 0, 0)")
    await outside.ask(f"INSERT INTO holds VALUES ('0', 'a', '{YESTERDAY}', 300, 0)")
    lock = f"SELECT 1 FROM spending WHERE scope = '{today()}' FOR UPDATE"

    async with holding(settings, lock) as first:
        asked = asyncio.ensure_future(CALLS[call](store))
        await waiting(first, 1)
        free = await first.fetch("SELECT 1 FROM spending FOR UPDATE NOWAIT")
        free += await first.fetch("SELECT 1 FROM holds FOR UPDATE NOWAIT")
        assert not asked.done()

    assert len(free) == 5  # three accounts, two holds
    await asked


@on_postgresql
async def test_what_is_taken_back_waits_for_a_reservation_still_under_way(
    settings: Settings, store: Store
) -> None:
    ledger = store.ledger("a", 1)
    await ledger.reserve("1", Amount(100), LIMITS)
    reserved = "UPDATE spending SET tokens = tokens + 500"  # its connection broke at the commit

    async with holding(settings, reserved) as first:
        await first.execute(f"INSERT INTO holds VALUES ('2', 'a', '{today()[4:]}', 500, 0)")
        taken_back = asyncio.ensure_future(ledger.settle("2", Amount(), estimated=False))
        await waiting(first, 1)

    assert (await taken_back).run == Amount(100)
    assert [row.id for row in await store._rows(select(holds))] == ["1"]


@on_postgresql
async def test_the_day_is_locked_after_all_else_that_a_process_stores_with_it(
    settings: Settings, store: Store
) -> None:
    await store.ledger("a", 1).reserve("1", Amount(100), LIMITS)
    output = Checkpoint("writer", "key", 1, AgentOutput("text"), Usage(1, 2))

    async with holding(settings, "SELECT 1 FROM runs WHERE id = 'a' FOR UPDATE") as first:
        both = asyncio.gather(
            store.ledger("a", 1).reserve("2", Amount(100), LIMITS),
            store.writer.commit("a", 1, output),
        )
        await waiting(first, 1)
        assert len(await first.fetch("SELECT 1 FROM spending FOR UPDATE NOWAIT")) == 2

    spent, _ = await both
    assert spent.day == Amount(200)
    assert list(await store.checkpoints("a", "ann")) == ["writer"]


@on_postgresql
async def test_a_call_cancelled_while_its_reservation_is_stored_costs_nothing(
    settings: Settings, store: Store
) -> None:
    budget = Budget(store.ledger("a", 1), LIMITS_OF_A_CALL, PriceTable("2026-11-26", "a test", {}))
    await store.ledger("b", 1).reserve("1", Amount(100), LIMITS)
    lock = f"SELECT 1 FROM spending WHERE scope = '{today()}' FOR UPDATE"

    async with FaultServer() as server, make_client(server.endpoint) as client:
        caller = ModelCaller(client)
        async with holding(settings, lock) as first:
            calling = asyncio.create_task(caller.call(ASK, Log(), budget=budget))
            await waiting(first, 1)
            calling.cancel()
            await asyncio.wait({calling})
        await caller.aclose()

    assert calling.cancelled()
    assert not server.requests
    assert await accounts(store) == {"run:a": (0, 0), "run:b": (100, 0), today(): (100, 0)}
    assert [row.id for row in await store._rows(select(holds))] == ["1"]
