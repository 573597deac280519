"""Calls as a model writes them: run when they fit, answered with a reason when they do not."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.agents.roster import ROSTER
from pipeline.tools import (
    TOOLS,
    Research,
    Tool,
    ToolContext,
    ToolError,
    available_tools,
    run_context,
    run_tool,
    tool_definitions,
)
from pipeline.tools.samples import SampleWeb, sample_research

SOURCE_ID = re.compile(r"S[0-9a-f]{10}")


def context() -> ToolContext:
    return run_context(sample_research(), owner="local", topic="Compost", language="English")


def test_every_tool_of_the_roster_exists() -> None:
    assert {name for agent in ROSTER for name in agent.tools} <= TOOLS.keys()


def test_a_definition_has_the_form_of_the_protocol() -> None:
    (definition,) = tool_definitions(["web_search"])

    function = definition["function"]
    assert definition["type"] == "function"
    assert function["name"] == "web_search"
    assert function["parameters"]["required"] == ["query"]
    assert function["parameters"]["additionalProperties"] is False


def test_an_unknown_tool_cannot_be_offered() -> None:
    with pytest.raises(ToolError, match="no tool `launch`"):
        tool_definitions(["launch"])


def test_only_tools_that_have_something_to_reach_for_are_offered() -> None:
    web = SampleWeb()

    def offered(research: Research, *urls: str) -> tuple[str, ...]:
        return available_tools(
            TOOLS, run_context(research, owner="o", topic="", language="", given=urls)
        )

    assert offered(Research()) == offered(Research(pages=web)) == ()
    assert offered(Research(pages=web), "https://example.org/") == ("fetch_page",)
    assert offered(Research(search=web)) == ("web_search",)
    assert offered(sample_research()) == ("web_search", "fetch_page", "kb_search")


@pytest.mark.parametrize(("name", "shelf"), [("web_search", "web"), ("kb_search", "knowledge")])
async def test_a_search_gives_passages_and_the_sources_to_cite(name: str, shelf: str) -> None:
    result = await run_tool(name, '{"query": "home composting"}', context())

    rows = json.loads(result.content)["results"]
    assert rows and {"id", "url", "title", "publisher", "passage"} == rows[0].keys()
    assert [row["id"] for row in rows] == [source.id for source in result.sources]
    assert all(SOURCE_ID.fullmatch(row["id"]) for row in rows)
    assert result.sources[0].url.startswith(f"sample:{shelf}/")
    assert result.sources[0].publisher == "Gantry sample collection"


async def test_a_page_that_is_read_gives_the_same_ids_as_the_search_that_found_it() -> None:
    run = context()
    found = await run_tool("web_search", '{"query": "home composting"}', run)

    result = await run_tool("fetch_page", json.dumps({"url": found.sources[0].url}), run)

    page = json.loads(result.content)
    assert page["title"] == found.sources[0].title
    assert [p["id"] for p in page["passages"]] == [source.id for source in result.sources]
    assert found.sources[0] in result.sources


async def test_nothing_found_is_an_answer() -> None:
    result = await run_tool("web_search", '{"query": "medieval falconry"}', context())

    assert json.loads(result.content)["results"] == []
    assert result.sources == ()


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("launch", "{}", "no tool `launch`"),
        ("web_search", "{query:", "not JSON"),
        ("web_search", "[1]", "do not fit"),
        ("web_search", "", "query: Field required"),
        ("web_search", '{"query": ""}', "query"),
        ("web_search", '{"query": "x", "more": 1}', "more"),
        ("fetch_page", '{"url": "sample:web/composting-at-home"}', "no address that a search"),
        ("fetch_page", '{"url": "https://example.org/"}', "no address that a search"),
    ],
)
async def test_a_call_that_does_not_fit_says_why(name: str, arguments: str, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        await run_tool(name, arguments, context())

    assert said in str(caught.value)


@given(st.text(max_size=200))
async def test_any_arguments_give_a_result_or_a_reason(arguments: str) -> None:
    for name in TOOLS:
        try:
            await run_tool(name, arguments, context())
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
