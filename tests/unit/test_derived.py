"""Runs that begin with what another run finished: the preview against what really runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.agents.edited_output import edited_fields, edited_output
from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.derived import COMPLETE, Edit, Edits, Parent, derive, preview
from pipeline.errors import SpecError
from pipeline.events import AgentFinished, CallSent, PlanGrown
from pipeline.export.bundle import Bundle
from pipeline.journal import Journal
from pipeline.models import (
    AgentOutput,
    Mode,
    RunOptions,
    RunRecord,
    RunSpec,
    RunStatus,
)
from pipeline.tools.samples import sample_research
from pipeline.views.gantt import gantt_figure
from pipeline.views.tables import headlines, state_words
from tests.faulty_demo import Answer, FaultyDemo

pytestmark = pytest.mark.slow

MODEL = "gantry-demo-instant"
TOPIC = "Heat pumps in old buildings"
REFUSED = Answer(400, code="bad")  # not retried: the agent fails for good at once
EVERY = RunOptions(section_writing=True, section_editing=True, speculative_research=True)


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def run(
    demo: FaultyDemo, journal: Journal | None = None, spec: RunSpec | None = None, **brief: object
) -> RunResult:
    spec = spec or RunSpec(topic=TOPIC, **brief)
    journal = journal or Journal("first")
    return await ChatOrchestrator(demo.client, model=MODEL, research=sample_research()).carry_out(
        spec, journal
    )


def parent_of(result: RunResult) -> Parent:
    record = RunRecord(
        result.run_id, "local", result.status, 1, result.spec, datetime(2026, 1, 1, tzinfo=UTC)
    )
    kept = {n: c for n, c in result.journal.checkpoints.items() if not c.is_offered}
    return Parent(record, result.journal.events, kept)


async def rerun(demo: FaultyDemo, parent: Parent, edits: Edits) -> RunResult:
    begin = derive(parent, edits)
    journal = Journal(
        "second", events=[begin.fact], checkpoints={c.agent: c for c in begin.offered}
    )
    return await run(demo, journal, begin.spec)


def asked(result: RunResult) -> set[str]:
    return {e.agent for e in result.journal.events if isinstance(e, CallSent)}


def reworded(parent: Parent, name: str, word: str = "Amended") -> AgentOutput:
    """The agent's output with a change that everybody behind it sees."""
    before, agent = parent.checkpoints[name].output, parent.plan.agent(name)
    if before.data is None:
        return edited_output(agent, before, f"{before.text}\n\n{word} by a person.")
    data = json.loads(json.dumps(before.data))
    for field, value in data.items():
        if isinstance(value, str) and field not in ("slug", "search_intent"):
            data[field] = f"{word} {value}"[:100]
            break
        if field == "findings" and value:
            value[0]["claim"] = f"{word}: {value[0]['claim']}"
            break
        if field == "gaps":
            value.append(f"{word} by a person")
            break
        if field == "posts":
            value[0]["text"] = f"{word} {value[0]['text']}"[:200]
            break
    assert data != before.data
    return edited_fields(agent, before, data)


async def test_nothing_edited_means_that_nothing_runs(demo: FaultyDemo) -> None:
    parent = parent_of(await run(demo, options=EVERY, mode=Mode.DATAFLOW))

    seen = preview(parent, {})
    result = await rerun(demo, parent, {})

    assert (seen.will, seen.may, asked(result)) == ((), (), set())
    assert result.status is RunStatus.DONE
    assert result.outputs == {n: c.output for n, c in parent.checkpoints.items()}


async def test_an_edited_article_runs_again_what_is_made_from_it_and_nothing_else(
    demo: FaultyDemo,
) -> None:
    parent = parent_of(await run(demo))
    edits = {"editor": Edit(output=reworded(parent, "editor"))}

    seen = preview(parent, edits)
    result = await rerun(demo, parent, edits)

    direct = {"seo_specialist", "metrics_analyzer", "publisher", "summary_writer"}
    assert set(seen.will) == direct | {"social_promoter"}
    assert asked(result) == set(seen.will)
    assert result.outputs["editor"].text.endswith("Amended by a person.")
    finished = {e.agent: e for e in result.journal.events if isinstance(e, AgentFinished)}
    assert (finished["editor"].edited, finished["editor"].reused) == (True, True)
    assert seen.tokens > 0
    assert 0 < seen.time_s < sum(parent.took_s.values())
    assert seen.unmeasured == ()


async def test_a_new_agent_output_that_is_the_same_lets_those_behind_it_keep_theirs(
    demo: FaultyDemo,
) -> None:
    parent = parent_of(await run(demo))

    seen = preview(parent, {"kb_researcher": Edit()})
    result = await rerun(demo, parent, {"kb_researcher": Edit()})

    assert seen.will == ("kb_researcher",)
    assert set(seen.may) == {
        "content_writer",
        "editor",
        "seo_specialist",
        "metrics_analyzer",
        "publisher",
        "summary_writer",
        "social_promoter",
    }
    assert asked(result) == {"kb_researcher"}  # the demo says the same again


