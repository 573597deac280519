"""Render what an agent is told, from its data needs only, so that every mode asks the same.

The system message is the agent's prompt file. The user message holds one `<section>` per input;
inside, closing tags are defused, because everything in a section is hostile material.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pipeline.content.readability import computed_metrics
from pipeline.content.social import limits
from pipeline.errors import PlanError
from pipeline.models import WORDS, AgentOutput, AgentSpec, RunSpec

PROMPTS = Path(__file__).parent / "prompts"


@cache
def instructions(agent: AgentSpec) -> str:
    """The system message. Raises `PlanError` when the prompt file is missing or misnamed."""
    path = PROMPTS / agent.prompt_file
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(
            f"Agent `{agent.name}` has no prompt file `{agent.prompt_file}`.",
            "Add it to pipeline/agents/prompts/.",
        ) from error
    first_line = f"Agent: {agent.name}"
    if text.splitlines()[:1] != [first_line]:
        raise PlanError(
            f"The prompt file `{agent.prompt_file}` does not begin with `{first_line}`.",
            "Make that its first line.",
        )
    return text


def user_prompt(
    agent: AgentSpec,
    spec: RunSpec,
    inputs: Mapping[str, AgentOutput],
    *,
    date: str,
    unsourced: bool = False,
) -> str:
    """The user message: the brief, one section per need, and facts computed by code.

    `inputs` has the outputs of the needs that have one; `date` is the day the run was asked for
    (not today's, so that a resumed run asks the same).
    """
    sections = [section("brief", _brief(spec, date=date, unsourced=unsourced))]
    for need in agent.needs:
        output = inputs.get(need.agent)
        sections.append(
            absent(need.agent) if output is None else section(need.agent, _body(output))
        )
    for fact in agent.facts:
        sections.append(section(fact, _json(_FACTS[fact](spec, inputs))))
    return "\n\n".join(sections)


def checkpoint_key(agent: AgentSpec, model: str, prompt: str) -> str:
    """What makes a finished agent reusable: same agent, prompt version, model and inputs."""
    parts = (agent.name, instructions(agent), model, prompt)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def section(name: str, body: str) -> str:
    body = body.replace("</section", r"<\/section")
    return f'<section name="{name}">\n{body}\n</section>'


def absent(name: str) -> str:
    return f'<section name="{name}" state="absent"></section>'


def _brief(spec: RunSpec, *, date: str, unsourced: bool) -> str:
    return _json(
        {
            "topic": spec.topic,
            "audience": spec.audience,
            "tone": spec.tone,
            "length": spec.length.value,
            "words": WORDS[spec.length],
            "language": spec.language,
            "date": date,
            "unsourced": unsourced,
        }
    )


def _body(output: AgentOutput) -> str:
    """JSON with the sources it cites for agents with fields, the text itself for the others."""
    if output.data is None:
        return output.text
    data: dict[str, Any] = dict(output.data)
    if output.sources:
        data["sources"] = [
            {"id": s.id, "title": s.title, "publisher": s.publisher, "passage": s.passage}
            for s in output.sources
        ]
    return _json(data)


def _json(value: Any) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
    except UnicodeEncodeError:  # half a character, which msgspec refuses: refused when it is sent
        return json.dumps(value, ensure_ascii=False, indent=1)


def _computed(spec: RunSpec, inputs: Mapping[str, AgentOutput]) -> dict[str, Any]:
    edited = inputs.get("editor")
    if edited is None:
        raise PlanError(
            "The fact `computed` needs the editor's text.", "Add `editor` to the agent's needs."
        )
    return computed_metrics(edited.text, spec.language).to_dict()


def _limits(_spec: RunSpec, _inputs: Mapping[str, AgentOutput]) -> dict[str, Any]:
    return dict(limits())


_FACTS: Mapping[str, Callable[[RunSpec, Mapping[str, AgentOutput]], dict[str, Any]]] = {
    "computed": _computed,
    "limits": _limits,
}
