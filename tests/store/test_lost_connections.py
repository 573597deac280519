"""A server that restarts, crashes or is cut off under a working store loses nothing it has promised."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from pipeline.budgets import Amount, Limits
from pipeline.errors import BudgetExceeded, StoreUnreachable, Superseded
from pipeline.events import AgentStarted
from pipeline.models import AgentOutput, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import Settings
from pipeline.store import Store, database_url, postgresql, writer
from tests.cutting_proxy import Cut, CuttingProxy
from tests.postgres import PostgresServer

SPEC = RunSpec(topic="Tidal power")


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    return postgres.migrated_database()


@pytest.fixture
async def store(address: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url(Settings(database_url=address)))
    yield store
    await store.aclose()


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(postgres.port).serving() as proxy:
        yield proxy


@pytest.fixture
async def cut_store(
    postgres: PostgresServer,
    address: str,
    proxy: CuttingProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Store]:
    """A store that reaches its database through the proxy, and is quick to give it up."""
    monkeypatch.setattr(postgresql, "STATEMENT_TIMEOUT_S", 2.0)
    name = database_url(Settings(database_url=address)).database
    assert name is not None
    url = database_url(Settings(database_url=postgres.tcp_url(name))).set(port=proxy.port)
    store = await Store.open(url)
    yield store
    await store.aclose()


def checkpoint(agent: str = "writer") -> Checkpoint:
    return Checkpoint(agent, "key", 1, AgentOutput("text"), Usage(1, 2))


async def begun(store: Store, run_id: str = "r1") -> None:
    await store.insert_run(run_id, "ann", SPEC)
    record = await store.begin(run_id)
    assert record is not None and record.epoch == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "crash"])
async def test_a_restart_under_twenty_runs_costs_none_of_them_anything(
    store: Store, postgres: PostgresServer, how: signal.Signals
) -> None:
    run_ids = [f"r{n}" for n in range(20)]
    await asyncio.gather(*(begun(store, run_id) for run_id in run_ids))
    done = 0

    async def work(run_id: str) -> None:
        nonlocal done
        for number in range(30):
            store.writer.add_fact(
                run_id, AgentStarted(epoch=1, seq=number + 1, at_s=0.0, agent=f"a{number}")
            )
            await store.writer.commit(run_id, 1, checkpoint(f"a{number}"))
            assert await store.get_run(run_id, "ann") is not None
            done += 1
        await store.finish(run_id, 1, RunStatus.DONE)

    working = asyncio.gather(*(work(run_id) for run_id in run_ids))
    while done < 40:  # noqa: ASYNC110 - a plain count
        await asyncio.sleep(0)
    await asyncio.to_thread(postgres.stop, how)
    await asyncio.to_thread(postgres.start)
    assert done < 600  # it was in the midst of it
    await working

    for run_id in run_ids:
        record = await store.get_run(run_id, "ann")
        assert record is not None
        assert (record.status, record.epoch) == (RunStatus.DONE, 1)
        assert len(await store.checkpoints(run_id, "ann")) == 30
        assert [e.seq for e in await store.events(run_id, "ann")] == list(range(1, 31))


async def test_while_the_server_is_away_people_are_told_and_what_is_paid_for_waits(
    store: Store, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHANGE_PATIENCE_S", 0.0)
    monkeypatch.setattr(postgresql, "READ_PATIENCE_S", 0.0)
    await begun(store)
    await asyncio.to_thread(postgres.stop)
    try:
        paid = asyncio.create_task(store.writer.commit("r1", 1, checkpoint()))
        with pytest.raises(StoreUnreachable, match="cannot be reached") as caught:
            await store.insert_run("r2", "ann", SPEC)
        assert "server runs" in caught.value.hint
        with pytest.raises(StoreUnreachable, match="cannot be reached"):
            await store.get_run("r1", "ann")
        assert not paid.done()
    finally:
        await asyncio.to_thread(postgres.start)

    await paid
    assert list(await store.checkpoints("r1", "ann")) == ["writer"]
    assert await store.get_run("r2", "ann") is None  # it was told that nothing happened


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_commit_without_an_answer_is_repeated_where_that_is_the_same(
    cut_store: Store, proxy: CuttingProxy, cut: Cut
) -> None:
    proxy.cut = cut
    await cut_store.insert_run("r1", "ann", SPEC)
    proxy.cut = cut
    record = await cut_store.begin("r1")
    assert record is not None
    epoch = record.epoch
    proxy.cut = cut
    cut_store.writer.add_fact("r1", AgentStarted(epoch=epoch, seq=1, at_s=0.0, agent="writer"))
    await cut_store.writer.commit("r1", epoch, checkpoint())
    proxy.cut = cut
    await cut_store.finish("r1", epoch, RunStatus.DONE, makespan_s=1.5)

    assert proxy.cuts == 4
    record = await cut_store.get_run("r1", "ann")
    assert record is not None
    assert (record.status, record.makespan_s) == (RunStatus.DONE, 1.5)
    assert await cut_store.count("ann") == 1
    assert len(await cut_store.events("r1", "ann")) == 1
    assert list(await cut_store.checkpoints("r1", "ann")) == ["writer"]


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_budget_asked_without_an_answer_counts_once(
    cut_store: Store, proxy: CuttingProxy, cut: Cut
) -> None:
    await begun(cut_store)
    ledger, limits = cut_store.ledger("r1", 1), Limits(day_tokens=1_000)
    proxy.cut = cut
    reserved = await ledger.reserve("1", Amount(600), limits)
    proxy.cut = cut
    settled = await ledger.settle("1", Amount(200), estimated=False)
    await ledger.reserve("2", Amount(700), limits)
    proxy.cut = cut
    adopted = await ledger.adopt()

    assert proxy.cuts == 3
    assert [reserved.day, settled.day, adopted.day] == [Amount(600), Amount(200), Amount(900)]
    with pytest.raises(BudgetExceeded):
        await ledger.reserve("3", Amount(101), limits)
    assert (await ledger.reserve("4", Amount(100), limits)).day == Amount(1_000)


@pytest.mark.parametrize(("cut", "counted"), [("before", 0), ("after", 600)])
async def test_a_reservation_without_an_answer_is_not_repeated_once_another_worker_has_the_run(
    store: Store, cut_store: Store, proxy: CuttingProxy, cut: Cut, counted: int
) -> None:
    await begun(cut_store)
    proxy.cut = cut
    reserving = asyncio.create_task(
        cut_store.ledger("r1", 1).reserve("1", Amount(600), Limits(day_tokens=1_000))
    )
    while not proxy.cuts:  # noqa: ASYNC110 - a plain count
        await asyncio.sleep(0)
    proxy.is_closed = True
    record = await store.begin("r1")
    assert record is not None and record.epoch == 2
    adopted = await store.ledger("r1", 2).adopt()
    proxy.is_closed = False

    with pytest.raises(Superseded):
        await reserving
    assert adopted.day.tokens == counted
    assert (await store.ledger("r1", 2).adopt()).day.tokens == counted


@pytest.mark.parametrize(("cut", "happened"), [("before", False), ("after", True)])
async def test_a_commit_without_an_answer_is_said_where_twice_would_be_something_else(
    cut_store: Store, proxy: CuttingProxy, cut: Cut, happened: bool
) -> None:
    await begun(cut_store)
    proxy.cut = cut

    with pytest.raises(StoreUnreachable, match="while this was being stored") as caught:
        await cut_store.cancel("r1", "ann")

    assert caught.value.in_doubt
    record = await cut_store.get_run("r1", "ann")
    assert record is not None
    assert (record.status is RunStatus.CANCELLED) is happened


async def test_of_two_that_lock_each_other_out_the_store_tries_again(
    store: Store, postgres: PostgresServer
) -> None:
    await asyncio.gather(begun(store, "r1"), begun(store, "r2"))
    other = await postgres.connect(store._database.url.database or "")
    await other.execute("SET deadlock_timeout = '1min'")  # so that the store is who gives way
    async with other.transaction():
        await other.execute("UPDATE runs SET priority = 7 WHERE id = 'r2'")
        cancelled = asyncio.gather(store.cancel("r1", "ann"), store.cancel("r2", "ann"))
        while not await other.fetch(  # noqa: ASYNC110 - the server tells nobody
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0)
        await other.execute("UPDATE runs SET priority = 7 WHERE id = 'r1'")
    await other.close()

    assert await cancelled == [True, True]


@pytest.mark.slow
async def test_a_server_that_falls_silent_is_taken_for_dead_and_closing_does_not_hang(
    cut_store: Store, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "READ_PATIENCE_S", 0.0)
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT_S", 0.3)
    await begun(cut_store)
    proxy.is_silent = True

    async with asyncio.timeout(60):
        with pytest.raises(StoreUnreachable, match="cannot be reached"):
            await cut_store.get_run("r1", "ann")


async def test_a_store_closes_while_its_server_is_away(
    address: str, postgres: PostgresServer
) -> None:
    store = await Store.open(database_url(Settings(database_url=address)))
    await begun(store)
    await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
    try:
        async with asyncio.timeout(20):
            await store.aclose()
    finally:
        await asyncio.to_thread(postgres.start)
