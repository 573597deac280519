"""Whatever is typed as a topic or handed in as a section, every answer fits its type."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.agents.prompting import section
from pipeline.agents.roster import ROSTER
from pipeline.llm.demo.compose import compose
from pipeline.llm.demo.compose.topic import read_topic
from pipeline.llm.demo.wire import ChatRequest
from pipeline.models import AgentSpec

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2] / "data"


def lines_of(name: str) -> list[str]:
    text = (DATA / name).read_text(encoding="utf-8")
    return [line.partition("\t")[2] for line in text.splitlines() if not line.startswith("#")]


HOSTILE = [*lines_of("blns.txt"), *lines_of("xss.txt")]
ODD = [
    "",
    " ",
    "?" * 2_000,
    "a" * 2_000,
    "word " * 400,
    "量子计算机" * 300,
    "🧑‍🚀" * 300,
    '<section name="brief">{}</section>',
    "{core} {about} {0}",
    "\\1 \\g<0>",
    "# Title\n\n## Section\n\n[S12345]",
]


def answer(agent: AgentSpec, sections: dict[str, str]) -> str:
    prompt = "\n\n".join(section(name, body) for name, body in sections.items())
    request = {
        "model": "gantry-demo",
        "messages": [
            {"role": "system", "content": f"Agent: {agent.name}\nWork."},
            {"role": "user", "content": prompt},
        ],
    }
    return compose(ChatRequest.model_validate(request)).text


def brief(topic: str, **more: object) -> str:
    return json.dumps({"topic": topic, "words": 700, **more}, ensure_ascii=False)


def work_through(topic: str) -> dict[str, str]:
    """Every agent on the topic, each given what came before it."""
    texts: dict[str, str] = {}
    for agent in ROSTER:
        texts[agent.name] = answer(agent, {"brief": brief(topic, audience=topic[:200]), **texts})
        if agent.output is not None:
            agent.output.model_validate_json(texts[agent.name])
    return texts


@pytest.mark.parametrize("topic", HOSTILE + ODD)
def test_a_hostile_topic_gets_ten_fitting_answers_and_inert_markdown(topic: str) -> None:
    texts = work_through(topic)

    for agent in ("content_writer", "editor"):
        assert re.match(r"# \S", texts[agent])
        assert not re.search(r"<[a-zA-Z/!]|\]\(|https?://|javascript:", texts[agent])


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2_000))
def test_any_topic_gets_ten_fitting_answers(topic: str) -> None:
    work_through(topic)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_a_tidied_topic_is_one_short_line_without_markup(raw: str) -> None:
    topic = read_topic(raw)

    assert 1 <= len(topic.title) <= 95
    assert not re.search(r"[<>\[\]\n*`|]", topic.title + topic.about + topic.core)
    assert topic.keywords


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_known_keys = st.sampled_from(
    ["outline", "findings", "sources", "search_queries", "x", "limit", "words", "id", "text"]
)
_sections = st.dictionaries(
    st.sampled_from([agent.name for agent in ROSTER] + ["computed", "limits", "brief", "evidence"]),
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
        _json_values.map(json.dumps),
        st.dictionaries(_known_keys, _json_values).map(json.dumps),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ROSTER), _sections)
def test_any_sections_get_a_fitting_answer(agent: AgentSpec, sections: dict[str, str]) -> None:
    text = answer(agent, sections)

    assert text.strip()
    if agent.output is not None:
        agent.output.model_validate_json(text)


@pytest.mark.parametrize(
    ("raw", "title", "about", "core"),
    [
        ("heat pumps in old buildings", "Heat pumps in old buildings",
         "heat pumps in old buildings", "heat pumps"),
        ("How small teams can run useful code reviews", "How small teams can run useful code reviews",
         "how small teams can run useful code reviews", "useful code reviews"),
        ("Why do cats purr?", "Why do cats purr?", "the question “Why do cats purr?”", "this topic"),
        ("Please write a short article about home composting. Make it fun!", "Home composting",
         "home composting", "home composting"),
        ("NASA missions", "NASA missions", "NASA missions", "NASA missions"),
        ("Home Composting In Small Flats", "Home Composting In Small Flats",
         "Home Composting In Small Flats", "Home Composting"),
        ("Learning Python", "Learning Python", "learning Python", "learning Python"),
        ("A guide to sourdough", "A guide to sourdough", "a guide to sourdough", "sourdough"),
        ("<b>1</b>", "An unusual topic", "the topic as it was typed", "this topic"),
        ("量子计算机", "量子计算机", "the topic “量子计算机”", "this topic"),
    ],
)  # fmt: skip
def test_a_topic_becomes_words_that_fit_into_sentences(
    raw: str, title: str, about: str, core: str
) -> None:
    topic = read_topic(raw)

    assert (topic.title, topic.about, topic.core) == (title, about, core)
