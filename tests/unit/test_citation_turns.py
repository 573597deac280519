"""Citations are checked after every stage: one turn to mend them, then code takes out and flags."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.events import RemarksMade
from pipeline.models import FlagKind, RunStatus
from pipeline.tools.samples import sample_research
from tests.faulty_demo import Answer, FaultyDemo

pytestmark = pytest.mark.slow

TOPIC = "Heat pumps in old buildings"
MODEL = "gantry-demo-instant"


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def run(demo: FaultyDemo, **brief: object) -> RunResult:
    orchestrator = ChatOrchestrator(demo.client, model=MODEL, research=sample_research())
    return await orchestrator.run_pipeline(TOPIC, **brief)


def turns(result: RunResult, agent: str) -> list[str]:
    return [
        e.remarks for e in result.journal.events if isinstance(e, RemarksMade) and e.agent == agent
    ]


def kinds(result: RunResult, agent: str) -> list[FlagKind]:
    return [flag.kind for flag in result.outputs[agent].flags]


async def test_the_demo_cites_without_fault(demo: FaultyDemo) -> None:
    result = await run(demo, options={"section_writing": True, "section_editing": True})

    assert not [e for e in result.journal.events if isinstance(e, RemarksMade)]
    assert {name: output.flags for name, output in result.outputs.items() if output.flags} == {}


async def test_a_writer_that_mends_its_citations_in_its_turn_leaves_no_flag(
    demo: FaultyDemo,
) -> None:
    draft = (await run(demo)).outputs["content_writer"].text
    demo.script["content_writer"] = [Answer(text=draft + "\n\nCoal warms best [S99999].\n")]

    result = await run(demo)

    (asked,) = turns(result, "content_writer")
    assert "“Coal warms best.”: `S99999` is the id of no source." in asked
    assert kinds(result, "content_writer") == []
    assert "Coal" not in result.outputs["content_writer"].text


async def test_what_a_writer_does_not_mend_is_taken_out_and_flagged(demo: FaultyDemo) -> None:
    draft = (await run(demo)).outputs["content_writer"].text
    faults = "Coal warms best [S99999]. Peat [7] too, says https://invented.example/peat.\n"
    demo.always["content_writer"] = Answer(text=f"{draft}\n\n{faults}\n## Sources\n\n1. A book\n")
    before = demo.requests["content_writer"]

    result = await run(demo)

    assert demo.requests["content_writer"] - before == 2  # the answer and one turn
    assert kinds(result, "content_writer") == [
        FlagKind.UNKNOWN_KEY, FlagKind.RAW_NUMBER, FlagKind.INVENTED_URL, FlagKind.SOURCE_LIST,
    ]  # fmt: skip
    text = result.outputs["content_writer"].text
    assert "Coal warms best." in text
    assert not any(sign in text for sign in ("S99999", "[7]", "invented.example", "A book"))
    assert result.status is RunStatus.DONE


async def test_a_turn_that_fails_for_good_leaves_the_draft_there_is(demo: FaultyDemo) -> None:
    draft = (await run(demo)).outputs["content_writer"].text
    demo.script["content_writer"] = [
        Answer(text=draft + "\n\nCoal warms best [S99999].\n"),
        Answer(400, code="bad"),
    ]

    result = await run(demo)

    assert result.status is RunStatus.DONE
    assert kinds(result, "content_writer") == [FlagKind.UNKNOWN_KEY]


async def test_an_answer_without_any_citation_is_not_taken_for_a_better_one(
    demo: FaultyDemo,
) -> None:
    draft = (await run(demo)).outputs["content_writer"].text
    bare = "\n".join(line.split("[")[0] if "[S" in line else line for line in draft.split("\n"))
    demo.script["content_writer"] = [
        Answer(text=draft + "\n\nCoal warms best [S99999].\n"),
        Answer(text=bare + "\n" + "More words to be as long. " * 60),
    ]

    result = await run(demo)

    assert "[S" in result.outputs["content_writer"].text


async def test_a_part_of_the_writer_is_checked_and_the_joined_text_keeps_its_flags(
    demo: FaultyDemo,
) -> None:
    part = "## Heading\n\nCoal warms best [S99999] by far.\n"
    demo.always["content_writer/2"] = Answer(text=part)

    result = await run(demo, options={"section_writing": True})

    assert kinds(result, "content_writer/2") == [FlagKind.UNKNOWN_KEY]
    assert kinds(result, "content_writer") == [FlagKind.UNKNOWN_KEY]
    assert "S99999" not in result.outputs["content_writer"].text


async def test_an_editor_that_loses_a_source_is_asked_and_then_flagged(demo: FaultyDemo) -> None:
    edited = (await run(demo)).outputs["editor"].text
    start = edited.index("[S")
    key = edited[start : edited.index("]", start) + 1]
    demo.always["editor"] = Answer(text=edited.replace(f" {key}", ""))

    result = await run(demo)

    (asked,) = turns(result, "editor")
    assert key[1:-1] in asked and "Put it back, or cut the claim" in asked
    assert FlagKind.LOST_KEY in kinds(result, "editor")


async def test_findings_of_nothing_that_was_retrieved_are_asked_for_once_more(
    demo: FaultyDemo,
) -> None:
    found = (await run(demo)).outputs["kb_researcher"].data
    demo.always["kb_researcher"] = Answer(text=json.dumps(found))  # no tool is called now

    result = await run(demo)

    (asked,) = turns(result, "kb_researcher")
    assert "No tool returned a passage" in asked
    assert set(kinds(result, "kb_researcher")) == {FlagKind.UNKNOWN_SOURCE}


async def test_a_summary_cites_nothing_and_code_sees_to_it_without_a_turn(demo: FaultyDemo) -> None:
    summary = {"tldr": "Warm [Sfffff1].", "abstract": "Warm houses.", "key_points": ["a", "b", "c"]}
    edited = (await run(demo)).outputs["editor"].text
    key = edited[edited.index("[S") :].split("]")[0][1:]
    summary["tldr"] = f"Warm (see [{key}])."
    demo.always["summary_writer"] = Answer(text=json.dumps(summary))

    result = await run(demo)

    data = result.outputs["summary_writer"].data
    assert data is not None
    assert key not in json.dumps(data)
