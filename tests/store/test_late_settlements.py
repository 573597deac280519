"""What a call used is counted in the end, whatever the database does meanwhile; real outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from sqlalchemy import select

from pipeline.budgets import Amount, Limits, Spent
from pipeline.errors import BudgetExceeded, StoreBusy, StoreError, StoreUnreachable
from pipeline.models import RunSpec
from pipeline.settings import Settings
from pipeline.store import Store, database_url, late_settlements, sqlite, writer
from pipeline.store.tables import holds, spending
from tests.store.outside import OutsideSqlite

pytestmark = pytest.mark.slow  # each waits out an outage

LIMITS = Limits(run_tokens=1_000)
Outage = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def outage(settings: Settings, request: pytest.FixtureRequest) -> Outage:
    """SQLite: another program has the file locked. PostgreSQL: its server is down."""
    if settings.database_url is None:
        return OutsideSqlite(database_url(settings)).locked
    server = request.getfixturevalue("postgres")

    @asynccontextmanager
    async def stopped() -> AsyncIterator[None]:
        await asyncio.to_thread(server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(server.start)

    return stopped


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores give up soon, and try a late settlement again only when something else makes them."""
    monkeypatch.setattr(writer, "CHANGE_PATIENCE_S", 0.0)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(late_settlements, "RETRY_AFTER_S", 60.0)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = await opened(settings)
    yield store
    await store.aclose()


async def opened(settings: Settings) -> Store:
    """A store whose run `a` executes."""
    store = await Store.open(database_url(settings))
    await store.insert_run("a", "ann", RunSpec(topic="t"))
    await store.begin("a")
    return store


async def settle_in_vain(store: Store, hold_id: str, used: int) -> None:
    with pytest.raises((StoreBusy, StoreUnreachable)):
        await store.ledger("a", 1).settle(hold_id, Amount(used), estimated=False)


async def account(store: Store) -> tuple[int, int, list[str]]:
    """Tokens of the run, the part that is an estimate, and what is held."""
    held = await store._rows(select(holds).order_by(holds.c.id))
    (row,) = await store._rows(select(spending).where(spending.c.scope == "run:a"))
    return row.tokens, row.estimated_tokens, [one.id for one in held]


async def test_it_is_counted_before_the_run_reserves_again(store: Store, outage: Outage) -> None:
    ledger = store.ledger("a", 1)
    await ledger.reserve("1", Amount(900), LIMITS)

    async with outage():
        await settle_in_vain(store, "1", 100)
    spent = await ledger.reserve("2", Amount(850), LIMITS)  # no room beside what was reserved

    assert spent == Spent(Amount(950), Amount(950))
    assert await account(store) == (950, 0, ["2"])
    await ledger.settle("1", Amount(100), estimated=False)  # once more changes nothing
    assert await account(store) == (950, 0, ["2"])


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_it_is_counted_before_a_reservation_that_waited_through_the_outage(
    store: Store, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHANGE_PATIENCE_S", 60.0)
    ledger = store.ledger("a", 1)
    await ledger.reserve("1", Amount(900), LIMITS)

    async with outage():
        reserving = asyncio.create_task(ledger.reserve("2", Amount(850), LIMITS))
        settling = asyncio.create_task(ledger.settle("1", Amount(100), estimated=False))
        await asyncio.sleep(0)
        settling.cancel()  # it gives up first
        await asyncio.wait({settling})
        assert not reserving.done()

    assert (await reserving).run == Amount(950)


async def test_it_is_counted_when_the_next_call_is_refused(store: Store, outage: Outage) -> None:
    ledger = store.ledger("a", 1)
    await ledger.reserve("1", Amount(900), LIMITS)

    async with outage():
        await settle_in_vain(store, "1", 700)
    with pytest.raises(BudgetExceeded, match="700 are spent"):
        await ledger.reserve("2", Amount(850), LIMITS)

    assert await account(store) == (700, 0, [])


async def test_it_is_counted_when_the_database_answers_again_though_nobody_asks(
    store: Store, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_settlements, "RETRY_AFTER_S", 0.02)
    await store.ledger("a", 1).reserve("1", Amount(900), LIMITS)

    async with outage():
        await settle_in_vain(store, "1", 100)
    async with asyncio.timeout(30):
        while (found := await account(store))[2]:
            pass

    assert found == (100, 0, [])


async def test_the_next_epoch_takes_it_for_what_it_was_not_for_an_estimate(
    store: Store, outage: Outage
) -> None:
    await store.ledger("a", 1).reserve("1", Amount(500), LIMITS)
    await store.ledger("a", 1).reserve("2", Amount(300), LIMITS)

    async with outage():
        await settle_in_vain(store, "1", 100)
    await store.begin("a")
    await store.ledger("a", 2).adopt()  # nobody knows of the second

    assert await account(store) == (400, 300, [])


async def test_it_is_counted_when_the_store_closes(settings: Settings, outage: Outage) -> None:
    store = await opened(settings)
    await store.ledger("a", 1).reserve("1", Amount(900), LIMITS)
    async with outage():
        await settle_in_vain(store, "1", 100)

    await store.aclose()

    again = await Store.open(database_url(settings))
    assert await account(again) == (100, 0, [])
    await again.aclose()


async def test_what_cannot_be_counted_at_the_end_is_said_and_stays_reserved(
    settings: Settings, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(settings)
    await store.ledger("a", 1).reserve("1", Amount(900), LIMITS)

    async with outage():
        await settle_in_vain(store, "1", 100)
        await store.aclose()
        with pytest.raises(StoreError, match="closed"):
            await store.ledger("a", 1).settle("1", Amount(100), estimated=False)

    lost = [r for r in caplog.records if "never stored: 100 tokens" in r.getMessage()]
    assert len(lost) == 2  # once while it closed, once after
    again = await Store.open(database_url(settings))
    assert await account(again) == (900, 0, ["1"])
    await again.aclose()