async def test_an_addition_stands_in_the_prompt_and_lets_that_agent_run_again(
    demo: FaultyDemo,
) -> None:
    parent = parent_of(await run(demo))
    edits = {"summary_writer": Edit(addition="Name the city of Lyon.")}

    seen = preview(parent, edits)
    result = await rerun(demo, parent, edits)

    assert (seen.will, seen.may) == (("summary_writer",), ())
    assert asked(result) == {"summary_writer"}
    assert result.outputs["summary_writer"].prompt.endswith("Name the city of Lyon.")
    again = preview(parent_of(result), {})
    assert (again.will, again.may) == ((), ())


async def test_instructions_of_a_persons_own_replace_what_an_agent_is_told_to_do(
    demo: FaultyDemo,
) -> None:
    parent = parent_of(await run(demo))
    edits = {"summary_writer": Edit(instructions="Summarise for children of ten.")}

    seen = preview(parent, edits)
    result = await rerun(demo, parent, edits)

    assert (seen.will, seen.may) == (("summary_writer",), ())
    assert asked(result) == {"summary_writer"}
    prompt = result.outputs["summary_writer"].prompt
    assert prompt.startswith(
        "Agent: summary_writer\n\nSummarise for children of ten.\n\nText inside"
    )
    kept = parent_of(result)
    assert (preview(kept, {}).will, preview(kept, {}).may) == ((), ())
    back = preview(kept, {"summary_writer": Edit(instructions="")})
    assert back.will == ("summary_writer",)


async def test_an_outline_with_other_sections_grows_the_plan_by_them(demo: FaultyDemo) -> None:
    parent = parent_of(
        await run(demo, options=RunOptions(section_writing=True), mode=Mode.DATAFLOW)
    )
    planner = parent.checkpoints["topic_planner"].output
    outline = (planner.data or {})["outline"]
    fewer = {**(planner.data or {}), "outline": [*outline[:2], {**outline[2], "heading": "New"}]}
    agent = parent.plan.agent("topic_planner")
    edits = {"topic_planner": Edit(output=edited_fields(agent, planner, fewer))}

    seen = preview(parent, edits)
    result = await rerun(demo, parent, edits)

    assert [n for n in seen.plan.names if n.startswith("content_writer/")] == [
        "content_writer/1",
        "content_writer/2",
        "content_writer/3",
    ]
    grown = [e.parts for e in result.journal.events if isinstance(e, PlanGrown)]
    assert grown == [[[0], [1], [2]]]
    assert result.plan == seen.plan
    assert asked(result) <= seen.runs
    assert "## New" in result.outputs["content_writer"].text


async def test_who_was_left_out_stays_so_unless_what_it_gets_is_touched(demo: FaultyDemo) -> None:
    demo.always["kb_researcher"] = demo.always["seo_specialist"] = REFUSED
    parent = parent_of(await run(demo))
    assert parent.run.status is RunStatus.DEGRADED
    demo.always.clear()

    for name in ("social_promoter", "editor"):
        edits = {name: Edit(addition="Be brief.")}
        seen = preview(parent, edits)
        result = await rerun(demo, parent, edits)

        assert asked(result) <= seen.runs
        assert "kb_researcher" not in asked(result)
        assert ("seo_specialist" in asked(result)) == (name == "editor")
        assert [m for m in result.degraded if "Knowledge base" in m]


async def test_a_failed_run_is_derived_with_what_it_has(demo: FaultyDemo) -> None:
    demo.always["content_writer"] = REFUSED
    parent = parent_of(await run(demo))
    assert parent.run.status is RunStatus.FAILED
    demo.always.clear()
    edits = {"web_researcher": Edit(output=reworded(parent, "web_researcher"))}

    seen = preview(parent, edits)
    result = await rerun(demo, parent, edits)

    assert result.status is RunStatus.DONE
    assert asked(result) == set(seen.will)
    assert not asked(result) & {"topic_planner", "kb_researcher", "web_researcher"}
    assert "content_writer" in seen.unmeasured


async def test_what_a_person_edited_is_the_content_of_the_next_run_as_well(
    demo: FaultyDemo,
) -> None:
    first = parent_of(await run(demo))
    edited = {"editor": Edit(output=reworded(first, "editor"))}
    second = parent_of(await rerun(demo, first, edited))

    after = preview(second, {"publisher": Edit()})
    before = preview(second, {"topic_planner": Edit(output=reworded(second, "topic_planner"))})

    assert (after.will, after.may) == (("publisher",), ())
    assert "editor" in before.runs  # the outline is another one: it may be edited again
    assert "content_writer" in before.will


