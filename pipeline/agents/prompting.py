"""Render what an agent is told, from its data needs only, so that every mode asks the same.

The system message is the agent's prompt file, or what a person wrote in place of its middle part. The user message holds one `<section>` per input;
inside, closing tags are defused, because everything in a section is hostile material.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pipeline.content.readability import computed_metrics
from pipeline.content.sections import own_evidence, seam_after, seam_before, section_fact
from pipeline.content.social import limits
from pipeline.content.voice_review import VOICED, voice_remarks, voice_section
from pipeline.errors import PlanError
from pipeline.models import WORDS, AgentOutput, AgentSpec, Need, Part, RunSpec, family

_CLOSING = re.compile(r"(<\s*)/(?=\s*section)", re.I)  # any spelling a model may take for one
RULES_BEGIN = "Text inside `<section>` tags"  # of a prompt file's last part
VOICE_HEAD = (
    "Write in the brand voice of the section `voice`: follow how it sounds, never use the words in "
    "`never_use`, spell as `spelling` says. You may link to `own_pages`, with exactly these addresses and "
    "no id. End with `call_to_action` word for word where there is one and room for it."
)
VOICE_REMARKS_HEAD = "Against the voice, in the draft (mend it):"
ADDITION_HEAD = "The person who asked for this article adds, for you:"
PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True, slots=True)
class PromptFile:
    """An agent's prompt file, whole and in its three parts.

    `name` is the first line, `body` what the agent is to do, which a person may replace; `rules` say
    what material is and in what form to answer, and always stand at the end. A file of somebody's
    own may have no rules.
    """

    text: str
    name: str
    body: str
    rules: str


def instructions(agent: AgentSpec, body: str = "") -> str:
    """The system message, with `body` in the place of what the prompt file says to do.

    Raises `PlanError` when the file is missing or misnamed.
    """
    file = prompt_file(agent)
    if not body:
        return file.text
    return "\n\n".join(part for part in (file.name, body, file.rules) if part) + "\n"


@cache
def prompt_file(agent: AgentSpec) -> PromptFile:
    """The parts of an agent's prompt file. Raises `PlanError` when it is missing or misnamed.

    The parts of an expanded agent share a file, which names them `…/{number}`; what is sent has the
    part's own number in it, so that whoever answers can tell them apart by the first line.
    """
    path = PROMPTS / agent.prompt_file
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(
            f"Agent `{agent.name}` has no prompt file `{agent.prompt_file}`.",
            "Add it to pipeline/agents/prompts/.",
        ) from error
    first_line = f"Agent: {family(agent.name)}/{{number}}" if agent.part else f"Agent: {agent.name}"
    if text.splitlines()[:1] != [first_line]:
        raise PlanError(
            f"The prompt file `{agent.prompt_file}` does not begin with `{first_line}`.",
            "Make that its first line.",
        )
    if agent.part:
        text = text.replace("{number}", str(agent.part.number))
    name, _, rest = text.partition("\n")
    body, begins, rules = rest.partition(f"\n{RULES_BEGIN}")
    return PromptFile(text, name, body.strip(), f"{begins}{rules}".strip())


def user_prompt(
    agent: AgentSpec,
    spec: RunSpec,
    inputs: Mapping[str, AgentOutput],
    *,
    date: str,
    unsourced: bool = False,
) -> str:
    """The user message: the brief, one section per need, the pages to read first for an agent that
    can, facts computed by code, and what a person added for this agent.

    `inputs` has the outputs of the needs that have one; `date` is the day the run was asked for
    (not today's, so that a resumed run asks the same).
    """
    sections = [section("brief", _brief(spec, date=date, unsourced=unsourced))]
    for need in agent.needs:
        output = inputs.get(need.agent)
        if output is None:
            sections.append(absent(need.agent))
        elif agent.part is None:
            sections.append(section(need.agent, _body(output)))
        else:
            sections.append(section(need.agent, _part_body(agent.part, need, output, inputs)))
    if spec.urls and "fetch_page" in agent.tools:
        sections.append(section("pages", _json(list(spec.urls))))
    for fact in agent.facts:
        sections.append(section(fact, _json(_FACTS[fact](agent, spec, inputs))))
    sections += _voice(agent, spec, inputs)
    if addition := spec.prompt_additions.get(agent.name):
        # outside the sections: what stands in one is material, this is the person's own word
        sections.append(f"{ADDITION_HEAD}\n{addition}")
    return "\n\n".join(sections)


def _voice(agent: AgentSpec, spec: RunSpec, inputs: Mapping[str, AgentOutput]) -> list[str]:
    """What the agent is told of the brand voice; for the editor also what the draft has against it."""
    if spec.voice is None or family(agent.name) not in VOICED:
        return []
    told = [section("voice", _json(voice_section(spec.voice, agent))), VOICE_HEAD]
    draft = _draft_of(agent, inputs)
    if draft is not None and (
        remarks := voice_remarks(spec.voice, draft.text, whole=agent.part is None)
    ):
        told += [VOICE_REMARKS_HEAD, section("voice_remarks", "\n".join(remarks))]
    return told


def _draft_of(agent: AgentSpec, inputs: Mapping[str, AgentOutput]) -> AgentOutput | None:
    """What an editor edits, or the part of it that is its own."""
    if family(agent.name) != "editor":
        return None
    part = "" if agent.part is None else f"/{agent.part.number}"
    return inputs.get(f"content_writer{part}")


def checkpoint_key(agent: AgentSpec, model: str, prompt: str, body: str = "") -> str:
    """What makes a finished agent reusable: same agent, prompt version, model and inputs.

    `body` is what a person wrote in the place of its instructions.
    """
    parts = (agent.name, instructions(agent, body), model, prompt)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def join_key(agent: AgentSpec, inputs: Mapping[str, AgentOutput]) -> str:
    """As `checkpoint_key`, for an agent that asks no model: its inputs alone."""
    parts = [agent.name]
    for name, output in inputs.items():
        parts += [name, output.text]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def section(name: str, body: str) -> str:
    body = _CLOSING.sub(r"\1\\/", body)
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


def _part_body(
    part: Part, need: Need, output: AgentOutput, inputs: Mapping[str, AgentOutput]
) -> str:
    """A part sees the plan whole, of the evidence its own, of its neighbours the seams."""
    if output.data is not None and "findings" in output.data:
        return _body(own_evidence(part, output, inputs))
    if need.agent.endswith(f"/{part.number - 1}"):
        return seam_before(output.text)
    if need.agent.endswith(f"/{part.number + 1}"):
        return seam_after(output.text)
    return _body(output)


def _json(value: Any) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
    except UnicodeEncodeError:  # half a character, which msgspec refuses: refused when it is sent
        return json.dumps(value, ensure_ascii=False, indent=1)


def _computed(
    _agent: AgentSpec, spec: RunSpec, inputs: Mapping[str, AgentOutput]
) -> dict[str, Any]:
    edited = inputs.get("editor")
    if edited is None:
        raise PlanError(
            "The fact `computed` needs the editor's text.", "Add `editor` to the agent's needs."
        )
    return computed_metrics(edited.text, spec.language).to_dict()


def _limits(
    _agent: AgentSpec, _spec: RunSpec, _inputs: Mapping[str, AgentOutput]
) -> dict[str, Any]:
    return dict(limits())


def _section(agent: AgentSpec, _spec: RunSpec, inputs: Mapping[str, AgentOutput]) -> dict[str, Any]:
    if agent.part is None or agent.part.by not in inputs:
        raise PlanError(
            f"The fact `section` of `{agent.name}` needs the outline.",
            "Add the agent that makes it to the needs of the parts.",
        )
    return section_fact(agent.part, inputs[agent.part.by].data)


Fact = Callable[[AgentSpec, RunSpec, Mapping[str, AgentOutput]], dict[str, Any]]

_FACTS: Mapping[str, Fact] = {
    "computed": _computed,
    "limits": _limits,
    "section": _section,
}
