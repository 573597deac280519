"""The live view's messages: batches put together give what one look at everything gives."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.roster import ROSTER
from pipeline.events import AgentFinished, AgentStarted, CallSent, RunFinished, RunStarted
from pipeline.journal import Journal
from pipeline.models import Mode, RunRecord, RunSpec, RunStatus
from pipeline.plan import make_plan
from pipeline.timing import run_timing
from pipeline.views.cards import card_states
from pipeline.views.live import LiveReducer, snapshot
from pipeline.views.live_messages import card_message
from tests.unit.simulated import Simulation, simulations, unhurried

PLAN = make_plan(ROSTER, Mode.PHASES)
RUN = RunRecord("run", "local", RunStatus.QUEUED, 1, RunSpec(topic="Tides"), datetime.now(UTC))


class Browser:
    """Puts messages together as the page does."""

    def __init__(self, first: Any) -> None:
        self.plan = first["plan"]
        self.cards = {c["agent"]: c for c in first["cards"]}
        self.rows = {r["agent"]: r for r in first["gantt"]["rows"]}
        self.texts = {a: (t["generation"], t["text"]) for a, t in first["texts"].items()}

    def take(self, message: Any) -> None:
        if message["plan"]:  # all cards and rows come with it
            self.plan, self.cards, self.rows = message["plan"], {}, {}
        self.cards.update({c["agent"]: c for c in message["cards"]})
        if message["gantt"]:
            self.rows.update({r["agent"]: r for r in message["gantt"]["rows"]})
        for agent, new in message["append"].items():
            generation, text = self.texts.get(agent, (-1, ""))
            kept = text if generation == new["generation"] else ""
            self.texts[agent] = (new["generation"], kept + new["text"])


def steady(card: Any) -> Any:
    """A card without what depends on the moment it was made."""
    return {k: v for k, v in card.items() if k not in ("elapsed_s", "detail")}


@unhurried
@given(simulations(epochs=3), st.data())
def test_batches_put_together_equal_one_look_at_everything(
    simulation: Simulation, data: st.DataObject
) -> None:
    events, reducer = simulation.events, LiveReducer(simulation.first_plan)
    browser = Browser(reducer.snapshot(RUN))
    while reducer.position < len(events):
        upto = data.draw(st.integers(reducer.position + 1, len(events)))
        reducer.apply(events[reducer.position : upto])
        browser.take(reducer.batch({}, events[upto - 1].at_s))
        seen = events[:upto]
        now_s = seen[-1].at_s
        plan = simulation.plan_after(seen)
        whole = Browser(snapshot(RUN, plan, seen, {}, now_s))
        cards = [card_message(card) for card in card_states(plan, seen, now_s)]
        assert [steady(c) for c in browser.cards.values()] == [steady(c) for c in cards]
        assert [agent["name"] for agent in browser.plan["agents"]] == list(plan.names)
        assert browser.rows == whole.rows


@unhurried
@given(simulations(epochs=2))
def test_the_last_rows_are_those_of_the_finished_run(simulation: Simulation) -> None:
    timing = run_timing(simulation.plan, simulation.events)

    last = snapshot(RUN, simulation.plan, simulation.events, {})

    assert last["finished"]
    assert [row["service_s"] for row in last["gantt"]["rows"]] == [
        a.service_s for a in timing.agents
    ]
    assert last["gantt"]["critical"] == list(timing.critical)
    assert last["gantt"]["bound_s"] == timing.bound_s
    assert all(bar["end_s"] is not None for row in last["gantt"]["rows"] for bar in row["bars"])


def journal() -> Journal:
    started = Journal("run")
    started.record(RunStarted, wall_at="")
    started.record(AgentStarted, agent="topic_planner")
    return started


def test_only_what_changed_is_told() -> None:
    run, reducer = journal(), LiveReducer(PLAN)
    reducer.apply(run.events)
    reducer.batch({}, 1.0)

    run.record(CallSent, agent="topic_planner", call=1, attempt=1)
    reducer.apply(run.events[reducer.position :])
    told = reducer.batch({}, 2.0)

    assert told is not None
    assert [card["agent"] for card in told["cards"]] == ["topic_planner"]
    assert told["gantt"] is not None
    assert [row["agent"] for row in told["gantt"]["rows"]] == ["topic_planner"]
    assert told["cursor"] == "1:3"


def test_when_nothing_is_new_nothing_is_told() -> None:
    run, reducer = journal(), LiveReducer(PLAN)
    reducer.apply(run.events)
    reducer.batch(run.texts, 1.0)

    assert reducer.batch(run.texts, 2.0) is None


def test_the_end_of_an_agent_changes_the_cards_of_those_who_waited_for_it() -> None:
    run, reducer = journal(), LiveReducer(PLAN)
    reducer.apply(run.events)
    reducer.batch({}, 1.0)

    run.record(AgentFinished, agent="topic_planner", state="done")
    reducer.apply(run.events[reducer.position :])
    told = reducer.batch({}, 2.0)

    assert told is not None
    waiting = {card["agent"]: card["waiting_for"] for card in told["cards"]}
    assert waiting["web_researcher"] == []
    assert "social_promoter" not in waiting


def test_text_is_appended_once_whenever_a_watcher_joins() -> None:
    run, reducer = journal(), LiveReducer(PLAN)
    run.add_text("topic_planner", "one ")
    reducer.batch(run.texts, 1.0)
    run.add_text("topic_planner", "two ")
    late = Browser(reducer.snapshot(RUN, 1.5))  # between two batches
    run.add_text("topic_planner", "three")

    late.take(reducer.batch(run.texts, 2.0))

    assert late.texts["topic_planner"] == (0, "one two three")


def test_discarded_text_is_replaced_on_screen() -> None:
    run, reducer = journal(), LiveReducer(PLAN)
    run.add_text("topic_planner", "wrong")
    reducer.batch(run.texts, 1.0)
    watcher = Browser(reducer.snapshot(RUN, 1.0))

    run.discard_text("topic_planner")
    watcher.take(reducer.batch(run.texts, 2.0))
    emptied = watcher.texts["topic_planner"]
    run.add_text("topic_planner", "right")
    watcher.take(reducer.batch(run.texts, 3.0))

    assert emptied == (1, "")
    assert watcher.texts["topic_planner"] == (1, "right")


def test_a_segment_that_goes_on_has_no_end_and_says_since_when_it_grows() -> None:
    run = journal()
    sent = run.record(CallSent, agent="topic_planner", call=1, attempt=1)

    row = snapshot(RUN, PLAN, run.events, {})["gantt"]["rows"][0]

    assert (row["bars"][-1]["segment"], row["bars"][-1]["end_s"]) == ("first_token", None)
    assert row["growing_since_s"] == sent.at_s
    assert row["service_s"] == 0.0


def test_messages_are_plain_json() -> None:
    run, reducer = journal(), LiveReducer(PLAN)
    run.add_text("topic_planner", "x")
    reducer.apply(run.events)

    batch = reducer.batch(run.texts, 1.0)
    first = reducer.snapshot(RUN, 1.0)

    assert json.loads(json.dumps(batch)) == batch
    assert json.loads(json.dumps(first)) == first
    assert first["plan"]["agents"][1]["waits_for"] == ["topic_planner"]
    assert [p["parallel"] for p in first["plan"]["phases"]][:2] == [None, True]


def test_the_status_line_tells_progress_and_the_end_without_seconds() -> None:
    reducer = LiveReducer(PLAN)
    queued = reducer.status_line()
    run = journal()
    reducer.apply(run.events)
    working = reducer.status_line()
    reducer.apply([run.record(RunFinished, status="degraded")])

    assert queued == "The run is queued."
    assert working == "0 of 10 agents have settled. Working: Topic planner."
    assert reducer.status_line() == "The run is done, with marks. 0 of 10 agents have settled."


def test_before_the_first_fact_the_record_tells_the_status() -> None:
    waiting = replace(RUN, status=RunStatus.NEEDS_KEY)

    assert snapshot(waiting, PLAN, [], {})["status"] == "needs_key"
    assert snapshot(waiting, PLAN, journal().events, {})["status"] == "running"
