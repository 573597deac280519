"""Rows and sentences for people."""

from __future__ import annotations

import pytest
from hypothesis import given

from pipeline.agents.roster import ROSTER
from pipeline.events import AgentFinished, RunFinished
from pipeline.journal import Journal
from pipeline.models import AgentState, Mode
from pipeline.plan import make_plan
from pipeline.timing import RunTiming, run_timing
from pipeline.views.tables import (
    CONTENTION,
    agent_line,
    agent_rows,
    explanations,
    headlines,
    phase_rows,
)
from tests.unit.simulated import Attempt, Script, Simulation, simulations, unhurried


def finished(mode: Mode = Mode.PHASES, **scripts: Script) -> RunTiming:
    plan = make_plan(ROSTER, mode)
    simulation = Simulation(plan, {name: scripts.get(name, Script()) for name in plan.names})
    simulation.run()
    return run_timing(plan, simulation.events)


PARTS = ("Waited for inputs", "Admission", "Backoff", "First token", "Generation", "Tools")


@unhurried
@given(simulations(epochs=2))
def test_the_kinds_of_time_in_a_row_add_up_to_its_total(simulation: Simulation) -> None:
    for row in agent_rows(run_timing(simulation.plan, simulation.events)):
        parts = [row[f"{part} (s)"] for part in PARTS]
        assert sum(parts) == pytest.approx(row["Total (s)"], abs=0.04)  # type: ignore[arg-type]


def test_rows_stand_in_roster_order_with_words_for_people() -> None:
    rows = agent_rows(finished(seo_specialist=Script(state=AgentState.ABSENT)))

    assert [row["Agent"] for row in rows] == [agent.title for agent in ROSTER]
    assert rows[5]["State"] == "left out"
    assert rows[5]["Service (s)"] == 0.0
    assert rows[0]["Output tokens"] == 20


def test_an_agents_line_says_its_service_time_and_no_other() -> None:
    slow = Script(calls=((Attempt(admission_s=30.0, first_token_s=0.5, generation_s=1.0),),))
    timing = finished(editor=slow, publisher=Script(state=AgentState.SUBSTITUTED))

    assert agent_line(timing.agent("editor"), timing) == "Editor: done, service time 1.5 s"
    assert agent_line(timing.agent("publisher"), timing) == "Publisher: replaced by code"


def test_who_never_came_to_work_is_said_to_be_not_started() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    simulation = Simulation(plan, {name: Script() for name in plan.names})
    simulation.run(2.0)
    run = Journal("run", events=simulation.events)
    run.record(AgentFinished, agent="web_researcher", state="cancelled")
    run.record(RunFinished, status="cancelled")

    timing = run_timing(plan, run.events)

    lines = {agent.agent: agent_line(agent, timing) for agent in timing.agents}
    assert lines["publisher"] == "Publisher: not started"
    assert lines["web_researcher"] == "Web researcher: cancelled"
    assert [row["State"] for row in agent_rows(timing)][-1] == "not started"


def test_a_phase_row_proves_its_overlap() -> None:
    research = phase_rows(finished())[1]

    assert research == {
        "Phase": "research",
        "Wall (s)": 1.5,
        "Summed (s)": 3.0,
        "Overlap (%)": 100,
        "Peak in flight": 2,
    }


def test_a_phase_of_one_agent_has_no_overlap_to_speak_of() -> None:
    overlaps = {row["Phase"]: row["Overlap (%)"] for row in phase_rows(finished())}

    assert overlaps["planning"] is None
    assert overlaps["distribution"] == 100


def test_every_headline_says_what_kind_of_number_it_is() -> None:
    kinds = {h.key: h.kind for h in headlines(finished())}

    assert kinds == {
        "makespan": "measured",
        "sequential": "replayed",
        "bound": "bound",
        "saved": "replayed",
    }


def test_a_sequential_run_is_called_measured_and_nothing_replayed() -> None:
    run = finished(Mode.SEQUENTIAL)

    assert {h.key: h.kind for h in headlines(run)}["sequential"] == "measured"
    assert not any("eplayed" in sentence for sentence in explanations(run))


def test_a_replayed_figure_comes_with_the_warning_about_contention() -> None:
    assert CONTENTION in explanations(finished())


def test_a_run_that_took_longer_says_lost_and_not_a_negative_saving() -> None:
    slow = Script(calls=((Attempt(admission_s=60.0),),))

    saved = headlines(finished(editor=slow))[3]

    assert saved.label == "Lost"
    assert saved.value_s is not None
    assert saved.value_s > 0


def test_figures_that_would_mislead_are_left_out_and_the_note_says_why() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    simulation = Simulation(plan, dict.fromkeys(plan.names, Script()))
    simulation.run(2.0, told=False)
    running = headlines(run_timing(plan, simulation.events, 3.0))
    simulation.run()
    resumed = headlines(run_timing(plan, simulation.events))

    assert (running[0].value_s, running[0].note) == (None, "The run goes on.")
    assert running[3].note == "Known when the run has ended."
    assert (resumed[3].value_s, resumed[3].share) == (None, None)
    assert resumed[3].note == "Not given: the run stood still in between."


def test_a_run_that_failed_says_that_it_did_not_come_to_its_end() -> None:
    plan = make_plan(ROSTER, Mode.PHASES)
    simulation = Simulation(plan, dict.fromkeys(plan.names, Script()))
    simulation.run(2.0, told=True)

    saved = headlines(run_timing(plan, simulation.events))[3]

    assert (saved.value_s, saved.note) == (None, "Not given: the run did not come to its end.")
