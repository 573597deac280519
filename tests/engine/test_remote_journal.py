"""What travels between processes arrives as it was, whatever gets lost or comes twice."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.remote_journal import (
    MAX_BYTES,
    LiveMessage,
    RemoteJournal,
    Telling,
    messages_of,
    payloads,
)
from pipeline.events import AgentFinished, AgentStarted, RunStarted
from pipeline.journal import Journal, wall_now

pytestmark = pytest.mark.slow

AGENTS = ("writer", "editor")
Step = tuple[str, str, str]  # what, agent, text
texts = st.text(max_size=3000)
steps = st.lists(
    st.tuples(st.sampled_from(["text", "discard", "fact", "tell"]), st.sampled_from(AGENTS), texts),
    max_size=30,
)


def carry_out(journal: Journal, step: Step) -> None:
    what, agent, text = step
    if what == "text":
        journal.add_text(agent, text)
    elif what == "discard":
        journal.discard_text(agent)
    elif what == "fact":
        journal.record(AgentStarted, agent=agent)


def told(telling: Telling) -> list[str]:
    return list(payloads(telling.news()))


def take_all(remote: RemoteJournal, sent: list[str]) -> None:
    for payload in sent:
        for message in messages_of(payload):
            remote.take(message)


def seen(journal: Journal) -> dict[str, str]:
    return {agent: journal.text(agent) for agent in AGENTS}


def replaced(text: dict[str, str]) -> dict[str, str]:
    """As JSON can hold it."""
    return {agent: one.encode("utf-8", "replace").decode() for agent, one in text.items()}


@given(steps, st.booleans())
def test_whatever_happens_is_told_completely(script: list[Step], twice: bool) -> None:
    journal, remote = Journal("run"), RemoteJournal("run", [])
    telling = Telling(journal)
    for step in [*script, ("tell", "", "")]:
        carry_out(journal, step)
        if step[0] == "tell":
            sent = told(telling)
            take_all(remote, [*sent, *sent] if twice else sent)

    assert remote.events == journal.events
    assert not remote.is_missing_facts
    assert not remote.is_missing_text
    expected = replaced(seen(journal))
    # a discarded text stays on the screen until the next attempt says something
    assert {a: t for a, t in seen(remote).items() if expected[a]} == {
        a: t for a, t in expected.items() if t
    }


@given(steps)
def test_every_payload_fits_into_a_notification(script: list[Step]) -> None:
    journal = Journal("r" * 64)
    telling = Telling(journal)
    for step in script:
        carry_out(journal, step)

    assert all(len(payload.encode()) <= MAX_BYTES for payload in told(telling))


@given(steps, st.integers(0, 20))
def test_a_lost_notification_is_noticed_and_asking_again_fills_the_gap(
    script: list[Step], lost: int
) -> None:
    journal, remote = Journal("run"), RemoteJournal("run", [])
    telling = Telling(journal)
    sent: list[str] = []
    for step in script:
        carry_out(journal, step)
        sent.extend(told(telling))
    take_all(remote, [one for number, one in enumerate(sent) if number != lost])

    telling.again()
    take_all(remote, told(telling))
    remote.fill(list(journal.events))

    assert remote.events == journal.events
    expected = replaced(seen(journal))
    assert {a: t for a, t in seen(remote).items() if expected[a]} == {
        a: t for a, t in expected.items() if t
    }


def test_a_late_listener_gets_all_text_and_only_the_last_facts() -> None:
    journal = Journal("run")
    telling = Telling(journal)
    for _ in range(100):
        journal.record(AgentStarted, agent="writer")
    journal.add_text("writer", "from the beginning")
    told(telling)

    telling.again()
    late = RemoteJournal("run", list(journal.events[:90]))
    take_all(late, told(telling))

    assert late.text("writer") == "from the beginning"
    assert late.events == journal.events


def test_the_next_epoch_begins_its_texts_anew() -> None:
    first, second = Journal("run", epoch=1), Journal("run", epoch=2)
    first.add_text("writer", "half a sent")
    second.add_text("writer", "A whole sentence.")
    remote = RemoteJournal("run", [])

    take_all(remote, told(Telling(first)))
    take_all(remote, told(Telling(second)))
    take_all(remote, told(Telling(first)))  # a late word of the one that lost the run

    assert (remote.epoch, remote.text("writer")) == (2, "A whole sentence.")


def test_facts_of_an_execution_that_had_lost_the_run_are_taken_back() -> None:
    lost = Journal("run", epoch=1)
    lost.record(RunStarted, wall_at=wall_now())
    lost.record(AgentStarted, agent="writer")
    lost.record(AgentFinished, agent="writer", state="done")  # never stored: it was fenced off
    current = Journal("run", epoch=2, events=lost.events[:2])
    remote = RemoteJournal("run", [])
    take_all(remote, told(Telling(lost)))

    telling = Telling(current)
    current.record(RunStarted, wall_at=wall_now())
    take_all(remote, told(telling))

    assert remote.was_rewound


def test_the_end_is_told_after_everything_else() -> None:
    journal, remote = Journal("run"), RemoteJournal("run", [])
    journal.add_text("writer", "the last words")
    journal.close()
    telling = Telling(journal)

    take_all(remote, told(telling))

    assert remote.finished
    assert remote.text("writer") == "the last words"
    assert told(telling) == []


@pytest.mark.parametrize("payload", ["", "{}", "[1]", '[["run"]]', '[["run", "x", 0]]', "\x00"])
def test_what_is_none_of_ours_is_refused(payload: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        messages_of(payload)


def test_a_fact_too_large_for_a_notification_is_read_from_the_store_instead() -> None:
    journal, remote = Journal("run"), RemoteJournal("run", [])
    journal.record(AgentStarted, agent="x" * MAX_BYTES)
    journal.record(AgentStarted, agent="writer")

    take_all(remote, told(Telling(journal)))
    assert remote.is_missing_facts
    remote.fill(list(journal.events))

    assert remote.events == journal.events
    assert not remote.is_missing_facts


def test_a_message_is_a_small_array() -> None:
    (payload,) = payloads([LiveMessage("run", 1, 0.5)])

    assert payload == '[["run",1,0.5,[],[],false]]'
