"""Calls as a model writes them: run when they fit, answered with a reason when they do not."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.agents.roster import ROSTER
from pipeline.tools import TOOLS, Tool, ToolContext, ToolError, run_tool, tool_definitions

SOURCE_ID = re.compile(r"S[0-9a-f]{5}")


def test_every_tool_of_the_roster_exists() -> None:
    assert {name for agent in ROSTER for name in agent.tools} <= TOOLS.keys()


def test_a_definition_has_the_form_of_the_protocol() -> None:
    (definition,) = tool_definitions(["search_samples"])

    function = definition["function"]
    assert definition["type"] == "function"
    assert function["name"] == "search_samples"
    assert function["parameters"]["required"] == ["query", "shelf"]
    assert function["parameters"]["additionalProperties"] is False
    assert function["parameters"]["properties"]["shelf"]["enum"] == ["web", "knowledge"]


def test_an_unknown_tool_cannot_be_offered() -> None:
    with pytest.raises(ToolError, match="no tool `launch`"):
        tool_definitions(["launch"])


async def test_a_search_gives_passages_and_the_sources_to_cite() -> None:
    result = await run_tool("search_samples", '{"query": "home composting", "shelf": "web"}')

    rows = json.loads(result.content)
    assert rows and {"id", "title", "publisher", "passage"} == rows[0].keys()
    assert [row["id"] for row in rows] == [source.id for source in result.sources]
    assert all(SOURCE_ID.fullmatch(row["id"]) for row in rows)
    assert result.sources[0].url.startswith("sample:web/")
    assert result.sources[0].publisher == "Gantry sample collection"


async def test_reading_gives_each_paragraph_behind_its_own_id() -> None:
    found = await run_tool("search_samples", '{"query": "worm bin", "shelf": "knowledge"}')
    identity = found.sources[0].id

    result = await run_tool("read_sample", json.dumps({"id": identity}))

    document = json.loads(result.content)
    assert document["id"] == identity
    assert identity in {source.id for source in result.sources}
    assert document["text"] == "\n\n".join(f"[{s.id}] {s.passage}" for s in result.sources)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("launch", "{}", "no tool `launch`"),
        ("search_samples", "{query:", "not JSON"),
        ("search_samples", "[1]", "do not fit"),
        ("search_samples", "", "query: Field required"),
        ("search_samples", '{"query": "x", "shelf": "attic"}', "shelf"),
        ("search_samples", '{"query": "", "shelf": "web"}', "query"),
        ("search_samples", '{"query": "x", "shelf": "web", "more": 1}', "more"),
        ("read_sample", '{"id": "S00000"}', "No sample has the id `S00000`"),
    ],
)
async def test_a_call_that_does_not_fit_says_why(name: str, arguments: str, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        await run_tool(name, arguments)

    assert said in str(caught.value)


@given(st.text(max_size=200))
async def test_any_arguments_give_a_result_or_a_reason(arguments: str) -> None:
    for name in TOOLS:
        try:
            await run_tool(name, arguments)
        except ToolError as error:
            assert error.message


async def test_a_tool_is_told_for_whom_it_works() -> None:
    class Nothing(BaseModel):
        pass

    asked: list[ToolContext] = []

    async def run(_: Nothing, context: ToolContext) -> object:
        asked.append(context)
        return None

    tool = Tool("probe", "Asks nothing.", Nothing, run)  # type: ignore[arg-type]
    await tool.call("{}", ToolContext(owner="ada"))

    assert asked == [ToolContext(owner="ada")]
