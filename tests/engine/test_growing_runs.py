"""A plan that grows, made durable: in one transaction with the outline, replayed from the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection
from sqlalchemy import event as sqlalchemy_event

from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.engine.durable_journal import DurableJournal
from pipeline.events import PlanGrown
from pipeline.export.bundle import Bundle
from pipeline.models import LOCAL_OWNER, Mode, RunOptions, RunSpec, RunStatus
from pipeline.plan import grown_plan
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from pipeline.tools.samples import sample_research
from tests.faulty_demo import Answer, FaultyDemo

SPEC = RunSpec(
    topic="Heat pumps in old buildings",
    mode=Mode.DATAFLOW,
    model="gantry-demo-instant",
    options=RunOptions(section_writing=True, section_editing=True),
)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = await Store.open(database_url(settings))
    yield opened
    await opened.aclose()


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def one_epoch(store: Store, demo: FaultyDemo) -> RunResult:
    record = await store.begin("r1")
    assert record is not None
    journal = await DurableJournal.open(store, record)
    result = await ChatOrchestrator(demo.client, research=sample_research()).carry_out(
        record.spec, journal
    )
    await store.finish("r1", record.epoch, result.status, error=str(result.error or ""))
    await store.writer.flush()
    return result


async def test_the_growth_and_the_outline_are_committed_together(
    store: Store, demo: FaultyDemo
) -> None:
    seen: list[tuple[int, int]] = []

    def look(connection: Connection) -> None:
        grown = "SELECT count(*) FROM events WHERE kind = 'plan_grown'"
        outlined = "SELECT count(*) FROM checkpoints WHERE agent = 'topic_planner'"
        counts = [connection.exec_driver_sql(sql).scalar_one() for sql in (grown, outlined)]
        seen.append((counts[0], counts[1]))

    await store.insert_run("r1", LOCAL_OWNER, SPEC)
    sqlalchemy_event.listen(store._database.engine, "commit", look)
    await one_epoch(store, demo)

    assert set(seen) == {(0, 0), (1, 1)}


async def test_a_run_continued_from_the_tables_has_the_same_plan_and_asks_one_section_again(
    store: Store, demo: FaultyDemo
) -> None:
    demo.always["content_writer/3"] = Answer(400, code="bad")
    await store.insert_run("r1", LOCAL_OWNER, SPEC)
    failed = await one_epoch(store, demo)
    stored = grown_plan(ROSTER, SPEC, await store.events("r1", LOCAL_OWNER))
    demo.always.clear()
    before = demo.requests.copy()
    await store.requeue("r1", LOCAL_OWNER, SPEC)

    result = await one_epoch(store, demo)

    assert failed.status is RunStatus.FAILED
    assert stored == failed.plan == result.plan
    asked = {name for name in demo.requests - before if name.startswith("content_writer")}
    assert asked == {"content_writer/3"}
    record = await store.get_run("r1", LOCAL_OWNER)
    assert record is not None
    events = await store.events("r1", LOCAL_OWNER)
    bundle = Bundle(record, events, await store.checkpoints("r1", LOCAL_OWNER))
    assert [e.epoch for e in events if isinstance(e, PlanGrown)] == [1]
    assert bundle.report["options"] == SPEC.options.model_dump()
    parts = {a["agent"]: a["part_of"] for a in bundle.report["agents"]}
    assert (parts["content_writer/3"], parts["content_writer"]) == ("content_writer", None)
    assert "Section editor 5" in bundle.html()