async def test_a_derived_run_says_where_it_came_from_and_shows_no_saving(demo: FaultyDemo) -> None:
    parent = parent_of(await run(demo))
    result = await rerun(demo, parent, {"editor": Edit(output=reworded(parent, "editor"))})
    record = replace(parent_of(result).run, parent_id="first")

    bundle = Bundle(record, result.journal.events, result.journal.checkpoints)

    report = bundle.report
    assert (report["parent_run_id"], report["edited"]) == ("first", ["editor"])
    agents = {agent["agent"]: agent for agent in report["agents"]}
    assert agents["content_writer"]["taken_over"]
    assert agents["content_writer"]["calls"] == []
    assert not agents["publisher"]["taken_over"]
    assert report["timing"]["saved_s"] is None
    assert not report["timing"]["interrupted"]
    assert "earlier run" in next(h.note for h in headlines(bundle.timing) if h.key == "saved")
    chart = gantt_figure(bundle.plan, bundle.timing)
    said = [note.text for note in chart.layout.annotations]
    assert (said.count("taken over"), said.count("edited by you")) == (4, 1)
    assert bundle.timing.agent("content_writer").segments.admission_s == 0
    words = {a.agent: state_words(a, bundle.timing) for a in bundle.timing.agents}
    assert (words["editor"], words["content_writer"]) == ("edited by you", "done, taken over")
    assert "edited_by_a_person" in bundle.markdown()
    assert "Edited by a person" in bundle.html()


async def test_an_agent_that_fails_anew_does_not_leave_the_earlier_runs_output_behind(
    demo: FaultyDemo,
) -> None:
    parent = parent_of(await run(demo))
    demo.always["seo_specialist"] = REFUSED

    result = await rerun(demo, parent, {"editor": Edit(output=reworded(parent, "editor"))})

    assert "seo_specialist" not in result.outputs
    assert result.journal.checkpoints["seo_specialist"].is_offered  # readers leave it out


@pytest.mark.parametrize(
    ("name", "edit", "says"),
    [
        ("nobody", Edit(), "no agent `nobody`"),
        ("seo_specialist", Edit(output=AgentOutput("x")), "no output to edit"),
        ("editor", Edit(addition="x" * 2_001), "limit is 2,000"),
        ("editor", Edit(addition="turned \u202e around"), "turn text around"),
        ("content_writer", Edit(addition="Shorter."), "asks no model"),
        ("content_writer", Edit(instructions="Write."), "asks no model"),
        ("editor", Edit(instructions="x" * 8_001), "limit is 8,000"),
        ("editor", Edit(instructions="\x00"), "empty"),
    ],
)
async def test_an_edit_that_does_not_fit_is_refused_with_what_to_do(
    demo: FaultyDemo, name: str, edit: Edit, says: str
) -> None:
    demo.always["seo_specialist"] = REFUSED
    parent = parent_of(await run(demo, options=RunOptions(section_writing=True)))

    with pytest.raises(SpecError, match=says):
        preview(parent, {name: edit})


OPTIONS = st.sampled_from((RunOptions(), RunOptions(section_writing=True), EVERY))
NAMES = [agent.name for agent in ROSTER]
KINDS = st.sampled_from(("output", "addition", "instructions", "again"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    topic=st.sampled_from((TOPIC, "Zyxwv qrst")),  # about the second there is no source
    mode=st.sampled_from((Mode.PHASES, Mode.DATAFLOW)),
    options=OPTIONS,
    wanted=st.dictionaries(st.sampled_from(NAMES), KINDS, max_size=3),
    lost=st.sampled_from((None, "kb_researcher", "seo_specialist", "editor", "content_writer")),
    data=st.data(),
)
async def test_the_preview_covers_what_runs_and_nothing_outside_it_does(
    topic: str,
    mode: Mode,
    options: RunOptions,
    wanted: Mapping[str, str],
    lost: str | None,
    data: st.DataObject,
) -> None:
    async with FaultyDemo() as demo:
        if lost:
            demo.always[lost] = REFUSED
        spec = RunSpec(topic=topic, options=options, mode=mode)
        parent = parent_of(await run(demo, spec=spec))
        demo.always.clear()
        edits = {}
        for name, kind in wanted.items():
            if kind == "output" and name in parent.checkpoints:
                edits[name] = Edit(output=reworded(parent, name))
            elif kind == "instructions" and parent.plan.agent(name).join is None:
                edits[name] = Edit(instructions=data.draw(st.sampled_from(("Be brief.", ""))))
            elif kind == "addition" and parent.plan.agent(name).join is None:
                edits[name] = Edit(addition=data.draw(st.sampled_from(("Be brief.", "Bees."))))
            else:
                edits[name] = Edit()

        seen = preview(parent, edits)
        result = await rerun(demo, parent, edits)

        ran = asked(result)
        assert all(seen.covers(name) for name in ran)
        assert {name for name in seen.will if seen.plan.agent(name).join is None} <= ran
        if not edits and parent.run.status in COMPLETE:
            assert ran == set()
        for name, edit in edits.items():
            if edit.output is not None:
                assert result.outputs[name] == edit.output
        after = preview(parent_of(result), {})  # what was made is the content of the next run
        assert after.runs == set()
