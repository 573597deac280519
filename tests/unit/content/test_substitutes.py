import pytest

from pipeline.agents.outputs import MetricsReading, PublisherNotes
from pipeline.agents.roster import ROSTER
from pipeline.content.article import article_of
from pipeline.content.substitutes import substitute_for
from pipeline.models import AgentOutput, OnFailure, RunSpec

SPEC = RunSpec(topic="Heating", provider="openai")
DRAFT = AgentOutput(text="# The title\n\nText of the draft.")
INPUTS = {"content_writer": DRAFT, "editor": DRAFT}


def test_an_unedited_draft_stands_in_for_the_edited_text() -> None:
    output = substitute_for("editor", {"content_writer": DRAFT}, SPEC)

    assert output is not None
    assert output.text == DRAFT.text
    assert "not edited" in output.mark


def test_metrics_without_a_reading_are_the_computed_numbers() -> None:
    output = substitute_for("metrics_analyzer", INPUTS, SPEC)

    assert output is not None
    assert output.data is not None
    assert output.data["computed"]["numbers"]["words"] == 4
    reading = {name: output.data[name] for name in MetricsReading.model_fields}
    assert MetricsReading.model_validate(reading).interpretation == ""


def test_the_article_is_assembled_without_a_publisher() -> None:
    output = substitute_for("publisher", INPUTS, SPEC)

    assert output is not None
    assert PublisherNotes.model_validate(output.data).title == "The title"
    article = article_of(SPEC, {**INPUTS, "publisher": output}, [output.mark])
    assert article is not None
    assert article.title == "The title"
    assert article.body_markdown == "Text of the draft."


@pytest.mark.parametrize("agent", [a.name for a in ROSTER if a.on_failure is OnFailure.SUBSTITUTE])
def test_every_agent_that_promises_a_substitute_has_a_marked_one(agent: str) -> None:
    output = substitute_for(agent, INPUTS, SPEC)

    assert output is not None
    assert output.mark


@pytest.mark.parametrize("agent", ["editor", "metrics_analyzer", "publisher", "somebody_new"])
def test_out_of_nothing_there_is_no_substitute(agent: str) -> None:
    assert substitute_for(agent, {}, SPEC) is None
