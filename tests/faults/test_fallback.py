"""Another model takes over for an agent whose own failed for good, and the record names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from logging import WARNING

import pytest

from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.engine.continuing import continued_with
from pipeline.engine.fact_log import log_line
from pipeline.events import CallSent, ModelFellBack
from pipeline.export.bundle import Bundle
from pipeline.models import RunRecord, RunStatus
from pipeline.telemetry import trace_of
from pipeline.tools.samples import sample_research
from pipeline.views.cards import card_states
from pipeline.views.progress import progress_line
from tests.faulty_demo import Answer, FaultyDemo

FIRST, SECOND = "gantry-demo-instant", "gantry-demo"
TOPIC = "Heat pumps in old buildings"
WORTH_IT = {
    "500": Answer(500),
    "404": Answer(404, code="model_not_found"),
    "context": Answer(400, code="context_length_exceeded"),
    "429": Answer(429, headers={"retry-after": "300"}),
}
NOT_WORTH_IT = {
    "401": Answer(401),
    "quota": Answer(429, code="insufficient_quota"),
    "content": Answer(400, code="content_filter"),
}


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def run(demo: FaultyDemo, **brief: object) -> RunResult:
    orchestrator = ChatOrchestrator(demo.client, model=FIRST, research=sample_research())
    return await orchestrator.run_pipeline(TOPIC, **brief)


def asked(result: RunResult, agent: str) -> list[str]:
    events = result.journal.events
    return [e.request_model for e in events if isinstance(e, CallSent) and e.agent == agent]


@pytest.mark.parametrize("answer", WORTH_IT.values(), ids=WORTH_IT)
async def test_a_model_that_fails_for_good_is_replaced_and_the_record_says_so(
    demo: FaultyDemo, answer: Answer
) -> None:
    tries = 3 if answer.status == 500 else 1
    demo.script["content_writer"] = [answer] * tries

    result = await run(demo, fallback_model=SECOND)

    assert result.status is RunStatus.DONE
    assert asked(result, "content_writer") == [FIRST] * tries + [SECOND]
    (fact,) = [e for e in result.journal.events if isinstance(e, ModelFellBack)]
    assert (fact.agent, fact.model, fact.fallback) == ("content_writer", FIRST, SECOND)
    output = result.outputs["content_writer"]
    assert output.request_model == SECOND
    shown = result.journal.text("content_writer")
    assert shown.strip() == output.text.strip()  # nothing doubled
    record = RunRecord("r", "local", result.status, 1, result.spec, datetime.now(UTC))
    bundle = Bundle(record, result.journal.events, result.journal.checkpoints)
    told = next(a for a in bundle.report["agents"] if a["agent"] == "content_writer")
    assert told["model"] == SECOND
    assert [call["model"] for call in told["calls"]] == [FIRST] * tries + [SECOND]
    card = next(
        c for c in card_states(result.plan, result.journal.events) if c.agent == "content_writer"
    )
    assert f"with {SECOND}, because {FIRST} failed" in card.detail
    assert f"goes on with {SECOND}" in progress_line(fact)


@pytest.mark.parametrize("answer", NOT_WORTH_IT.values(), ids=NOT_WORTH_IT)
async def test_what_no_other_model_would_mend_stops_the_run(
    demo: FaultyDemo, answer: Answer
) -> None:
    demo.always["content_writer"] = answer

    result = await run(demo, fallback_model=SECOND)

    assert result.status is RunStatus.FAILED
    assert asked(result, "content_writer") == [FIRST]


async def test_each_agent_may_have_its_own_fallback_and_it_is_tried_once(demo: FaultyDemo) -> None:
    demo.always["content_writer"] = demo.always["editor"] = WORTH_IT["404"]

    result = await run(demo, fallback_models={"content_writer": SECOND})

    assert result.status is RunStatus.FAILED
    assert asked(result, "content_writer") == [FIRST, SECOND]


async def test_the_key_of_a_checkpoint_names_the_model_that_was_asked_for(demo: FaultyDemo) -> None:
    demo.script["content_writer"] = [WORTH_IT["404"]]
    demo.always["editor"] = Answer(401)

    result = await run(demo, fallback_model=SECOND)

    checkpoint = result.journal.checkpoints["content_writer"]
    agent = next(agent for agent in ROSTER if agent.name == "content_writer")
    assert checkpoint.output.request_model == SECOND
    spec = continued_with(
        result.spec, "third", result.journal.events, dict(result.journal.checkpoints)
    )
    assert spec.model_for(agent) == FIRST  # so that going on does not pay for it again


async def test_log_and_trace_name_both_models(demo: FaultyDemo) -> None:
    demo.script["content_writer"] = [Answer(404, code="model_not_found")]

    result = await run(demo, fallback_model=SECOND)

    lines = [line for e in result.journal.events if (line := log_line(e)) is not None]
    (told,) = [line for line in lines if "fallback" in line.fields]
    assert (told.level, told.message.partition(":")[0]) == (WARNING, f"Goes on with {SECOND}")
    assert told.fields["agent"] == "content_writer"
    assert (told.fields["model"], told.fields["fallback"]) == (FIRST, SECOND)
    trace = trace_of("id", result.spec, result.journal.events)
    assert trace is not None
    (writer,) = [span for span in trace.children if span.name.endswith("content_writer")]
    (moment,) = [m for m in writer.moments if m.name == "gantry.fallback"]
    assert (moment.attributes["model"], moment.attributes["fallback"]) == (FIRST, SECOND)
    assert moment.attributes["error.type"] == told.fields["error_code"]
