"""What the cards say, at each step of an agent's life."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from pipeline.agents.roster import ROSTER
from pipeline.events import (
    AdmissionQueued,
    AgentFinished,
    AgentStarted,
    AnyEvent,
    BackoffStarted,
    CallFinished,
    CallHedged,
    CallSent,
    Event,
    FirstToken,
    RemarksMade,
    RepairRequested,
    RunFinished,
    RunStarted,
    ToolsStarted,
)
from pipeline.models import AgentState, Mode
from pipeline.plan import make_plan
from pipeline.views.cards import Card, Countdown, card_states, listed
from tests.unit.simulated import Simulation, simulations, unhurried

PLAN = make_plan(ROSTER, Mode.PHASES)
CALL = {"call": 1, "attempt": 1}


def facts(*steps: tuple[type[Event], dict[str, Any]]) -> list[AnyEvent]:
    """Facts one second apart, the first at 0, after the start of the run."""
    all_steps = [(RunStarted, {"wall_at": ""}), *steps]
    made: list[Any] = [
        kind(epoch=1, seq=i + 1, at_s=float(max(0, i - 1)), **fields)
        for i, (kind, fields) in enumerate(all_steps)
    ]
    return made


def card(
    agent: str, *steps: tuple[type[Event], dict[str, Any]], now_s: float | None = None
) -> Card:
    named = [(kind, {"agent": agent, **fields}) for kind, fields in steps]
    cards = card_states(PLAN, facts(*named), now_s)
    return next(c for c in cards if c.agent == agent)


STARTED = (AgentStarted, {})
QUEUED = (AdmissionQueued, {**CALL, "reason": "16 calls are in flight"})
SENT = (CallSent, CALL)
FIRST = (FirstToken, CALL)
FAILED = (CallFinished, {**CALL, "outcome": "discarded"})
BACKOFF = (BackoffStarted, {**CALL, "delay_s": 3.0, "error": "The provider is overloaded."})


def test_a_waiting_card_names_whom_it_waits_for() -> None:
    cards = {c.agent: c for c in card_states(PLAN, facts())}

    assert cards["topic_planner"].detail == "is about to start"
    assert cards["web_researcher"].detail == "waits for Topic planner"
    assert cards["web_researcher"].waiting_for == ("Topic planner",)
    assert [c.agent for c in cards.values()] == list(PLAN.names)


def test_names_are_listed_as_people_do() -> None:
    assert listed(["A"]) == "A"
    assert listed(["A", "B"]) == "A and B"
    assert listed(["A", "B", "C"]) == "A, B and C"
    assert listed(["A", "B", "C", "D", "E"]) == "A, B, C and 2 more"


@pytest.mark.parametrize(
    ("steps", "state", "detail"),
    [
        ((STARTED,), AgentState.ADMISSION, "gets its prompt ready"),
        (
            (STARTED, QUEUED),
            AgentState.ADMISSION,
            "waits for its turn to call the model: 16 calls are in flight",
        ),
        (
            (STARTED, QUEUED, SENT),
            AgentState.STREAMING,
            "asked the model, waits for the first word",
        ),
        ((STARTED, QUEUED, SENT, FIRST), AgentState.STREAMING, "writes"),
        (
            (STARTED, SENT, FIRST, (RepairRequested, {"repair": 1, "problem": "no title"})),
            AgentState.STREAMING,
            "writes, repairs its answer (turn 1)",
        ),
        (
            (STARTED, SENT, FIRST, (RemarksMade, {"turn": 2, "remarks": "too long"})),
            AgentState.STREAMING,
            "writes, mends its answer (turn 2)",
        ),
        (
            (STARTED, SENT, FIRST, (ToolsStarted, {"calls": ["searches: tides"]})),
            AgentState.TOOLS,
            "looks things up",
        ),
        (
            (STARTED, SENT, (CallSent, {"call": 1, "attempt": 2})),
            AgentState.STREAMING,
            "asked the model, waits for the first word, attempt 2 of 3",
        ),
        (
            (STARTED, (AdmissionQueued, {**QUEUED[1], "reason": "cooling", "expected_s": 19.2})),
            AgentState.ADMISSION,
            "the provider asked to wait: 20 s",
        ),
        (
            (STARTED, (AdmissionQueued, {**QUEUED[1], "reason": "rate", "expected_s": 3.1})),
            AgentState.ADMISSION,
            "waits for its turn to call the model: the requests per minute are used up, about 4 s",
        ),
        (
            (STARTED, SENT, (CallHedged, {"call": 1, "attempt": 2, "of": 1, "waited_s": 9.0})),
            AgentState.STREAMING,
            "asked the model, waits for the first word, asked a second time because the first is late",
        ),
        (
            (STARTED, SENT, (CallSent, {"call": 1, "attempt": 5})),
            AgentState.STREAMING,
            "asked the model, waits for the first word, attempt 5",
        ),
        (
            (STARTED, (AgentFinished, {"state": "absent", "error": "No reply came."})),
            AgentState.ABSENT,
            "left out: No reply came.",
        ),
        (
            (STARTED, (AgentFinished, {"state": "substituted", "mark": "unedited draft"})),
            AgentState.SUBSTITUTED,
            "replaced by code: unedited draft",
        ),
        (
            (STARTED, (AgentFinished, {"state": "failed", "error": "Wrong key."})),
            AgentState.FAILED,
            "failed: Wrong key.",
        ),
        ((STARTED, (AgentFinished, {"state": "cancelled"})), AgentState.CANCELLED, "cancelled"),
        ((STARTED, (AgentFinished, {"state": "done"})), AgentState.DONE, "done"),
    ],
)
def test_a_card_says_what_its_agent_does(
    steps: tuple[tuple[type[Event], dict[str, Any]], ...], state: AgentState, detail: str
) -> None:
    shown = card("topic_planner", *steps)

    assert (shown.state, shown.detail) == (state, detail)


def test_a_backing_off_card_counts_down_and_says_why() -> None:
    shown = card("topic_planner", STARTED, SENT, FAILED, BACKOFF, now_s=4.2)

    assert shown.state is AgentState.BACKOFF
    assert shown.detail == "retries in 2 s: The provider is overloaded (attempt 2 of 3)"
    assert shown.backoff_until_s == 6.0
    assert shown.error == "The provider is overloaded."


def test_a_countdown_never_goes_below_zero() -> None:
    shown = card("topic_planner", STARTED, SENT, FAILED, BACKOFF, now_s=60.0)

    assert shown.detail.startswith("retries in 0 s")


def test_a_card_that_waits_for_admission_counts_down_to_what_was_expected() -> None:
    asked = (AdmissionQueued, {**QUEUED[1], "reason": "cooling", "expected_s": 15.0})

    waits = card("topic_planner", STARTED, asked, now_s=7.5)  # asked at 1.0
    late = card("topic_planner", STARTED, asked, now_s=60.0)
    sent = card("topic_planner", STARTED, asked, SENT, now_s=7.5)

    assert waits.detail == "the provider asked to wait: 9 s"
    assert waits.countdown == Countdown(
        16.0, before="the provider asked to wait: ", after="the provider asked to wait"
    )
    assert late.detail == "the provider asked to wait"
    assert sent.countdown is None
    assert card("topic_planner", STARTED, QUEUED).countdown is None


def test_elapsed_time_runs_from_the_start_to_now_and_stops_at_the_end() -> None:
    running = card("topic_planner", STARTED, SENT, now_s=7.5)
    ended = card("topic_planner", STARTED, SENT, (AgentFinished, {"state": "done"}), now_s=60.0)

    assert (running.started_s, running.elapsed_s) == (0.0, 7.5)
    assert (ended.elapsed_s, ended.finished_s) == (2.0, 2.0)


def test_tokens_that_nobody_told_are_none() -> None:
    told = (CallFinished, {**CALL, "outcome": "used", "output_tokens": 12})

    assert card("topic_planner", STARTED, SENT).output_tokens is None
    shown = card("topic_planner", STARTED, SENT, told)
    assert (shown.input_tokens, shown.output_tokens) == (None, 12)


def test_a_call_in_flight_says_that_its_tokens_are_still_to_come() -> None:
    told = (CallFinished, {**CALL, "outcome": "used", "output_tokens": 12})
    again = (CallSent, {"call": 2, "attempt": 1})

    assert not card("topic_planner", STARTED).in_flight
    assert card("topic_planner", STARTED, SENT, FIRST).in_flight
    assert not card("topic_planner", STARTED, SENT, FIRST, told).in_flight
    second = card("topic_planner", STARTED, SENT, FIRST, told, again)
    assert (second.in_flight, second.output_tokens) == (True, 12)


def test_agents_whose_turn_never_came_say_that_the_run_stopped() -> None:
    failed = facts((RunFinished, {"status": "failed"}))
    cancelled = facts((RunFinished, {"status": "cancelled"}))

    assert card_states(PLAN, failed)[3].detail == "not started: the run stopped before its turn"
    assert card_states(PLAN, cancelled)[3].state is AgentState.CANCELLED
    assert card_states(PLAN, cancelled)[3].detail == "cancelled before it started"


@unhurried
@given(simulations(epochs=2))
def test_every_card_of_a_finished_run_is_final(simulation: Simulation) -> None:
    for shown in card_states(simulation.plan, simulation.events):
        assert shown.state is simulation.scripts[shown.agent].state
        assert shown.waiting_for == ()
        assert shown.backoff_until_s is None


@unhurried
@given(simulations())
def test_a_waiting_card_waits_for_somebody_until_its_agent_starts(simulation: Simulation) -> None:
    half = simulation.events[: len(simulation.events) // 2]
    started = {e.agent for e in half if isinstance(e, AgentStarted)}

    for shown in card_states(simulation.plan, half):
        if shown.waiting_for:
            assert shown.agent not in started
            assert shown.detail.startswith("waits for ")
