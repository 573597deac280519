"""Two hundred faults of citation, planted into real articles: all found, none in any export."""

from __future__ import annotations

import asyncio
import json
import random
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import docx
import pytest
from pypdf import PdfReader

from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.content.article import article_of
from pipeline.content.citation_review import citation_finish, grounds_of
from pipeline.content.citations import cited_ids
from pipeline.content.evidence import evidence_of
from pipeline.content.remarks import Reviewed
from pipeline.export.bundle import Bundle
from pipeline.models import (
    AgentOutput,
    AgentSpec,
    Checkpoint,
    FlagKind,
    RunRecord,
    RunSpec,
    RunStatus,
    Usage,
)
from pipeline.tools.samples import sample_research
from tests.faulty_demo import FaultyDemo
from tests.unit.content.planted_faults import FORMS, Planted, plant, shows
from tests.unit.export.samples import AT, facts

pytestmark = pytest.mark.slow

TOPICS = ("Heat pumps in old buildings", "Composting at home", "Code review in small teams")
FAULTS = 200
TOGETHER = 20  # faults in one article, for the formats that take long to make
SEED = 20_261
AGENTS: dict[str, AgentSpec] = {agent.name: agent for agent in ROSTER}
Outputs = dict[str, AgentOutput]


@pytest.fixture(scope="module")
def articles() -> list[Outputs]:
    """What the demo wrote about three topics."""

    async def write() -> list[Outputs]:
        async with FaultyDemo() as demo:
            research = sample_research()
            demo_run = ChatOrchestrator(demo.client, model="gantry-demo-instant", research=research)
            return [dict((await demo_run.run_pipeline(topic)).outputs) for topic in TOPICS]

    return asyncio.run(write())


def planted(articles: list[Outputs]) -> Iterator[tuple[Outputs, Planted]]:
    """Every form at least once, each at a place by chance."""
    rng = random.Random(SEED)
    for number in range(FAULTS):
        outputs = articles[number % len(articles)]
        text = outputs["content_writer"].text
        known = rng.choice(cited_ids(text))
        yield outputs, plant(text, FORMS[number % len(FORMS)], known, number, rng)


def written(outputs: Outputs, text: str) -> Outputs:
    """The outputs with `text` by the writer, as the agent hands it on, and by the editor unchanged."""
    agent = AGENTS["content_writer"]
    inputs = {need.agent: outputs[need.agent] for need in agent.needs if need.agent in outputs}
    finished = citation_finish(agent, grounds_of(agent, inputs))(Reviewed(text, None, {}))
    output = AgentOutput(finished.text, flags=finished.flags)
    return {**outputs, "content_writer": output, "editor": AgentOutput(finished.text)}


def bundle_of(outputs: Outputs) -> Bundle:
    spec = RunSpec(topic="Planted", provider="openai", model="some-model")
    run = RunRecord("run-1", "local", RunStatus.DONE, 1, spec, AT)
    checkpoints = {
        name: Checkpoint(name, f"key-{name}", 1, o, Usage(1, 2)) for name, o in outputs.items()
    }
    return Bundle(run, facts(outputs), checkpoints)


def exports(made: Bundle) -> dict[str, str]:
    """The words of every download."""
    document = docx.Document(BytesIO(made.docx()))
    links = [part.target_ref for part in document.part.rels.values() if part.is_external]
    reader = PdfReader(BytesIO(made.pdf()))
    with zipfile.ZipFile(BytesIO(made.zip())) as archive:
        zipped = "\n".join(archive.read(n).decode("utf-8", "replace") for n in archive.namelist()
                           if n.endswith((".md", ".html", ".json")))  # fmt: skip
    return {
        "markdown": made.markdown(),
        "html": made.html(),
        "docx": "\n".join([*(p.text for p in document.paragraphs), *links]),
        "pdf": "".join(page.extract_text() for page in reader.pages).replace("\n", ""),
        "json": json.dumps(
            {k: v for k, v in made.report.items() if k != "events"}, ensure_ascii=False
        ),
        "zip": zipped,
    }


def test_every_form_is_planted() -> None:
    assert len(FORMS) <= FAULTS
    assert {form.kind for form in FORMS} == set(FlagKind) - {
        FlagKind.LOST_KEY, FlagKind.UNKNOWN_SOURCE, FlagKind.WRONG_QUOTE,  # of editors and researchers: below
    }  # fmt: skip


def test_two_hundred_faults_are_all_found_and_no_true_citation_is_lost(
    articles: list[Outputs],
) -> None:
    misses = []
    for outputs, fault in planted(articles):
        output = written(outputs, fault.text)["content_writer"]
        if fault.kind not in {flag.kind for flag in output.flags}:
            misses.append(("not found", fault.kind.value, fault.fault))
        if shows(output.text, fault):
            misses.append(("still there", fault.kind.value, fault.fault))
        if set(cited_ids(outputs["content_writer"].text)) - set(cited_ids(output.text)):
            misses.append(("took a true citation", fault.kind.value, fault.fault))

    assert not misses, misses


def test_none_of_them_is_in_the_article_even_if_no_agent_was_checked(
    articles: list[Outputs],
) -> None:
    misses = []
    for outputs, fault in planted(articles):
        unchecked = outputs | {"editor": AgentOutput(fault.text), "publisher": AgentOutput("")}
        article = article_of(RunSpec(topic="Planted"), unchecked)
        assert article is not None
        if shows(article.markdown, fault) or shows(article.cited_markdown, fault):
            misses.append((fault.kind.value, fault.fault))

    assert not misses, misses


