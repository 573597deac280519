"""What a person typed, as an agent's output; and why not, in words they understand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.edited_output import editable_text, edited_fields, edited_output
from pipeline.agents.roster import ROSTER
from pipeline.errors import SpecError
from pipeline.models import AgentOutput, Source

PLANNER, WEB, _KB, WRITER, *_REST = ROSTER
SECTION = {
    "id": "s1",
    "heading": "Why",
    "goal": "Say why",
    "key_questions": ["Why?"],
    "word_budget": 100,
}
PLAN: dict[str, Any] = {
    "title": "Bees",
    "angle": "",
    "intent": "",
    "outline": [SECTION, SECTION],
    "search_queries": [{"query": "bees", "reason": ""}],
    "keywords": ["bees"],
    "out_of_scope": [],
}
FINDING = {"claim": "Bees fly", "quote": "they fly", "source_id": "S1", "confidence": "high"}
FOUND = AgentOutput(
    "{}",
    {"findings": [FINDING], "gaps": [], "conflicts": []},
    (Source("S1", "On bees", "", "kb", "they fly"),),
    prompt="what was asked",
)


def problem(value: Any, before: AgentOutput | None = None, agent: Any = PLANNER) -> str:
    with pytest.raises(SpecError) as refused:
        edited_fields(agent, before or AgentOutput("{}", PLAN), value)
    return str(refused.value)


def test_text_is_taken_as_it_is_typed_and_keeps_where_it_came_from() -> None:
    before = AgentOutput("Old", prompt="asked", response_model="m", mark="unedited")

    edited = edited_output(WRITER, before, "  New\r\n\r\ntext [S1]\n")

    assert edited == AgentOutput("New\n\ntext [S1]", prompt="asked", response_model="m")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (" \n ", "is empty"),
        ("x" * 200_001, "200,001 characters; the limit is 200,000"),
        ("turned \u202earound", "U\\+202E"),
        ("a bell \x07", "U\\+0007"),
    ],
)
def test_text_nobody_could_use_is_refused(typed: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        edited_output(WRITER, AgentOutput("Old"), typed)


def test_signs_that_the_agent_itself_wrote_may_stay() -> None:
    before = AgentOutput("\u2067שלום\u2069 is hello")

    assert edited_output(WRITER, before, f"{before.text}!").text == f"{before.text}!"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"title": ""}, "Title: is empty."),
        ({"outline": [SECTION]}, "Outline: needs at least 2, has 1."),
        ({"outline": [SECTION, {**SECTION, "heading": ""}]}, "Section 2, heading: is empty."),
        (
            {"outline": [{**SECTION, "word_budget": 5}, SECTION]},
            "Section 1, word budget: is less than 20.",
        ),
        (
            {"outline": [{**SECTION, "word_budget": 5_000}, SECTION]},
            "Section 1, word budget: is more than 3,000.",
        ),
        ({"outline": [SECTION] * 11}, "Outline: takes at most 10, has 11."),
        ({"titel": "Bees"}, "Titel: is not a field of this output; remove it."),
        ({"title": "x" * 201}, "Title: is longer than 200 characters."),
    ],
)
def test_an_outline_that_does_not_fit_is_said_by_section_and_field(
    changed: dict[str, Any], says: str
) -> None:
    assert says in problem({**PLAN, **changed})


def test_a_missing_field_and_a_wrong_word_are_said() -> None:
    without = {name: value for name, value in PLAN.items() if name != "keywords"}
    wrong = {**FOUND.data, "findings": [{**FINDING, "confidence": "sure"}]} if FOUND.data else {}

    assert "Keywords: is missing." in problem(without)
    assert "Finding 1, confidence: must be 'high'" in problem(wrong, FOUND, WEB)


def test_a_finding_names_a_source_that_the_agent_has() -> None:
    wrong = {**(FOUND.data or {}), "findings": [FINDING, {**FINDING, "source_id": "S9"}]}

    said = problem(wrong, FOUND, WEB)

    assert "Finding 2 names the source “S9”" in said and "It has: S1." in said


def test_many_problems_are_not_all_listed() -> None:
    bad = [{**SECTION, "heading": ""}] * 10

    said = problem({**PLAN, "outline": bad}).splitlines()

    assert said[-1] == "And 4 more."


@pytest.mark.parametrize("typed", ["", "[", "not JSON", '{"a": 1,}'])
def test_what_is_no_json_is_said_so(typed: str) -> None:
    with pytest.raises(SpecError, match="This is not JSON"):
        edited_output(PLANNER, AgentOutput("{}", PLAN), typed)


@pytest.mark.parametrize("typed", ["[]", "1", "null", '"text"'])
def test_json_that_is_no_object_is_refused(typed: str) -> None:
    with pytest.raises(SpecError):
        edited_output(PLANNER, AgentOutput("{}", PLAN), typed)


@given(headings=st.lists(st.text("abcäß漢 ", min_size=1, max_size=20), min_size=2, max_size=10))
def test_what_is_shown_for_editing_comes_back_as_it_was(headings: list[str]) -> None:
    plan = {**PLAN, "outline": [{**SECTION, "heading": heading} for heading in headings]}
    before = AgentOutput("{}", plan)

    edited = edited_output(PLANNER, before, editable_text(before))

    assert edited.data == plan
    assert json.loads(edited.text) == plan
