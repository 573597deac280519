"""The journal in memory: facts in order, text by position, checkpoints by name."""

from __future__ import annotations

from pipeline.events import AgentStarted, RunStarted
from pipeline.journal import Journal
from pipeline.models import AgentOutput, Checkpoint, Usage


def test_facts_are_numbered_from_one_and_their_times_never_go_back() -> None:
    journal = Journal("run")

    for name in "abc":
        journal.record(AgentStarted, agent=name)

    assert [event.seq for event in journal.events] == [1, 2, 3]
    times = [event.at_s for event in journal.events]
    assert times == sorted(times)
    assert times[0] >= 0


def test_a_later_epoch_continues_numbers_and_clock() -> None:
    first = Journal("run")
    first.record(RunStarted, wall_at="")

    second = Journal("run", epoch=2, offset_s=100.0, events=first.events)
    event = second.record(RunStarted, wall_at="", resumed=True)

    assert (event.epoch, event.seq) == (2, 2)
    assert event.at_s >= 100.0
    assert len(first.events) == 1, "the earlier epoch's list is not written to"


def test_a_clock_that_starts_too_early_does_not_put_facts_before_earlier_ones() -> None:
    earlier = RunStarted(epoch=1, seq=1, at_s=50.0, wall_at="")

    event = Journal("run", epoch=2, offset_s=10.0, events=[earlier]).record(
        AgentStarted, agent="editor"
    )

    assert event.at_s == 50.0


def test_text_is_read_from_a_position_on() -> None:
    journal = Journal("run")
    journal.add_text("editor", "one ")
    journal.add_text("editor", "two")

    assert journal.text("editor") == "one two"
    assert journal.texts["editor"].since(1) == "two"
    assert journal.text("nobody") == ""


def test_discarded_text_is_a_new_generation_and_readers_keep_what_they_hold() -> None:
    journal = Journal("run")
    journal.add_text("editor", "draft")
    held = journal.texts["editor"]

    journal.discard_text("editor")
    journal.add_text("editor", "again")

    assert held.since(0) == "draft"
    assert journal.text("editor") == "again"
    assert journal.texts["editor"].generation == held.generation + 1


def test_discarding_nothing_starts_no_generation() -> None:
    journal = Journal("run")
    journal.discard_text("editor")
    journal.add_text("editor", "x")
    journal.discard_text("editor")
    journal.discard_text("editor")

    assert journal.texts["editor"].generation == 1


async def test_a_committed_checkpoint_joins_those_of_earlier_epochs() -> None:
    def checkpoint(agent: str) -> Checkpoint:
        return Checkpoint(agent, "key", 1, AgentOutput("text"), Usage())

    journal = Journal("run", checkpoints={"a": checkpoint("a")})
    await journal.commit(checkpoint("b"))

    assert set(journal.checkpoints) == {"a", "b"}


def test_a_closed_journal_says_so() -> None:
    journal = Journal("run")
    before = journal.finished
    journal.close()

    assert (before, journal.finished) == (False, True)