def test_none_of_them_is_in_any_export(articles: list[Outputs]) -> None:
    rng, misses = random.Random(SEED), []
    for first in range(0, FAULTS, TOGETHER):
        outputs = articles[first // TOGETHER % len(articles)]
        text = outputs["content_writer"].text
        faults = []
        for number in range(first, first + TOGETHER):
            known = rng.choice(cited_ids(outputs["content_writer"].text))
            faults.append(plant(text, FORMS[number % len(FORMS)], known, number, rng))
            text = faults[-1].text
        sound = exports(bundle_of(written(outputs, outputs["content_writer"].text)))
        for name, words in exports(bundle_of(written(outputs, text))).items():
            misses += [
                (name, fault.kind.value, fault.fault)
                for fault in faults
                if shows(words, fault, instead_of=sound[name])
            ]

    assert not misses, misses


def test_a_sentence_that_lost_a_citation_is_marked_in_the_evidence(
    articles: list[Outputs],
) -> None:
    misses = []
    for outputs, fault in planted(articles):
        if fault.kind not in (FlagKind.UNKNOWN_KEY, FlagKind.RAW_NUMBER, FlagKind.INVENTED_URL):
            continue
        made = written(outputs, fault.text)
        del made["publisher"]  # its edits may change the very sentence
        article = article_of(RunSpec(topic="Planted"), made)
        assert article is not None
        bare = [f for f in made["content_writer"].flags if f.kind is fault.kind]
        rows = [row for row in evidence_of(article, "English") if row.flags]
        cites = any(
            s.numbers
            for s in evidence_of(article, "English")
            if s.support.statement.text == bare[0].sentence
        )
        if not rows and not cites:
            misses.append((fault.kind.value, fault.fault))

    assert not misses, misses


def test_citations_that_an_editor_loses_are_all_found(articles: list[Outputs]) -> None:
    agent, misses, count = AGENTS["editor"], [], 0
    for outputs in articles:
        draft = outputs["content_writer"].text
        inputs = {"content_writer": outputs["content_writer"], "web_researcher": outputs["web_researcher"],
                  "kb_researcher": outputs["kb_researcher"]}  # fmt: skip
        finish = citation_finish(agent, grounds_of(agent, inputs))
        for key in cited_ids(draft):
            count += 1
            flags = finish(Reviewed(draft.replace(f" [{key}]", ""), None, {})).flags
            if not any(flag.kind is FlagKind.LOST_KEY and key in flag.detail for flag in flags):
                misses.append(key)

    assert count >= 10
    assert not misses, misses


def test_no_field_of_a_later_agent_lets_a_citation_or_a_foreign_address_through(
    articles: list[Outputs],
) -> None:
    """Summary, posts, SEO, metrics and publisher name no sources: not even true ones."""
    rng, misses = random.Random(SEED), []
    inline = [form for form in FORMS if form.place == "end of a sentence"]
    inputs = {"editor": articles[0]["editor"]}
    for name in (
        "summary_writer",
        "social_promoter",
        "seo_specialist",
        "metrics_analyzer",
        "publisher",
    ):
        finish = citation_finish(AGENTS[name], grounds_of(AGENTS[name], inputs))
        data = articles[0][name].data
        for number, form in enumerate(inline):
            fault = plant("One sentence here. And one more.\n", form, "S0123456789", number, rng)
            finished = finish(Reviewed("{}", _with(data, fault.text), {}))
            words = json.dumps(finished.data, ensure_ascii=False) + finished.text
            if shows(words, fault) or cited_ids(words) or not finished.flags:
                misses.append((name, fault.kind.value, fault.fault))

    assert not misses, misses


def _with(value: Any, words: str) -> Any:
    """The fields with `words` behind every text that a reader may see."""
    if isinstance(value, dict):
        kept = ("find", "platform", "variant", "computed")
        return {k: v if k in kept else _with(v, words) for k, v in value.items()}
    if isinstance(value, list):
        return [_with(item, words) for item in value]
    return f"{value} {words}" if isinstance(value, str) else value


def test_every_export_has_the_same_numbers(articles: list[Outputs]) -> None:
    made = bundle_of(articles[0])
    assert made.article is not None and made.evidence is not None
    numbers = {entry.number: entry.source.title for entry in made.article.sources}
    assert list(numbers) == list(range(1, len(numbers) + 1)) and len(numbers) > 1

    rows = [row for row in made.evidence if row.numbers]
    for name, words in exports(made).items():
        if name in ("html", "json", "zip"):  # the first has links, the others are looked at below
            continue
        for row in rows:
            marker = f"[{', '.join(map(str, row.numbers))}]"
            end = row.support.statement.text[-25:-1]
            assert f"{end} {marker}" in words or f"{end}{marker}" in words, (name, end, marker)

    assert {s["number"]: s["title"] for s in made.report["sources"]} == numbers
    told = [s for s in made.report["evidence"]["statements"] if s["numbers"]]
    assert [s["numbers"] for s in told] == [list(row.numbers) for row in rows]
    for number in numbers:
        assert f'href="#source-{number}"' in made.html() and f'id="source-{number}"' in made.html()
