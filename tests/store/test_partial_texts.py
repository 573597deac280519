"""What agents in flight had written is there for whoever looks later, until it is finished."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event as sqlalchemy_event

from pipeline.engine.durable_journal import DurableJournal
from pipeline.journal import Journal
from pipeline.models import AgentOutput, Checkpoint, RunSpec, Usage
from pipeline.settings import Settings
from pipeline.store import Store, database_url, writer
from pipeline.store.codec import text_of
from pipeline.store.partial_texts import Following

SPEC = RunSpec(topic="Tidal power")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "TEXT_EVERY_S", 0.02)


async def journal_of(store: Store, run_id: str = "r1") -> DurableJournal:
    await store.insert_run(run_id, "ann", SPEC)
    record = await store.begin(run_id)
    assert record is not None
    return await DurableJournal.open(store, record)


def checkpoint(agent: str, epoch: int = 1) -> Checkpoint:
    return Checkpoint(agent, "key", epoch, AgentOutput("text"), Usage(1, 2))


async def until_stored(store: Store, expected: dict[str, str]) -> None:
    async with asyncio.timeout(10):
        while {n: p.text for n, p in (await store.partial_texts("r1")).items()} != expected:
            pass


async def test_text_is_stored_by_itself_and_a_discarded_attempt_is_replaced(store: Store) -> None:
    journal = await journal_of(store)
    journal.add_text("writer", "Half a ")
    await until_stored(store, {"writer": "Half a "})
    journal.add_text("writer", "sentence \ud800\x00")
    journal.add_text("editor", "So")
    await until_stored(store, {"writer": "Half a sentence \ud800\x00", "editor": "So"})

    journal.discard_text("writer")

    await until_stored(store, {"writer": "", "editor": "So"})
    stored = (await store.partial_texts("r1"))["writer"]
    assert (stored.epoch, stored.generation) == (1, 1)
    journal.close()


async def test_a_checkpoint_takes_the_partial_text_with_it_and_only_its_own(store: Store) -> None:
    journal = await journal_of(store)
    journal.add_text("writer", "Half")
    journal.add_text("editor", "So")
    await until_stored(store, {"writer": "Half", "editor": "So"})
    journal.add_text("writer", " and all")

    await journal.commit(checkpoint("writer"))

    assert list(await store.partial_texts("r1")) == ["editor"]
    journal.add_text("editor", " far")
    await until_stored(store, {"editor": "So far"})
    journal.close()


async def test_the_last_words_of_a_run_that_was_stopped_are_kept(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TEXT_EVERY_S", 3_600.0)
    journal = await journal_of(store)
    await store.cancel("r1", "ann")
    journal.add_text("writer", "Half a sentence")
    journal.close()
    await store.writer.flush()

    other = await Store.open(database_url(settings))
    kept = await other.partial_texts("r1")
    await other.aclose()

    assert kept["writer"].text == "Half a sentence"
    assert kept["writer"].at.utcoffset() is not None


async def test_the_text_of_an_epoch_that_is_over_is_not_stored_and_the_next_replaces_it(
    store: Store,
) -> None:
    first = await journal_of(store)
    first.add_text("writer", "First")
    await until_stored(store, {"writer": "First"})
    second = await journal_of(store)  # another executor took over
    first.add_text("writer", " and more")
    second.add_text("editor", "Second")
    await until_stored(store, {"writer": "First", "editor": "Second"})

    await second.commit(checkpoint("writer", epoch=2))

    assert list(await store.partial_texts("r1")) == ["editor"]
    for journal in (first, second):
        journal.close()


async def test_a_run_that_writes_nothing_costs_no_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TEXT_EVERY_S", 0.001)
    journal = await journal_of(store)
    journal.add_text("writer", "Half")
    await until_stored(store, {"writer": "Half"})
    commits: list[object] = []
    looks: list[object] = []
    sqlalchemy_event.listen(store._database.engine, "commit", commits.append)
    monkeypatch.setattr(store.writer, "_take", _counting(store.writer._take, looks))

    async with asyncio.timeout(10):
        while len(looks) < 20:  # noqa: ASYNC110 - it looked, and found nothing new
            await asyncio.sleep(0)

    assert commits == []
    journal.close()


def _counting(take, looks):  # type: ignore[no-untyped-def]
    def counted():  # type: ignore[no-untyped-def]
        looks.append(None)
        return take()

    return counted


async def test_a_deleted_run_takes_its_partial_texts_along(store: Store) -> None:
    journal = await journal_of(store)
    journal.add_text("writer", "Half")
    await until_stored(store, {"writer": "Half"})

    await store.delete_run("r1", "ann")
    journal.add_text("writer", " and more")
    journal.close()
    await store.writer.flush()

    assert await store.partial_texts("r1") == {}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("ab"), st.text(min_size=1, max_size=3)),
        st.tuples(st.just("discard"), st.sampled_from("ab"), st.just("")),
        st.tuples(st.sampled_from(["look", "forget"]), st.just(""), st.just("")),
    ),
    max_size=30,
)


@given(steps)
def test_what_is_stored_last_is_what_the_journal_holds(steps: list[tuple[str, str, str]]) -> None:
    journal = Journal("r1")
    following = Following(journal)
    stored: dict[str, str] = {}
    for step, agent, text in [*steps, ("look", "", "")]:
        if step == "add":
            journal.add_text(agent, text)
        elif step == "discard":
            journal.discard_text(agent)
        elif step == "forget":
            following.forget()
            stored.clear()
        else:
            stored |= {row["agent"]: text_of(row["text"]) for row in following.news()}

    assert following.news() == []
    assert {a: t for a, t in stored.items() if t} == {
        a: journal.text(a) for a in journal.texts if journal.text(a)
    }
