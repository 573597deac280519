"""Group commits: order, fencing, and a database that fails for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import event as sqlalchemy_event

from pipeline.errors import StoreBusy, StoreError, Superseded
from pipeline.events import AgentStarted, RunStarted
from pipeline.models import AgentOutput, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import Settings
from pipeline.store import RunStopped, Store, database_url, postgresql, sqlite, writer
from tests.store.outside import Outside

SPEC = RunSpec(topic="Tidal power")


def checkpoint(agent: str = "writer") -> Checkpoint:
    return Checkpoint(agent, "key", 1, AgentOutput("text"), Usage(1, 2))


def fact(seq: int, epoch: int = 1) -> AgentStarted:
    return AgentStarted(epoch=epoch, seq=seq, at_s=float(seq), agent=f"a{seq}")


async def begun(store: Store, run_id: str = "r1") -> int:
    await store.insert_run(run_id, "ann", SPEC)
    record = await store.begin(run_id)
    assert record is not None
    return record.epoch


async def test_facts_are_stored_with_the_checkpoint_that_follows_them(store: Store) -> None:
    await begun(store)
    for seq in range(1, 4):
        store.writer.add_fact("r1", fact(seq))

    await store.writer.commit("r1", 1, checkpoint())

    assert [e.seq for e in await store.events("r1", "ann")] == [1, 2, 3]
    assert list(await store.checkpoints("r1", "ann")) == ["writer"]


async def test_facts_nobody_waits_for_are_stored_soon(store: Store) -> None:
    await begun(store)
    store.writer.add_fact("r1", fact(1))

    async with asyncio.timeout(5):
        while not await store.events("r1", "ann"):
            pass


async def test_closing_stores_what_is_pending(settings: Settings) -> None:
    store = await Store.open(database_url(settings))
    await begun(store)
    store.writer.add_fact("r1", fact(1))
    await store.aclose()

    reopened = await Store.open(database_url(settings))
    stored = await reopened.events("r1", "ann")
    await reopened.aclose()

    assert stored == [fact(1)]


async def test_a_closed_store_refuses_instead_of_waiting(settings: Settings) -> None:
    store = await Store.open(database_url(settings))
    await store.aclose()

    with pytest.raises(StoreError, match="closed"):
        await store.insert_run("r1", "ann", SPEC)


async def test_hundreds_of_runs_share_a_few_commits(store: Store) -> None:
    run_ids = [f"r{n}" for n in range(200)]
    commits: list[object] = []
    sqlalchemy_event.listen(store._database.engine, "commit", commits.append)

    await asyncio.gather(*(store.insert_run(run_id, "ann", SPEC) for run_id in run_ids))
    await asyncio.gather(*(store.begin(run_id) for run_id in run_ids))
    await asyncio.gather(*(store.writer.commit(run_id, 1, checkpoint()) for run_id in run_ids))

    assert await store.count("ann") == 200
    assert len(commits) < 20


async def test_an_earlier_epoch_can_neither_commit_nor_finish_nor_tell(store: Store) -> None:
    await begun(store)
    await store.begin("r1")  # another executor took over
    store.writer.add_fact("r1", RunStarted(epoch=2, seq=1, at_s=0.0, wall_at="now"))
    store.writer.add_fact("r1", fact(2, epoch=1))

    with pytest.raises(Superseded):
        await store.writer.commit("r1", 1, checkpoint())
    with pytest.raises(Superseded):
        await store.finish("r1", 1, RunStatus.DONE)

    assert await store.checkpoints("r1", "ann") == {}
    assert [e.epoch for e in await store.events("r1", "ann")] == [2]
    record = await store.get_run("r1", "ann")
    assert record is not None
    assert record.status is RunStatus.RUNNING


async def test_a_cancelled_run_takes_facts_but_no_checkpoint_and_no_other_ending(
    store: Store,
) -> None:
    await begun(store)
    await store.cancel("r1", "ann")
    store.writer.add_fact("r1", fact(1))

    with pytest.raises(RunStopped):
        await store.writer.commit("r1", 1, checkpoint())
    with pytest.raises(RunStopped):
        await store.finish("r1", 1, RunStatus.DONE)

    assert len(await store.events("r1", "ann")) == 1
    record = await store.get_run("r1", "ann")
    assert record is not None
    assert record.status is RunStatus.CANCELLED


async def test_a_deleted_run_takes_nothing(store: Store) -> None:
    await begun(store)
    await store.delete_run("r1", "ann")
    store.writer.add_fact("r1", fact(1))

    with pytest.raises(RunStopped, match="deleted"):
        await store.writer.commit("r1", 1, checkpoint())


async def test_one_refusal_does_not_touch_the_others_of_its_group(store: Store) -> None:
    await begun(store, "gone")
    await begun(store, "there")
    await store.cancel("gone", "ann")

    outcomes = await asyncio.gather(
        store.writer.commit("gone", 1, checkpoint()),
        store.writer.commit("there", 1, checkpoint()),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], RunStopped)
    assert outcomes[1] is None
    assert list(await store.checkpoints("there", "ann")) == ["writer"]


async def test_a_run_ends_once_even_within_one_group(store: Store) -> None:
    await begun(store)

    outcomes = await asyncio.gather(
        store.finish("r1", 1, RunStatus.DONE),
        store.finish("r1", 1, RunStatus.FAILED),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), RunStopped]


async def test_somebody_who_stopped_waiting_does_not_hurt_the_group(store: Store) -> None:
    await begun(store)
    impatient = asyncio.create_task(store.writer.commit("r1", 1, checkpoint("impatient")))
    await asyncio.sleep(0)  # it has asked, and waits
    impatient.cancel()

    await store.writer.commit("r1", 1, checkpoint("patient"))

    assert set(await store.checkpoints("r1", "ann")) == {"impatient", "patient"}


async def test_a_checkpoint_is_replaced_when_its_usage_becomes_known(store: Store) -> None:
    await begun(store)
    await store.writer.commit("r1", 1, Checkpoint("w", "k", 1, AgentOutput("text"), Usage()))
    await store.writer.commit("r1", 1, Checkpoint("w", "k", 1, AgentOutput("text"), Usage(3, 4)))

    assert (await store.checkpoints("r1", "ann"))["w"].usage == Usage(3, 4)


async def test_facts_wait_in_order_while_the_database_fails(
    store: Store, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_AFTER_S", 0.01)
    await begun(store)
    await outside.ask("ALTER TABLE events RENAME TO hidden")
    store.writer.add_fact("r1", fact(1))

    with pytest.raises(StoreError, match="events"):
        await store.writer.commit("r1", 1, checkpoint())
    store.writer.add_fact("r1", fact(2))
    await outside.ask("ALTER TABLE hidden RENAME TO events")
    async with asyncio.timeout(10):
        while len(await store.events("r1", "ann")) < 2:
            pass

    assert [e.seq for e in await store.events("r1", "ann")] == [1, 2]
    assert await store.checkpoints("r1", "ann") == {}


@pytest.fixture
async def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that waits 50 ms for a lock."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr(postgresql, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(writer, "RETRY_AFTER_S", 0.01)
    store = await Store.open(database_url(settings))
    yield store
    await store.aclose()


def failures(store: Store) -> list[object]:
    """Grows with every transaction that fails."""
    found: list[object] = []
    engine = store._database.engine
    # SQLite refuses the BEGIN itself, so there is nothing to roll back
    name = "handle_error" if engine.dialect.name == "sqlite" else "rollback"
    sqlalchemy_event.listen(engine, name, found.append)
    return found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it asks about tells nobody
            await asyncio.sleep(0)


async def test_a_locked_database_is_said_after_one_wait_and_nothing_is_stored(
    impatient: Store, outside: Outside
) -> None:
    tries = failures(impatient)
    async with outside.locked():
        with pytest.raises(StoreBusy, match="locked by another program") as caught:
            await impatient.insert_run("r1", "ann", SPEC)
        assert len(tries) == 1

    assert "Close it" in caught.value.hint
    await impatient.writer.flush()
    assert await impatient.count("ann") == 0


async def test_what_an_execution_made_waits_until_a_locked_database_is_free(
    impatient: Store, outside: Outside
) -> None:
    await begun(impatient)
    tries = failures(impatient)
    async with outside.locked():
        paid = asyncio.create_task(impatient.writer.commit("r1", 1, checkpoint()))
        await until(lambda: len(tries) >= 3)
        assert not paid.done()

    await paid
    assert list(await impatient.checkpoints("r1", "ann")) == ["writer"]


async def test_what_an_execution_made_does_not_wait_for_ever(
    impatient: Store, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MADE_PATIENCE_S", 0.0)
    await begun(impatient)
    async with outside.locked():
        with pytest.raises(StoreBusy, match="locked by another program"):
            await impatient.writer.commit("r1", 1, checkpoint())


async def test_facts_outlast_a_locked_database_and_it_is_logged_once(
    impatient: Store, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    await begun(impatient)
    tries = failures(impatient)
    async with outside.locked():
        impatient.writer.add_fact("r1", fact(1))
        await until(lambda: len(tries) >= 4)
    async with asyncio.timeout(10):
        while not await impatient.events("r1", "ann"):
            pass

    said = [record for record in caplog.records if "locked" in record.getMessage()]
    assert len(said) == 1


async def test_what_a_caller_has_given_up_does_not_happen_later(
    store: Store, outside: Outside
) -> None:
    async with outside.locked():
        asked = asyncio.create_task(store.insert_run("r1", "ann", SPEC))
        await until(lambda: store.writer._in_hand)  # it waits for the lock now
        asked.cancel()

    await store.writer.flush()

    assert await store.count("ann") == 0


async def test_a_writer_that_dies_leaves_nobody_waiting(store: Store, outside: Outside) -> None:
    assert store.writer._task is not None
    async with outside.locked():
        asked = asyncio.create_task(store.insert_run("r1", "ann", SPEC))
        await until(lambda: store.writer._in_hand)
        later = asyncio.create_task(store.insert_run("r2", "ann", SPEC))
        await asyncio.sleep(0)

        store.writer._task.cancel()

        for task in (asked, later):
            with pytest.raises(StoreError, match="stopped writing"):
                await task
        with pytest.raises(StoreError, match="closed"):
            await store.insert_run("r3", "ann", SPEC)
