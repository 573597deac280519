"""What code puts in the place of an agent that failed for good.

Each substitute is honest and marked with a sentence for readers; none of them writes prose. When
there is nothing to build one from, there is none, and the agent is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.agents.outputs import MetricsReading, PublisherNotes
from pipeline.content.article import plain_line, split_title, unwrap
from pipeline.content.readability import computed_metrics
from pipeline.models import AgentOutput, RunSpec, family

UNEDITED = "This text was not edited: the editor gave no result, so the draft stands as written"
UNREAD = "The metrics are numbers only: they were computed, but nobody interpreted them"
UNPUBLISHED = "The last editing round is missing: the article was assembled from the edited text"


def substitute_for(
    agent_name: str, inputs: Mapping[str, AgentOutput], spec: RunSpec
) -> AgentOutput | None:
    """The substitute for `agent_name`, from the outputs that exist; None when there can be none."""
    if family(agent_name) == "editor" and agent_name != "editor":
        return substitute_section(agent_name.removeprefix("editor/"), inputs)
    make = _MAKERS.get(agent_name)
    return make(inputs, spec) if make else None


def substitute_editor(inputs: Mapping[str, AgentOutput], _spec: RunSpec) -> AgentOutput | None:
    """The draft, marked unedited."""
    draft = inputs.get("content_writer")
    if draft is None:
        return None
    return AgentOutput(draft.text, sources=draft.sources, mark=UNEDITED, flags=draft.flags)


def substitute_section(number: str, inputs: Mapping[str, AgentOutput]) -> AgentOutput | None:
    """The draft of one section, marked unedited."""
    draft = inputs.get(f"content_writer/{number}")
    if draft is None:
        return None
    mark = f"Section {number} was not edited: its editor gave no result, so it stands as drafted"
    return AgentOutput(draft.text, sources=draft.sources, mark=mark, flags=draft.flags)


def substitute_metrics(inputs: Mapping[str, AgentOutput], spec: RunSpec) -> AgentOutput | None:
    """The computed numbers without a reading; shaped like one, with `computed` beside it."""
    edited = inputs.get("editor")
    if edited is None:
        return None
    reading = MetricsReading(interpretation="", audience_fit="", recommendations=[])
    computed = computed_metrics(edited.text, spec.language).to_dict()
    return AgentOutput(text="", data={**reading.model_dump(), "computed": computed}, mark=UNREAD)


def substitute_publisher(inputs: Mapping[str, AgentOutput], spec: RunSpec) -> AgentOutput | None:
    """The edited text as it is: its own headline, no standfirst, no edits."""
    edited = inputs.get("editor")
    if edited is None:
        return None
    title, _body = split_title(unwrap(edited.text))
    notes = PublisherNotes(
        title=(title or plain_line(spec.topic))[:200], standfirst="", edits=[], not_applied=[]
    )
    return AgentOutput(text="", data=notes.model_dump(), mark=UNPUBLISHED)


_MAKERS: Mapping[str, Callable[[Mapping[str, AgentOutput], RunSpec], AgentOutput | None]] = {
    "editor": substitute_editor,
    "metrics_analyzer": substitute_metrics,
    "publisher": substitute_publisher,
}
