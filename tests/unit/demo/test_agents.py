"""What the demo says as each of the ten agents, from the brief to the posts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from openai import AsyncOpenAI

from pipeline.agents.outputs import Findings
from pipeline.agents.prompting import instructions, section
from pipeline.agents.roster import ROSTER
from pipeline.content.social import counted, platforms
from pipeline.content.voice_review import voice_view
from pipeline.llm.demo.latency import draw_pace
from pipeline.models import DEMO_LABEL, WORDS, Length, RunSpec
from pipeline.tools import run_context, run_tool
from pipeline.tools.samples import sample_research
from pipeline.voice import Spelling, Voice
from tests.unit.demo.driver import run_agents

SAMPLE_TOPICS = (
    "Heat pumps in old buildings",
    "How small teams can run useful code reviews",
    "Urban beekeeping for beginners",
)
MARKER = re.compile(r"\[(S[0-9a-f]{5,12})\]")
UNKNOWN_TOPIC = "Medieval falconry manuals"

Prepare = Callable[[str], str]


@pytest.mark.parametrize("length", list(Length))
@pytest.mark.parametrize("topic", SAMPLE_TOPICS)
async def test_a_sample_topic_becomes_an_article_of_the_length_asked_for(
    client: AsyncOpenAI, topic: str, length: Length
) -> None:
    run = await run_agents(client, RunSpec(topic=topic, length=length))

    article = run.outputs["content_writer"].text
    assert abs(len(article.split()) / WORDS[length] - 1) <= 0.25
    assert article.startswith(f"# {topic}")
    assert DEMO_LABEL in article
    headings = [s["heading"] for s in run.data("topic_planner")["outline"]]
    assert re.findall(r"^## (.+)$", article, re.MULTILINE) == [*headings, "Next steps"]


@pytest.mark.parametrize("topic", SAMPLE_TOPICS)
async def test_every_marker_and_quote_rests_on_a_passage_that_a_tool_returned(
    client: AsyncOpenAI, topic: str
) -> None:
    run = await run_agents(client, RunSpec(topic=topic))

    for agent in ("web_researcher", "kb_researcher"):
        findings = run.data(agent)["findings"]
        assert len(findings) >= 4
        for finding in findings:
            assert finding["quote"] in run.sources[finding["source_id"]].passage
    cited = MARKER.findall(run.outputs["content_writer"].text)
    assert len(set(cited)) >= 5
    assert set(cited) <= run.sources.keys()


@pytest.mark.parametrize("topic", SAMPLE_TOPICS)
async def test_each_cited_sentence_stands_in_its_source(client: AsyncOpenAI, topic: str) -> None:
    run = await run_agents(client, RunSpec(topic=topic))

    article = run.outputs["content_writer"].text
    for match in re.finditer(r"([^.!?\]]+) \[(S[0-9a-f]{5,12})\][.!?]", article):
        assert match[1].strip() in run.sources[match[2]].passage


async def test_the_editor_changes_words_and_keeps_every_marker(client: AsyncOpenAI) -> None:
    run = await run_agents(client, RunSpec(topic=SAMPLE_TOPICS[0]))

    draft, edited = run.outputs["content_writer"].text, run.outputs["editor"].text
    assert edited != draft
    assert MARKER.findall(edited) == MARKER.findall(draft)


@pytest.mark.parametrize("topic", [*SAMPLE_TOPICS, UNKNOWN_TOPIC])
async def test_each_edit_of_the_publisher_applies_exactly_once(
    client: AsyncOpenAI, topic: str
) -> None:
    run = await run_agents(client, RunSpec(topic=topic))

    edits = run.data("publisher")["edits"]
    assert 1 <= len(edits) <= 3
    for edit in edits:
        assert run.outputs["editor"].text.count(edit["find"]) == 1
        assert edit["replace"] != edit["find"]
        assert MARKER.findall(edit["replace"]) == MARKER.findall(edit["find"])


@pytest.mark.parametrize("topic", [*SAMPLE_TOPICS, UNKNOWN_TOPIC, "量子计算机入门"])
async def test_posts_and_summary_keep_their_limits(client: AsyncOpenAI, topic: str) -> None:
    run = await run_agents(client, RunSpec(topic=topic))

    posts = run.data("social_promoter")["posts"]
    assert [(post["platform"], post["variant"]) for post in posts] == [
        (platform, variant) for platform in platforms() for variant in "ab"
    ]
    assert len({(post["platform"], post["text"]) for post in posts}) == len(posts)
    for post in posts:
        tags = "".join(f" #{tag}" for tag in post["hashtags"])
        assert counted(post["platform"], post["text"] + tags).ok
        assert post["text"].count("{link}") == platforms()[post["platform"]].clickable
        assert not MARKER.search(post["text"])
    summary = run.data("summary_writer")
    assert 80 <= len(summary["abstract"].split()) <= 120
    assert not MARKER.search(json.dumps(summary))


async def test_seo_data_has_the_lengths_that_the_prompt_asks_for(client: AsyncOpenAI) -> None:
    for topic in SAMPLE_TOPICS:
        seo = (await run_agents(client, RunSpec(topic=topic))).data("seo_specialist")

        assert len(seo["title"]) <= 60
        assert 120 <= len(seo["meta_description"]) <= 155
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", seo["slug"])


async def test_the_metrics_reading_speaks_about_the_computed_numbers(client: AsyncOpenAI) -> None:
    run = await run_agents(client, RunSpec(topic=SAMPLE_TOPICS[0]))

    reading = run.data("metrics_analyzer")["interpretation"]
    assert re.search(r"has \d{3} words", reading)
    assert "reading ease" in reading


async def test_an_unknown_topic_is_an_empty_finding_and_an_outline_that_says_so(
    client: AsyncOpenAI,
) -> None:
    run = await run_agents(client, RunSpec(topic=UNKNOWN_TOPIC))

    assert not run.found
    for agent in ("web_researcher", "kb_researcher"):
        assert "medieval falconry" in run.data(agent)["gaps"][0]
    article = run.outputs["content_writer"].text
    assert "unsourced outline" in article
    assert not MARKER.search(article)


async def test_the_same_seed_says_the_same_and_another_seed_does_not(client: AsyncOpenAI) -> None:
    first, again, other = [
        await run_agents(client, RunSpec(topic=SAMPLE_TOPICS[0], seed=seed)) for seed in (1, 1, 2)
    ]

    assert first == again
    assert first.outputs["content_writer"].text != other.outputs["content_writer"].text


async def test_another_language_is_answered_with_a_line_that_only_english_is_written(
    client: AsyncOpenAI,
) -> None:
    run = await run_agents(client, RunSpec(topic=SAMPLE_TOPICS[0], language="Deutsch"))

    assert "writes English only; the brief asked for Deutsch" in run.outputs["editor"].text


async def test_without_tools_a_researcher_works_from_the_evidence_in_the_prompt(
    client: AsyncOpenAI,
) -> None:
    context = run_context(sample_research(), owner="local", topic="Compost", language="English")
    found = [
        await run_tool("kb_search", json.dumps({"query": query}), context)
        for query in ("home composting", "worm bin")
    ]
    researcher = next(agent for agent in ROSTER if agent.name == "kb_researcher")
    prompt = "\n\n".join(
        [
            section("brief", json.dumps({"topic": "Home composting"})),
            section("evidence", "\n".join(result.content for result in found)),
        ]
    )

    reply = await client.chat.completions.create(
        model="gantry-demo",
        messages=[
            {"role": "system", "content": instructions(researcher)},
            {"role": "user", "content": prompt},
        ],
    )

    findings = Findings.model_validate_json(reply.choices[0].message.content or "")
    offered = {source.id for result in found for source in result.sources}
    assert {finding.source_id for finding in findings.findings} == offered


@pytest.mark.parametrize("agent", ROSTER, ids=lambda agent: agent.name)
async def test_a_repair_turn_gets_an_answer_that_fits(client: AsyncOpenAI, agent: object) -> None:
    spec = next(entry for entry in ROSTER if entry is agent)
    reply = await client.chat.completions.create(
        model="gantry-demo",
        messages=[
            {"role": "system", "content": instructions(spec)},
            {"role": "user", "content": section("brief", json.dumps({"topic": "Houseplants"}))},
            {"role": "assistant", "content": "{}"},
            {"role": "user", "content": "Your reply did not fit: it was empty.\nSend it again."},
        ],
    )

    text = reply.choices[0].message.content or ""
    if spec.output is None:
        assert text.startswith("# Houseplants")
    else:
        spec.output.model_validate_json(text)


async def test_a_realistic_run_of_default_length_takes_about_a_minute_of_service_time(
    client: AsyncOpenAI,
) -> None:
    run = await run_agents(client, RunSpec(topic=SAMPLE_TOPICS[0], seed=1))

    calls = [
        (agent, number, tokens)
        for agent, counts in run.completion_tokens.items()
        for number, tokens in enumerate(counts, start=1)
    ]
    totals = [
        sum(draw_pace("realistic", seed, agent, n).due_s(tokens) for agent, n, tokens in calls)
        for seed in range(1, 21)
    ]
    assert len(calls) == 13
    assert 50 <= sum(totals) / len(totals) <= 75


async def test_the_demo_keeps_to_a_brand_voice_where_code_checks_it(client: AsyncOpenAI) -> None:
    house = Voice(
        name="House",
        banned_words=("heat",),
        spelling=(Spelling(use="dwelling", instead_of="house"),),
        call_to_action="Write to us.",
    )
    run = await run_agents(client, RunSpec(topic=SAMPLE_TOPICS[0], voice=house))

    view = voice_view(house, run.outputs["editor"].text, run.data("social_promoter"))

    assert {fault["excerpt"][:1] for fault in view["faults"] if fault["where"] == "Article"} <= {
        "#"
    }
    assert view["call_to_action"]["article"] is True
