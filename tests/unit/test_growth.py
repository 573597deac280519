"""Growing plans: what they become, for rosters and moments nobody thought of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.agents.roster import ROSTER
from pipeline.errors import PlanError
from pipeline.events import AgentFinished, AgentStarted, PlanGrown, decode, encode
from pipeline.growth import SPECIMEN, Parts, parts_of
from pipeline.models import (
    AgentOutput,
    AgentSpec,
    AgentState,
    Expansion,
    Mode,
    Need,
    RunOptions,
    RunSpec,
    Settlement,
)
from pipeline.plan import (
    Plan,
    critical_path,
    dependants,
    grown_plan,
    make_plan,
    ready,
    settle,
    switchable_phases,
)
from tests.unit.simulated import (
    SECTIONS,
    Simulation,
    growing_plans,
    growing_rosters,
    scripts_of,
    unhurried,
)

pytestmark = pytest.mark.slow

WRITING = RunOptions(section_writing=True)
SPECULATIVE = RunOptions(speculative_research=True)
FIVE: Parts = ((0,), (1,), (2,), (3,), (4,))


def finished(simulation: Simulation) -> dict[str, float]:
    return {e.agent: e.at_s for e in simulation.events if isinstance(e, AgentFinished)}


def started(simulation: Simulation) -> dict[str, float]:
    return {e.agent: e.at_s for e in simulation.events if isinstance(e, AgentStarted)}


def simulated(data: st.DataObject, plan: Plan, growth: dict[str, Parts]) -> Simulation:
    simulation = Simulation(plan, data.draw(scripts_of(plan, growth)), growth)
    simulation.run()
    return simulation


@unhurried
@given(growing_plans(), st.data())
def test_no_agent_of_a_grown_plan_starts_before_its_predecessors_have_settled(
    growing: tuple[Plan, dict[str, Parts]], data: st.DataObject
) -> None:
    simulation = simulated(data, *growing)

    plan, begun, ended = simulation.plan, started(simulation), finished(simulation)
    assert set(begun) == set(plan.names)
    for before, after in plan.data_edges | plan.order_edges:
        assert ended[before] <= begun[after]


@unhurried
@given(growing_rosters(), st.data())
def test_phases_with_all_switches_off_equals_sequential_when_grown_too(
    growing: tuple[list[AgentSpec], dict[str, Parts]], data: st.DataObject
) -> None:
    roster, growth = growing
    off = dict.fromkeys(switchable_phases(roster, SECTIONS), False)
    phases = make_plan(roster, Mode.PHASES, off, SECTIONS)
    sequential = make_plan(roster, Mode.SEQUENTIAL, None, SECTIONS)
    scripts = data.draw(scripts_of(phases, growth))

    runs = [Simulation(plan, scripts, growth) for plan in (phases, sequential)]
    for run in runs:
        run.run()

    assert started(runs[0]) == started(runs[1])
    assert finished(runs[0]) == finished(runs[1])


@unhurried
@given(growing_plans(), st.data())
def test_growth_leaves_what_has_started_as_it_was(
    growing: tuple[Plan, dict[str, Parts]], data: st.DataObject
) -> None:
    plan, growth = growing
    ((by, parts),) = growth.items()
    settled: dict[str, Settlement] = {}
    while by not in settled:
        name = data.draw(st.sampled_from(ready(plan, settled)))
        settled[name] = Settlement(name, AgentState.DONE, AgentOutput("x"))

    grown = plan.grown_by(by, parts, settled.keys())

    for name in settled:
        assert grown.agent(name) == plan.agent(name)
        assert grown.predecessors(name) == plan.predecessors(name)
    assert set(ready(plan, settled)) - {a.name for a in grown.agents if a.join} <= set(
        ready(grown, settled)
    )
    assert not set(ready(grown, settled)) & settled.keys()


@unhurried
@given(growing_plans(), st.data())
def test_growing_by_facts_again_gives_the_same_plan(
    growing: tuple[Plan, dict[str, Parts]], data: st.DataObject
) -> None:
    simulation = simulated(data, *growing)
    stored = [event for e in simulation.events if (event := decode(encode(e))) is not None]

    assert simulation.plan_after(stored) == simulation.plan
    assert simulation.plan_after([*stored, *stored]) == simulation.plan


@unhurried
@given(growing_plans())
def test_whoever_needed_an_expanded_agent_needs_its_join(
    growing: tuple[Plan, dict[str, Parts]],
) -> None:
    plan, growth = growing
    ((by, parts),) = growth.items()

    grown = plan.grown_by(by, parts)

    for agent in plan.agents:
        after = set(dependants(grown, agent.name))
        assert set(dependants(plan, agent.name)) <= after or not parts
    for join in (agent for agent in grown.agents if agent.join):
        assert {n.agent for n in join.needs} >= set(join.join.names if join.join else ())
        assert grown.names.index(join.name) > grown.names.index(f"{join.name}/{len(parts)}")


def outline(*words: int) -> AgentOutput:
    sections = [{"heading": f"H{n}", "word_budget": w} for n, w in enumerate(words)]
    return AgentOutput("", {"outline": sections})


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        (outline(100, 100), ()),
        (outline(100, 100, 100), ((0,), (1,), (2,))),
        (
            outline(*[90] * 7, 20, 30),
            ((0,), (1,), (2,), (3,), (4,), (5,), (6,), (7, 8)),
        ),
        (
            outline(10, 10, *[90] * 6, 20, 30),
            ((0, 1), (2,), (3,), (4,), (5,), (6,), (7,), (8, 9)),
        ),
        (AgentOutput("", {"outline": "three"}), ()),
        (AgentOutput("", {"outline": [None, 3, {"word_budget": "many"}]}), ((0,), (1,), (2,))),
        (AgentOutput("text"), ()),
    ],
)
def test_an_outline_of_three_to_eight_sections_becomes_as_many_parts(
    output: AgentOutput, parts: Parts
) -> None:
    assert parts_of(output) == parts


@given(st.lists(st.integers(20, 900), max_size=30))
def test_parts_hold_every_section_once_and_in_order(words: list[int]) -> None:
    parts = parts_of(outline(*words))

    assert len(parts) <= 8
    if len(words) >= 3:
        assert [p for part in parts for p in part] == list(range(len(words)))


def test_without_the_option_nothing_grows() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW)

    assert plan.growth_by("topic_planner", outline(90, 90, 90)) is None
    assert plan.grown_by("topic_planner", FIVE).agents == plan.agents


def test_a_written_article_has_one_agent_per_section_before_the_writer() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW, None, WRITING).grown_by("topic_planner", FIVE)

    sections = [f"content_writer/{n}" for n in range(1, 6)]
    assert list(plan.names[3:9]) == [*sections, "content_writer"]
    assert plan.predecessors("content_writer/2") == {
        "topic_planner",
        "web_researcher",
        "kb_researcher",
    }
    assert plan.predecessors("content_writer") == {"topic_planner", *sections}
    assert "content_writer" in plan.predecessors("editor")


def test_an_editor_of_a_section_waits_for_its_draft_and_its_neighbours_only() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW, None, SECTIONS).grown_by("topic_planner", FIVE)

    drafts = {n for n in plan.predecessors("editor/1") if n.startswith("content_writer")}
    assert drafts == {"content_writer/1", "content_writer/2"}
    assert "content_writer/4" in plan.predecessors("editor/5")


def test_in_phases_a_switch_chains_the_sections_of_its_phase() -> None:
    on = make_plan(ROSTER, Mode.PHASES, None, SECTIONS).grown_by("topic_planner", FIVE)
    off = make_plan(ROSTER, Mode.PHASES, {"writing": False}, SECTIONS)
    off = off.grown_by("topic_planner", FIVE)

    assert ("content_writer/1", "content_writer/2") not in on.order_edges
    assert ("content_writer/1", "content_writer/2") in off.order_edges
    assert ("content_writer/3", "editor/1") in on.order_edges


def test_a_phase_that_will_have_more_agents_has_a_switch() -> None:
    assert switchable_phases(ROSTER, WRITING)[:2] == ("research", "writing")
    assert "editing" in switchable_phases(ROSTER, SECTIONS)
    assert switchable_phases(ROSTER, SPECULATIVE)[0] == "planning"
    with pytest.raises(PlanError, match="`writing` has no switch"):
        make_plan(ROSTER, Mode.PHASES, {"writing": False})


@pytest.mark.parametrize("late", ["content_writer", "content_writer/2"])
def test_growth_is_refused_once_what_would_change_has_started(late: str) -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW, None, WRITING).grown_by("topic_planner", FIVE)

    with pytest.raises(PlanError, match="cannot grow"):
        plan.grown_by("topic_planner", SPECIMEN, {"topic_planner", late})


def test_a_later_growth_replaces_an_earlier_one() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW, None, WRITING)

    again = plan.grown_by("topic_planner", FIVE).grown_by("topic_planner", SPECIMEN)

    assert again == plan.grown_by("topic_planner", SPECIMEN)
    assert again.grown_by("topic_planner", ()).agents == plan.agents


def test_the_plan_of_a_stored_run_is_what_its_facts_say() -> None:
    spec = RunSpec(topic="Tides", mode=Mode.DATAFLOW, options=WRITING)
    fact = PlanGrown(epoch=1, seq=9, at_s=1.0, agent="topic_planner", parts=[[0], [1], [2]])

    assert grown_plan(ROSTER, spec).names == make_plan(ROSTER, Mode.DATAFLOW).names
    assert "content_writer/3" in grown_plan(ROSTER, spec, [fact]).names


TOKENS = {
    "topic_planner": 250,
    "web_researcher": 350,
    "kb_researcher": 250,
    "content_writer": 900,
    "editor": 900,
    "seo_specialist": 250,
    "metrics_analyzer": 180,
    "publisher": 150,
    "summary_writer": 250,
    "social_promoter": 300,
}
SIX: Parts = ((0,), (1,), (2,), (3,), (4,), (5,))


def makespan_s(plan: Plan) -> float:
    """Of the fixed workload: 60 tokens a second, first token after 0.4 s, 150 tokens a part."""
    durations = {
        a.name: 0.0 if a.join else 0.4 + (150 if a.part else TOKENS[a.name]) / 60
        for a in plan.agents
    }
    return sum(durations[name] for name in critical_path(plan, durations))


def test_sections_cut_the_makespan_of_the_fixed_workload() -> None:
    phases_s = makespan_s(make_plan(ROSTER, Mode.PHASES))
    written, edited = (
        makespan_s(make_plan(ROSTER, Mode.DATAFLOW, None, o).grown_by("topic_planner", SIX))
        for o in (WRITING, SECTIONS)
    )

    assert phases_s == pytest.approx(54.5, abs=0.1)
    assert written / phases_s == pytest.approx(0.67, abs=0.005)
    assert edited / phases_s == pytest.approx(0.44, abs=0.005)


def writer(**changes: Any) -> tuple[AgentSpec, ...]:
    return tuple(replace(a, **changes) if a.name == "content_writer" else a for a in ROSTER)


EXPANSION = next(a.expansion for a in ROSTER if a.name == "content_writer")


@pytest.mark.parametrize(
    ("expansion", "words"),
    [
        ({"by": "editor"}, "`content_writer` expands by the outline of `editor`"),
        ({"by": "nobody"}, "expands by the outline of `nobody`"),
        ({"option": "magic"}, "option `magic`, which does not exist"),
        ({"needs": (Need("nobody"),)}, "`content_writer/1` needs `nobody`"),
        ({"needs": (Need("editor"),)}, "wait for each other"),
    ],
)
def test_an_expansion_that_cannot_work_is_refused_before_the_first_call(
    expansion: dict[str, Any], words: str
) -> None:
    assert isinstance(EXPANSION, Expansion)
    roster = writer(expansion=replace(EXPANSION, **expansion))

    with pytest.raises(PlanError, match=words):
        make_plan(roster, Mode.DATAFLOW, None, WRITING)


def test_editing_by_section_needs_writing_by_section() -> None:
    with pytest.raises(ValidationError, match="Switch both on"):
        RunOptions(section_editing=True)


def test_a_forerunner_works_beside_the_planner_and_is_topped_up() -> None:
    plan = make_plan(ROSTER, Mode.PHASES, None, SPECULATIVE)

    assert ready(plan, {}) == ("topic_planner", "web_researcher/early")
    assert Need("web_researcher/early", "optional") in plan.agent("web_researcher").needs
    assert plan.agent("web_researcher").prompt_file == "web_researcher_top_up.md"
    assert "web_researcher/early" not in make_plan(ROSTER, Mode.PHASES).names


def test_speculation_is_refused_where_nothing_runs_beside_it() -> None:
    with pytest.raises(PlanError, match="sequential mode"):
        make_plan(ROSTER, Mode.SEQUENTIAL, None, SPECULATIVE)


def test_a_forerunner_that_fails_leaves_no_mark() -> None:
    early = make_plan(ROSTER, Mode.PHASES, None, SPECULATIVE).agent("web_researcher/early")

    settlement = settle(early, PlanError("It broke."))

    assert (settlement.state, settlement.mark) == (AgentState.ABSENT, "")
    assert settlement.error == "It broke."
