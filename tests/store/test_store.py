"""What the store answers, to whom, and which status may follow which."""

from __future__ import annotations

import pytest

from pipeline.errors import SpecError
from pipeline.events import RunStarted
from pipeline.models import AgentOutput, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.store import Store
from pipeline.store.store import MAX_EPOCHS_WITHOUT_PROGRESS
from tests.store.outside import Outside

SPEC = RunSpec(topic="Tidal power")


def checkpoint(agent: str = "writer", epoch: int = 1) -> Checkpoint:
    return Checkpoint(agent, "key", epoch, AgentOutput("text"), Usage(1, 2))


async def started(store: Store, run_id: str = "r1", owner: str = "ann") -> int:
    await store.insert_run(run_id, owner, SPEC)
    record = await store.begin(run_id)
    assert record is not None
    store.writer.add_fact(run_id, RunStarted(epoch=record.epoch, seq=1, at_s=0.0, wall_at="now"))
    await store.writer.commit(run_id, record.epoch, checkpoint(epoch=record.epoch))
    return record.epoch


async def test_a_submission_that_arrives_twice_is_one_run(store: Store) -> None:
    first = await store.insert_run("r1", "ann", SPEC)
    second = await store.insert_run("r1", "ann", RunSpec(topic="Something else"))

    assert (first, second) == (True, False)
    assert [run.spec.topic for run in await store.list_runs("ann")] == ["Tidal power"]


async def test_a_foreign_run_looks_like_a_missing_one(store: Store) -> None:
    await started(store)

    assert await store.get_run("r1", "bob") is None
    assert await store.list_runs("bob") == []
    assert await store.count("bob") == 0
    assert await store.events("r1", "bob") == []
    assert await store.checkpoints("r1", "bob") == {}
    assert not await store.cancel("r1", "bob")
    assert not await store.delete_run("r1", "bob")
    with pytest.raises(SpecError):
        await store.requeue("r1", "bob", SPEC)
    untouched = await store.get_run("r1", "ann")
    assert untouched is not None
    assert untouched.status is RunStatus.RUNNING


async def test_an_id_no_database_could_hold_is_a_missing_run(store: Store) -> None:
    assert await store.get_run("\ud800\x00", "ann") is None


async def test_runs_are_listed_newest_first_in_pages_and_by_topic(store: Store) -> None:
    for number, topic in enumerate(("Tidal power", "100% wool", "Wind power")):
        await store.insert_run(f"r{number}", "ann", RunSpec(topic=topic))

    async def topics(**options: object) -> list[str]:
        return [r.spec.topic for r in await store.list_runs("ann", **options)]  # type: ignore[arg-type]

    assert await topics() == ["Wind power", "100% wool", "Tidal power"]
    assert await topics(limit=1, offset=1) == ["100% wool"]
    assert await topics(text="POWER") == ["Wind power", "Tidal power"]
    assert await topics(text="0%") == ["100% wool"]
    assert await store.count("ann", "power") == 2


async def test_deleting_a_run_leaves_nothing_of_it(store: Store, outside: Outside) -> None:
    await started(store)

    assert await store.delete_run("r1", "ann")

    await store.writer.flush()
    left = {
        table: (await outside.ask(f"SELECT count(*) FROM {table}"))[0][0]
        for table in ("runs", "checkpoints", "events")
    }
    assert left == {"runs": 0, "checkpoints": 0, "events": 0}


async def test_a_finished_run_is_not_begun_again(store: Store) -> None:
    epoch = await started(store)
    await store.finish("r1", epoch, RunStatus.DEGRADED, degraded=["unedited"], makespan_s=1.5)

    assert await store.begin("r1") is None
    assert not await store.cancel("r1", "ann")
    record = await store.get_run("r1", "ann")
    assert record is not None
    assert (record.status, record.degraded, record.makespan_s) == ("degraded", ("unedited",), 1.5)
    assert record.created_at <= record.started_at <= record.finished_at  # type: ignore[operator]
    assert record.created_at.utcoffset() is not None


async def test_an_error_with_unprintable_characters_can_be_stored(store: Store) -> None:
    epoch = await started(store)

    await store.finish("r1", epoch, RunStatus.FAILED, error="bad \ud800 \x00 reply", error_code="x")

    record = await store.get_run("r1", "ann")
    assert record is not None
    assert record.error == "bad \\ud800 \\x00 reply"


async def test_a_run_that_keeps_crashing_is_failed_until_a_person_continues_it(
    store: Store,
) -> None:
    await store.insert_run("r1", "ann", SPEC)
    for _ in range(MAX_EPOCHS_WITHOUT_PROGRESS):
        record = await store.begin("r1")
        assert record is not None and record.status is RunStatus.RUNNING

    poisoned = await store.begin("r1")
    assert poisoned is not None
    assert (poisoned.status, poisoned.error_code) == (RunStatus.FAILED, "poison")
    assert await store.begin("r1") is None

    await store.requeue("r1", "ann", SPEC)
    again = await store.begin("r1")
    assert again is not None
    assert again.status is RunStatus.RUNNING


async def test_a_new_checkpoint_starts_the_count_of_crashes_anew(store: Store) -> None:
    await store.insert_run("r1", "ann", SPEC)
    for agent in ("planner", "writer"):
        for _ in range(MAX_EPOCHS_WITHOUT_PROGRESS):
            record = await store.begin("r1")
        assert record is not None
        await store.writer.commit("r1", record.epoch, checkpoint(agent, record.epoch))

    record = await store.begin("r1")

    assert record is not None
    assert record.status is RunStatus.RUNNING


async def test_an_interruption_in_good_order_is_no_crash(store: Store) -> None:
    await store.insert_run("r1", "ann", SPEC)
    for _ in range(2 * MAX_EPOCHS_WITHOUT_PROGRESS):
        record = await store.begin("r1")
        assert record is not None and record.status is RunStatus.RUNNING
        await store.release("r1", record.epoch)


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.DEGRADED])
async def test_a_finished_run_cannot_be_continued(store: Store, status: RunStatus) -> None:
    epoch = await started(store)
    await store.finish("r1", epoch, status)

    with pytest.raises(SpecError, match="cannot be continued"):
        await store.requeue("r1", "ann", SPEC)


async def test_the_engine_is_told_what_is_unfinished_most_urgent_first(store: Store) -> None:
    await store.insert_run("low", "ann", SPEC)
    await store.insert_run("high", "bob", SPEC, priority=5)
    await started(store, "under way")
    await store.insert_run("gone", "ann", SPEC)
    await store.cancel("gone", "ann")

    unfinished = await store.unfinished_runs()

    assert [run.id for run in unfinished] == ["high", "low", "under way"]


async def test_what_was_asked_under_older_rules_can_still_be_read(store: Store) -> None:
    asked = SPEC.model_copy(update={"topic": "bees \u202e seeb", "tone": "calm\u2066"})
    await store.insert_run("r1", "ann", asked)

    record = await store.get_run("r1", "ann")

    assert record is not None and record.spec == asked
