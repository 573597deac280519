"""Plans that grow while they run: the real executor and client, over sockets, against the demo."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import msgspec
import pytest

from pipeline.agents.prompting import instructions
from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.errors import PlanError
from pipeline.events import AgentFinished, AnyEvent, PlanGrown, SpeculationJudged
from pipeline.journal import Journal
from pipeline.models import (
    DEMO_LABEL,
    WORDS,
    AgentState,
    Checkpoint,
    Length,
    Mode,
    RunOptions,
    RunSpec,
    RunStatus,
)
from pipeline.plan import grown_plan
from pipeline.timing import run_timing
from pipeline.tools.samples import sample_research
from tests.faulty_demo import Answer, FaultyDemo

pytestmark = pytest.mark.slow

TOPIC = "Heat pumps in old buildings"
MODEL = "gantry-demo-instant"
REFUSED = Answer(400, code="bad")  # not retried: the agent fails for good at once
WRITING = {"section_writing": True}
SECTIONS = {"section_writing": True, "section_editing": True}
SPECULATIVE = {"speculative_research": True}
WRITERS = [f"content_writer/{n}" for n in range(1, 6)]
EDITORS = [f"editor/{n}" for n in range(1, 6)]


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def run(demo: FaultyDemo, journal: Journal | None = None, **brief: object) -> RunResult:
    brief.setdefault("options", WRITING)
    brief.setdefault("mode", Mode.DATAFLOW)
    orchestrator = ChatOrchestrator(demo.client, model=MODEL, research=sample_research())
    return await orchestrator.run_pipeline(TOPIC, journal=journal, **brief)


def states(result: RunResult) -> dict[str, str]:
    return {name: settlement.state.value for name, settlement in result.settled.items()}


def next_epoch(result: RunResult, events: Sequence[AnyEvent] | None = None) -> Journal:
    return Journal(
        result.run_id,
        epoch=2,
        offset_s=result.journal.now_s(),
        events=list(result.journal.events if events is None else events),
        checkpoints=result.journal.checkpoints,
    )


async def test_the_writer_becomes_one_call_per_section_and_a_join(demo: FaultyDemo) -> None:
    result = await run(demo)

    assert result.status is RunStatus.DONE
    assert [name for name in result.plan.names if name.startswith("content_writer")] == [
        *WRITERS,
        "content_writer",
    ]
    assert all(demo.requests[name] == 1 for name in WRITERS)
    assert demo.requests["content_writer"] == 0
    plan = result.outputs["topic_planner"].data
    assert plan is not None
    headings = [section["heading"] for section in plan["outline"]]
    article = result.outputs["content_writer"].text
    assert article.startswith(f"# {plan['title']}\n")
    assert re.findall(r"(?m)^## (.+)$", article) == headings


async def test_the_growth_stands_in_the_account_right_before_the_planner_is_done(
    demo: FaultyDemo,
) -> None:
    result = await run(demo)

    events = result.journal.events
    at = next(i for i, e in enumerate(events) if isinstance(e, PlanGrown))
    after = events[at + 1]
    assert events[at] == PlanGrown(
        epoch=1,
        seq=at + 1,
        at_s=events[at].at_s,
        agent="topic_planner",
        parts=[[0], [1], [2], [3], [4]],
    )
    assert isinstance(after, AgentFinished) and after.agent == "topic_planner"


async def test_a_new_outline_asks_anew_for_a_part_that_was_left_out_under_the_old_one(
    demo: FaultyDemo,
) -> None:
    first = await run(demo, options=SECTIONS)
    events = [
        msgspec.structs.replace(e, state=AgentState.ABSENT.value, mark="missing")
        if isinstance(e, AgentFinished) and e.agent == "editor/2"
        else e
        for e in first.journal.events
    ]
    journal = next_epoch(first, events)
    kept = {n: c for n, c in journal.checkpoints.items() if n != "editor/2"}
    planner = replace(kept["topic_planner"], key="of a prompt that has changed since")
    journal._checkpoints = kept | {"topic_planner": planner}

    result = await run(demo, journal, options=SECTIONS)

    assert result.status is RunStatus.DONE
    assert states(result)["editor/2"] == "done"


async def test_the_sections_are_in_flight_together(demo: FaultyDemo) -> None:
    demo.hold = {name: asyncio.Event() for name in WRITERS}
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        going = group.create_task(run(demo))
        for name in WRITERS:
            await demo.arrived[name].wait()
        for event in demo.hold.values():
            event.set()

    assert demo.peak >= 5
    assert going.result().status is RunStatus.DONE


async def test_an_editor_of_a_section_does_not_wait_for_the_whole_draft(demo: FaultyDemo) -> None:
    demo.hold = {"content_writer/5": asyncio.Event()}
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        going = group.create_task(run(demo, options=SECTIONS))
        await demo.arrived["editor/1"].wait()  # while the last section is being written
        assert demo.requests["editor/5"] == 0
        demo.hold["content_writer/5"].set()

    assert going.result().status is RunStatus.DONE


@pytest.mark.parametrize("mode", list(Mode))
async def test_every_mode_asks_the_sections_the_same(demo: FaultyDemo, mode: Mode) -> None:
    off = {"writing": False, "editing": False}
    first = await run(demo, options=SECTIONS)
    other = await run(demo, options=SECTIONS, mode=mode, switches=off)

    keys = [{n: c.key for n, c in r.journal.checkpoints.items()} for r in (first, other)]
    assert keys[0] == keys[1]
    assert set(EDITORS) <= keys[0].keys()


async def test_sequential_mode_writes_one_section_after_the_other(demo: FaultyDemo) -> None:
    await run(demo, options=SECTIONS, mode=Mode.SEQUENTIAL)

    assert demo.peak == 1
    assert [name for name in demo.order if "/" in name] == [*WRITERS, *EDITORS]


async def test_each_section_sees_its_own_evidence_and_cites_nothing_else(demo: FaultyDemo) -> None:
    result = await run(demo)

    cited: list[str] = []
    for name in WRITERS:
        output = result.outputs[name]
        own = set(re.findall(r"\[(S[0-9a-f]{5,12})\]", output.text))
        assert all(f'"source_id": "{identity}"' in output.prompt for identity in own)
        cited += own
    assert len(cited) == len(set(cited)) >= 5


@pytest.mark.parametrize("length", list(Length))
async def test_the_demo_writes_sections_of_the_length_asked_for_in_its_own_voice(
    demo: FaultyDemo, length: Length
) -> None:
    first = await run(demo, options=SECTIONS, length=length)
    second = await run(demo, options=SECTIONS, length=length, mode=Mode.SEQUENTIAL)

    article = first.outputs["content_writer"].text
    assert abs(len(article.split()) / WORDS[length] - 1) <= 0.3
    assert article.count(DEMO_LABEL) == 1
    assert first.outputs["editor"].text != article
    sources = {s.id: s.passage for o in first.outputs.values() for s in o.sources}
    for match in re.finditer(r"([^.!?\]]+) \[(S[0-9a-f]{5,12})\][.!?]", article):
        assert match[1].strip() in sources[match[2]]
    assert first.outputs["editor"].text == second.outputs["editor"].text


async def test_an_outline_of_two_sections_is_written_by_one_call(demo: FaultyDemo) -> None:
    section = {"heading": "H", "goal": "g", "key_questions": ["q"], "word_budget": 100}
    plan = {
        "title": "T",
        "angle": "a",
        "intent": "i",
        "outline": [{"id": "s1", **section}, {"id": "s2", **section}],
        "search_queries": [{"query": TOPIC, "reason": "r"}],
        "keywords": ["k"],
        "out_of_scope": [],
    }
    demo.always["topic_planner"] = Answer(text=json.dumps(plan))

    result = await run(demo, options=SECTIONS)

    assert result.status is RunStatus.DONE
    assert demo.requests["content_writer"] == 1
    assert [e.parts for e in result.journal.events if isinstance(e, PlanGrown)] == [[]]


async def test_a_section_that_fails_for_good_stops_the_run_and_keeps_the_others(
    demo: FaultyDemo,
) -> None:
    demo.always["content_writer/3"] = REFUSED
    failed = await run(demo)
    assert failed.status is RunStatus.FAILED
    assert states(failed)["content_writer/3"] == "failed"
    assert {states(failed)[n] for n in WRITERS if n != "content_writer/3"} == {"done"}
    demo.always.clear()
    before = demo.requests.copy()

    result = await run(demo, journal=next_epoch(failed))

    assert result.status is RunStatus.DONE
    again = {name for name in demo.requests - before if name.startswith("content_writer")}
    assert again == {"content_writer/3"}
    assert len([e for e in result.journal.events if isinstance(e, PlanGrown)]) == 1


async def test_an_editor_of_a_section_that_fails_leaves_its_draft_and_a_mark(
    demo: FaultyDemo,
) -> None:
    demo.always["editor/2"] = REFUSED

    result = await run(demo, options=SECTIONS)

    assert result.status is RunStatus.DEGRADED
    assert states(result)["editor/2"] == AgentState.SUBSTITUTED
    assert [mark for mark in result.degraded if "Section 2 was not edited" in mark]


async def test_an_edit_that_loses_its_section_is_not_taken(demo: FaultyDemo) -> None:
    demo.always["editor/2"] = Answer(text="## Gone\n\nNothing.")

    result = await run(demo, options=SECTIONS)

    assert states(result)["editor"] == "substituted"
    assert any(mark.startswith("Section 2 stands as drafted") for mark in result.degraded)
    assert "Nothing." not in result.outputs["editor"].text


async def test_nothing_found_stops_before_any_section(demo: FaultyDemo) -> None:
    nothing = Answer(text='{"findings": [], "gaps": ["nothing"], "conflicts": []}')
    demo.always = dict.fromkeys(("web_researcher", "kb_researcher"), nothing)

    result = await run(demo)
    unsourced = await run(demo, allow_unsourced=True)

    assert result.error is not None and result.error.code == "nothing_found"
    assert not {name for name in result.settled if states(result)[name] == "done"} & set(WRITERS)
    assert unsourced.status is RunStatus.DEGRADED
    assert '"unsourced": true' in unsourced.outputs["content_writer/2"].prompt


async def test_an_option_switched_on_later_grows_a_plan_whose_outline_exists(
    demo: FaultyDemo,
) -> None:
    demo.always["content_writer"] = REFUSED
    failed = await run(demo, options={})

    result = await run(demo, journal=next_epoch(failed), options=WRITING)

    assert result.status is RunStatus.DONE
    assert demo.requests["topic_planner"] == 1
    assert all(demo.requests[name] == 1 for name in WRITERS)


async def test_the_model_of_an_agent_is_the_model_of_its_sections(demo: FaultyDemo) -> None:
    result = await run(demo, agent_models={"content_writer": "gantry-demo-fast"})

    sent = {e.agent: e.request_model for e in result.journal.events if e.kind == "call_sent"}  # type: ignore[union-attr]
    assert {sent[name] for name in WRITERS} == {"gantry-demo-fast"}
    assert sent["editor"] == MODEL


def test_every_part_and_forerunner_has_a_prompt_that_names_it() -> None:
    spec = RunSpec(topic=TOPIC, mode=Mode.PHASES, options=RunOptions(**SECTIONS, **SPECULATIVE))
    agents = [a for a in grown_plan(ROSTER, spec).foreseen() if a.join is None]

    for agent in agents:
        assert instructions(agent).startswith(f"Agent: {agent.name}\n")
        assert "{number}" not in instructions(agent)
    assert {"editor/3", "web_researcher/early"} <= {agent.name for agent in agents}


async def test_a_join_takes_no_service_time_and_the_bound_goes_through_the_sections(
    demo: FaultyDemo,
) -> None:
    result = await run(demo, options=SECTIONS)

    timing = run_timing(result.plan, result.journal.events)
    assert timing.agent("content_writer").service_s == 0
    assert timing.agent("content_writer").calls == ()
    assert timing.agent("content_writer/1").service_s > 0
    assert timing.bound_s is not None and timing.makespan_s is not None
    assert timing.bound_s <= timing.makespan_s


# -- crashes ----------------------------------------------------------------------------------


def left_behind(
    events: Sequence[AnyEvent], checkpoints: dict[str, Checkpoint], *, committed: bool
) -> dict[str, Checkpoint]:
    """The checkpoints there are when the process died after `events`.

    An agent's checkpoint comes between its last fact and `AgentFinished`; `committed` says whether
    it was made when the crash fell right there.
    """
    kept = {e.agent for e in events if isinstance(e, AgentFinished)}
    last = events[-1]
    if committed and isinstance(last, PlanGrown):
        kept.add(last.agent)
    return {name: c for name, c in checkpoints.items() if name in kept}


async def crash_and_resume(
    demo: FaultyDemo, whole: RunResult, count: int, *, committed: bool
) -> None:
    events = list(whole.journal.events[:count])
    kept = left_behind(events, dict(whole.journal.checkpoints), committed=committed)
    before = demo.requests.copy()
    journal = Journal("again", epoch=2, events=list(events), checkpoints=kept)

    result = await run(demo, journal=journal, options=whole.spec.options.model_dump())

    asked = set(demo.requests - before)
    assert result.status is RunStatus.DONE, (count, result.error)
    assert not asked & kept.keys(), count
    assert result.plan == whole.plan
    assert {n: o.text for n, o in result.outputs.items()} == {
        n: o.text for n, o in whole.outputs.items()
    }
    assert grown_plan(ROSTER, result.spec, result.journal.events) == result.plan
    timing = run_timing(result.plan, result.journal.events)
    assert all(agent.finished_s is not None for agent in timing.agents)


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("after", [-1, 0, 1])
async def test_a_crash_around_the_growth_loses_neither_plan_nor_work(
    demo: FaultyDemo, after: int, committed: bool
) -> None:
    whole = await run(demo)
    grown = next(i for i, e in enumerate(whole.journal.events, 1) if isinstance(e, PlanGrown))

    await crash_and_resume(demo, whole, grown + after, committed=committed)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_crash_after_any_fact_ends_in_the_same_plan_and_repeats_no_section(
    demo: FaultyDemo,
) -> None:
    whole = await run(demo, options=SECTIONS)

    for count in range(1, len(whole.journal.events)):
        await crash_and_resume(demo, whole, count, committed=count % 2 == 0)


async def test_a_growth_whose_checkpoint_was_lost_is_grown_anew_by_the_new_outline(
    demo: FaultyDemo,
) -> None:
    whole = await run(demo)
    events = list(whole.journal.events)
    at = next(i for i, e in enumerate(events) if isinstance(e, PlanGrown))
    stale = PlanGrown(
        epoch=1, seq=at + 1, at_s=events[at].at_s, agent="topic_planner", parts=[[0], [1], [2, 3]]
    )
    journal = Journal("again", epoch=2, events=[*events[:at], stale], checkpoints={})

    result = await run(demo, journal=journal)

    assert result.plan == whole.plan
    assert grown_plan(ROSTER, result.spec, result.journal.events) == whole.plan


# -- speculation ------------------------------------------------------------------------------


async def test_the_early_researcher_starts_with_the_planner_and_is_topped_up(
    demo: FaultyDemo,
) -> None:
    result = await run(demo, options=SPECULATIVE, mode=Mode.PHASES)

    assert result.status is RunStatus.DONE
    early, final = result.outputs["web_researcher/early"], result.outputs["web_researcher"]
    assert early.data is not None and final.data is not None
    assert '<section name="web_researcher/early">' in final.prompt
    known = {(f["source_id"], f["claim"]) for f in final.data["findings"]}
    kept = {(f["source_id"], f["claim"]) for f in early.data["findings"]} & known
    judged = [e for e in result.journal.events if isinstance(e, SpeculationJudged)]
    assert [(e.agent, e.findings, e.kept) for e in judged] == [
        ("web_researcher/early", len(early.data["findings"]), len(kept))
    ]
    assert kept  # cited from passages that only the early researcher retrieved


async def test_what_was_wasted_is_no_service_time(demo: FaultyDemo) -> None:
    nothing = '{"findings": [], "gaps": [], "conflicts": []}'
    demo.always["web_researcher"] = Answer(text=nothing)

    result = await run(demo, options=SPECULATIVE)

    timing = run_timing(result.plan, result.journal.events).agent("web_researcher/early")
    assert timing.speculation is not None
    assert (timing.speculation.kept, timing.speculation.wasted_share) == (0, 1.0)
    assert timing.speculation.wasted_tokens == timing.speculation.output_tokens
    assert timing.service_s == 0
    assert timing.busy


async def test_an_early_researcher_that_fails_costs_nothing_but_itself(demo: FaultyDemo) -> None:
    demo.always["web_researcher/early"] = REFUSED

    result = await run(demo, options=SPECULATIVE)

    assert (result.status, result.degraded) == (RunStatus.DONE, ())
    assert states(result)["web_researcher/early"] == "absent"
    assert result.outputs["web_researcher"].sources


async def test_findings_of_the_early_researcher_alone_do_not_make_a_sourced_article(
    demo: FaultyDemo,
) -> None:
    demo.always["web_researcher"] = demo.always["kb_researcher"] = REFUSED

    result = await run(demo, options=SPECULATIVE)

    assert states(result)["web_researcher/early"] == "done"
    assert result.error is not None and result.error.code == "bad_request"


async def test_speculation_in_sequential_mode_is_refused_before_the_first_call(
    demo: FaultyDemo,
) -> None:
    with pytest.raises(PlanError, match="sequential"):
        await run(demo, options=SPECULATIVE, mode=Mode.SEQUENTIAL)

    assert not demo.requests
