"""The executor on the real client, over real sockets, against the demo provider with faults."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.agents.agent_manager import AgentManager
from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult, Tickets, _Execution
from pipeline.errors import PlanError, SpecError
from pipeline.estimates import Estimates
from pipeline.events import AgentFinished, AgentStarted, RepairRequested, RunFinished, RunStarted
from pipeline.journal import Journal
from pipeline.models import (
    LOCAL_OWNER,
    UNSOURCED_LABEL,
    AgentOutput,
    AgentSpec,
    AgentState,
    Importance,
    Mode,
    Need,
    OnFailure,
    RunStatus,
)
from pipeline.plan import make_plan, switchable_phases
from pipeline.spec import make_spec
from pipeline.tools import Research, ToolError
from pipeline.tools.base import Hit
from pipeline.tools.samples import SampleWeb, sample_research
from tests.faulty_demo import Answer, FaultyDemo

TOPIC = "Heat pumps in old buildings"
MODEL = "gantry-demo-instant"
NO_FINDINGS = '{"findings": [], "gaps": ["nothing"], "conflicts": []}'
REFUSED = Answer(400, code="bad")  # not retried: the agent fails for good at once


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def run(demo: FaultyDemo, journal: Journal | None = None, **brief: object) -> RunResult:
    orchestrator = ChatOrchestrator(demo.client, model=MODEL, research=sample_research())
    return await orchestrator.run_pipeline(TOPIC, journal=journal, **brief)


def states(result: RunResult) -> dict[str, str]:
    return {name: settlement.state.value for name, settlement in result.settled.items()}


async def test_a_run_ends_done_with_an_output_of_every_agent(demo: FaultyDemo) -> None:
    result = await run(demo)

    assert result.status is RunStatus.DONE
    assert list(result.outputs) and set(result.outputs) == {agent.name for agent in ROSTER}
    assert result.outputs["web_researcher"].sources


async def test_nothing_to_search_costs_no_call_and_says_what_to_set(demo: FaultyDemo) -> None:
    result = await ChatOrchestrator(demo.client, model=MODEL).run_pipeline(TOPIC)

    assert result.status is RunStatus.FAILED
    assert result.error is not None and result.error.code == "nothing_found"
    assert "GANTRY_SEARCH" in result.error.hint
    assert states(result)["web_researcher"] == "absent"
    assert result.outputs["kb_researcher"].data == {
        "findings": [],
        "gaps": ["There are no documents of your own to search."],
        "conflicts": [],
    }
    assert demo.requests == {"topic_planner": 1}


async def test_nothing_to_search_and_an_unsourced_draft_allowed_is_written_and_marked(
    demo: FaultyDemo,
) -> None:
    orchestrator = ChatOrchestrator(demo.client, model=MODEL)

    result = await orchestrator.run_pipeline(TOPIC, allow_unsourced=True)

    assert result.status is RunStatus.DEGRADED
    assert result.degraded[0] == UNSOURCED_LABEL
    assert "Web search is not configured" in result.degraded[1]


class Failing(SampleWeb):
    """A search service that is down."""

    async def search(self, query: str, *, limit: int, language: str) -> list[Hit]:
        raise ToolError("The search service does not answer.", "Try again later.")


async def test_a_search_that_fails_is_not_told_as_nothing_found(demo: FaultyDemo) -> None:
    samples = sample_research()
    research = Research(Failing(), samples.pages, samples.knowledge)

    result = await ChatOrchestrator(demo.client, model=MODEL, research=research).run_pipeline(TOPIC)

    assert result.status is RunStatus.DEGRADED
    assert states(result)["web_researcher"] == "absent"
    assert "The search service does not answer" in result.degraded[0]


@pytest.mark.parametrize("mode", list(Mode))
async def test_no_agent_starts_before_its_predecessors_have_settled(
    demo: FaultyDemo, mode: Mode
) -> None:
    result = await run(demo, mode=mode)

    seq = {}
    for event in result.journal.events:
        if isinstance(event, AgentStarted | AgentFinished):
            seq[event.kind, event.agent] = event.seq
    for name in result.plan.names:
        for before in result.plan.predecessors(name):
            assert seq["agent_finished", before] < seq["agent_started", name]


async def test_every_mode_and_switch_asks_the_same_questions(demo: FaultyDemo) -> None:
    keys = []
    phases = switchable_phases(ROSTER)
    variants = [(Mode.SEQUENTIAL, (True, True, True)), (Mode.DATAFLOW, (True, True, True))]
    variants += [(Mode.PHASES, on) for on in itertools.product((True, False), repeat=3)]
    for mode, on in variants:
        result = await run(demo, mode=mode, switches=dict(zip(phases, on, strict=True)))
        keys.append({name: c.key for name, c in result.journal.checkpoints.items()})

    assert all(key == keys[0] for key in keys)


async def test_sequential_mode_has_one_call_in_flight(demo: FaultyDemo) -> None:
    await run(demo, mode=Mode.SEQUENTIAL)

    assert demo.peak == 1


async def test_siblings_of_a_parallel_phase_are_in_flight_together(demo: FaultyDemo) -> None:
    demo.hold = {"seo_specialist": asyncio.Event(), "metrics_analyzer": asyncio.Event()}
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        going = group.create_task(run(demo))
        await demo.arrived["seo_specialist"].wait()
        await demo.arrived["metrics_analyzer"].wait()
        for event in demo.hold.values():
            event.set()

    assert demo.peak == 2
    assert going.result().status is RunStatus.DONE


@pytest.mark.parametrize(
    ("agent", "state", "status"),
    [
        ("topic_planner", AgentState.FAILED, RunStatus.FAILED),
        ("web_researcher", AgentState.ABSENT, RunStatus.DEGRADED),
        ("kb_researcher", AgentState.ABSENT, RunStatus.DEGRADED),
        ("content_writer", AgentState.FAILED, RunStatus.FAILED),
        ("editor", AgentState.SUBSTITUTED, RunStatus.DEGRADED),
        ("seo_specialist", AgentState.ABSENT, RunStatus.DEGRADED),
        ("metrics_analyzer", AgentState.SUBSTITUTED, RunStatus.DEGRADED),
        ("publisher", AgentState.SUBSTITUTED, RunStatus.DEGRADED),
        ("summary_writer", AgentState.ABSENT, RunStatus.DEGRADED),
        ("social_promoter", AgentState.ABSENT, RunStatus.DEGRADED),
    ],
)
async def test_an_agent_that_fails_for_good_settles_by_its_rule(
    demo: FaultyDemo, agent: str, state: AgentState, status: RunStatus
) -> None:
    demo.always[agent] = REFUSED

    result = await run(demo)

    assert (states(result)[agent], result.status) == (state.value, status)
    assert result.settled[agent].error
    others = {n: s for n, s in states(result).items() if n != agent}
    assert set(others.values()) <= {"done"}
    if status is RunStatus.DEGRADED:
        assert len(others) == len(ROSTER) - 1
        assert len(result.degraded) == 1


async def test_facts_of_a_long_text_are_computed_beside_the_loop(demo: FaultyDemo) -> None:
    agent = next(agent for agent in ROSTER if "computed" in agent.facts)
    spec = make_spec(topic=TOPIC)
    manager = AgentManager(demo.client, model=MODEL)
    tickets = Tickets("r1", LOCAL_OWNER, manager.model_for, Estimates())
    plan = make_plan(ROSTER, Mode.PHASES)
    execution = _Execution(spec, plan, Journal("r1"), manager, tickets)
    edited = AgentOutput("One more sentence of an article. " * 4_000)

    rendering = asyncio.create_task(execution._prompt(agent, {"editor": edited}))
    turns = 0
    while not rendering.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 1  # one is all there is when the loop computes them itself
    assert '"words": 24000' in rendering.result()
    await manager.aclose()


async def test_a_critical_failure_lets_a_sibling_in_flight_finish(demo: FaultyDemo) -> None:
    demo.always["topic_planner"] = REFUSED
    demo.hold["kb_researcher"] = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        going = group.create_task(run(demo, mode=Mode.DATAFLOW))
        await demo.arrived["topic_planner"].wait()
        await demo.arrived["kb_researcher"].wait()
        demo.hold["kb_researcher"].set()

    result = going.result()
    assert states(result) == {"topic_planner": "failed", "kb_researcher": "done"}
    assert "kb_researcher" in result.journal.checkpoints


async def test_nothing_found_stops_before_the_writer_and_offers_a_draft(demo: FaultyDemo) -> None:
    demo.always = dict.fromkeys(("web_researcher", "kb_researcher"), Answer(text=NO_FINDINGS))

    result = await run(demo)

    assert result.status is RunStatus.FAILED
    assert result.error is not None and result.error.code == "nothing_found"
    assert demo.requests["content_writer"] == 0


async def test_researchers_that_could_not_work_fail_the_run_with_their_own_error(
    demo: FaultyDemo,
) -> None:
    demo.always = dict.fromkeys(("web_researcher", "kb_researcher"), Answer(402, code="no"))

    result = await run(demo)

    assert result.status is RunStatus.FAILED
    assert result.error is not None and result.error.code == "quota"
    assert "credit" in result.error.hint
    ended = result.journal.events[-1]
    assert isinstance(ended, RunFinished)
    assert (ended.error_code, ended.hint) == ("quota", result.error.hint)
    assert demo.requests["content_writer"] == 0


async def test_one_researcher_that_looked_and_found_nothing_is_enough_to_offer_a_draft(
    demo: FaultyDemo,
) -> None:
    demo.always = {"web_researcher": REFUSED, "kb_researcher": Answer(text=NO_FINDINGS)}

    result = await run(demo)

    assert result.error is not None and result.error.code == "nothing_found"


async def test_an_allowed_unsourced_draft_is_written_and_marked(demo: FaultyDemo) -> None:
    demo.always = dict.fromkeys(("web_researcher", "kb_researcher"), Answer(text=NO_FINDINGS))

    result = await run(demo, allow_unsourced=True)

    assert result.status is RunStatus.DEGRADED
    assert UNSOURCED_LABEL in result.degraded
    assert '"unsourced": true' in result.outputs["content_writer"].prompt


async def test_one_silent_researcher_is_enough_of_a_loss_to_go_on_with_the_other(
    demo: FaultyDemo,
) -> None:
    demo.always["kb_researcher"] = Answer(text=NO_FINDINGS)

    result = await run(demo)

    assert result.status is RunStatus.DONE


async def test_an_answer_that_does_not_fit_gets_two_repair_turns_then_the_rule(
    demo: FaultyDemo,
) -> None:
    demo.always["seo_specialist"] = Answer(text="no json here")

    result = await run(demo)

    repairs = [e for e in result.journal.events if isinstance(e, RepairRequested)]
    assert (demo.requests["seo_specialist"], len(repairs)) == (3, 2)
    assert states(result)["seo_specialist"] == "absent"


async def test_a_repaired_answer_counts(demo: FaultyDemo) -> None:
    demo.script["summary_writer"] = [Answer(text="not yet")]

    result = await run(demo)

    assert states(result)["summary_writer"] == "done"
    assert demo.requests["summary_writer"] == 2


async def test_findings_that_cite_nothing_retrieved_are_dropped(demo: FaultyDemo) -> None:
    invented = (
        '{"findings": [{"claim": "c", "quote": "q", "source_id": "S00000", "confidence": "high"}],'
        ' "gaps": [], "conflicts": []}'
    )
    demo.always["kb_researcher"] = Answer(text=invented)

    result = await run(demo)

    data = result.outputs["kb_researcher"].data
    assert data is not None
    assert data["findings"] == []
    assert "1 findings were dropped" in data["gaps"][0]


async def test_a_server_error_is_tried_again_and_its_attempt_discarded(demo: FaultyDemo) -> None:
    demo.script["editor"] = [Answer(503, headers={"retry-after-ms": "1"})]

    result = await run(demo)

    outcomes = [
        e.outcome
        for e in result.journal.events
        if e.kind == "call_finished" and getattr(e, "agent", "") == "editor"
    ]
    assert outcomes == ["discarded", "used"]
    assert result.status is RunStatus.DONE


async def test_a_second_epoch_keeps_every_finished_agent(demo: FaultyDemo) -> None:
    demo.always["content_writer"] = REFUSED
    failed = await run(demo)
    demo.always.clear()
    before = demo.requests.copy()
    journal = Journal(
        failed.run_id,
        epoch=2,
        offset_s=failed.journal.now_s(),
        events=list(failed.journal.events),
        checkpoints=failed.journal.checkpoints,
    )

    result = await run(demo, journal=journal)

    asked_again = demo.requests - before
    assert result.status is RunStatus.DONE
    assert not {"topic_planner", "web_researcher", "kb_researcher"} & set(asked_again)
    reused = {e.agent for e in journal.events if isinstance(e, AgentFinished) and e.reused}
    assert reused == {"topic_planner", "web_researcher", "kb_researcher"}
    assert {name: journal.text(name) for name in reused} == {
        name: failed.outputs[name].text for name in reused
    }


async def test_an_absence_that_finished_work_rests_on_is_kept(demo: FaultyDemo) -> None:
    demo.always["web_researcher"] = REFUSED
    demo.always["editor"] = demo.always["publisher"] = REFUSED
    first = await run(demo)
    demo.always.clear()
    before = demo.requests.copy()
    journal = Journal(
        first.run_id,
        epoch=2,
        events=list(first.journal.events),
        checkpoints=first.journal.checkpoints,
    )

    result = await run(demo, journal=journal)

    assert states(result)["web_researcher"] == "absent"
    assert (demo.requests - before)["content_writer"] == 0


async def test_cancelling_closes_the_call_and_starts_nothing_more(demo: FaultyDemo) -> None:
    demo.hold["content_writer"] = asyncio.Event()
    journal = Journal("cancelled")
    task = asyncio.create_task(run(demo, journal=journal))
    async with asyncio.timeout(30):
        await demo.arrived["content_writer"].wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await demo.dropped["content_writer"].wait()

    assert demo.order[-1] == "content_writer"
    last = [e for e in journal.events if isinstance(e, AgentFinished)][-1]
    assert (last.agent, last.state) == ("content_writer", "cancelled")


async def test_a_bad_brief_is_refused_before_the_first_call(demo: FaultyDemo) -> None:
    orchestrator = ChatOrchestrator(demo.client, model=MODEL, research=sample_research())

    with pytest.raises(SpecError, match="empty"):
        await orchestrator.run_pipeline("  ")
    with pytest.raises(PlanError, match="no switch"):
        await orchestrator.run_pipeline("Bees", switches={"writing": False})

    assert not demo.requests


async def test_a_new_agent_is_an_entry_in_the_roster_and_a_prompt_file(
    demo: FaultyDemo, tmp_path: Path
) -> None:
    """What docs/adding-an-agent.md shows: two translators make a new parallel phase."""
    entries = []
    for language in ("german", "french"):
        prompt = tmp_path / f"{language}.md"
        prompt.write_text(f"Agent: {language}_translator\n\nTranslate the article.")
        entries.append(
            AgentSpec(
                name=f"{language}_translator",
                title=f"{language.title()} translator",
                phase="translation",
                importance=Importance.OPTIONAL,
                on_failure=OnFailure.ABSENT,
                prompt_file=str(prompt),
                needs=(Need("editor"),),
            )
        )
    roster = (*ROSTER, *entries)

    orchestrator = ChatOrchestrator(
        demo.client, model=MODEL, roster=roster, research=sample_research()
    )
    result = await orchestrator.run_pipeline(TOPIC)

    assert switchable_phases(roster) == ("research", "enhancement", "distribution", "translation")
    assert result.outputs["german_translator"].text
    assert make_plan(roster, Mode.PHASES, {"translation": False}).order_edges >= {
        ("german_translator", "french_translator")
    }


async def test_the_account_begins_and_ends_with_the_run(demo: FaultyDemo) -> None:
    result = await run(demo)

    events = result.journal.events
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert all(a.at_s <= b.at_s for a, b in itertools.pairwise(events))
