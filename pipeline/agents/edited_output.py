"""What a person typed, as an agent's output. Pure.

The same types that models must fit: those after the agent rely on them. What does not fit is said
by the names a person sees, not by the schema's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from pipeline.agents.reply_check import ANSWER_MAX_CHARS
from pipeline.errors import SpecError
from pipeline.models import (
    AgentOutput,
    AgentSpec,
    Source,
    control_characters,
    direction_controls,
    has_visible,
)

SAID_AT_MOST = 6  # problems named at once
_ONE_OF = {"outline": "Section", "findings": "Finding", "posts": "Post", "edits": "Edit"}


def edited_output(agent: AgentSpec, before: AgentOutput, typed: str) -> AgentOutput:
    """The output of `agent` with `typed` in it: Markdown, or JSON for an agent with fields.

    Prompt and sources stay those of `before`, marks go. Raises `SpecError`, one sentence a problem.
    """
    if agent.output is None:
        return _edited(before, _checked_text(typed, before.text), None)
    try:
        value = json.loads(typed)
    except ValueError as error:
        raise SpecError(f"This is not JSON: {error}.", "Mend it, or begin again.") from error
    return edited_fields(agent, before, value)


def edited_fields(agent: AgentSpec, before: AgentOutput, value: Any) -> AgentOutput:
    """As `edited_output`, from the fields themselves."""
    if agent.output is None:
        raise SpecError(f"{agent.title} writes text, not fields.", "Edit its text.")
    try:
        data = agent.output.model_validate(value).model_dump(mode="json")
    except ValidationError as error:
        raise SpecError(_sentences(_say(item) for item in error.errors())) from error
    if unknown := _unknown_sources(data, before.sources):
        raise SpecError(_sentences(unknown))
    text = _checked_text(json.dumps(data, ensure_ascii=False, indent=1), before.text)
    return _edited(before, text, data)


def editable_text(before: AgentOutput) -> str:
    """What a person edits: the text, or the fields as JSON with one field a line."""
    if before.data is None:
        return before.text
    return json.dumps(before.data, ensure_ascii=False, indent=2)


def _edited(before: AgentOutput, text: str, data: dict[str, Any] | None) -> AgentOutput:
    return replace(before, text=text, data=data, mark="", flags=())


def _checked_text(text: str, before: str) -> str:
    """The text trimmed; signs that nobody sees are refused, but those the agent itself wrote."""
    text = text.replace("\r\n", "\n").strip()
    if not has_visible(text):
        raise SpecError("The text is empty.", "Write something, or keep it as it is.")
    if len(text) > ANSWER_MAX_CHARS:
        raise SpecError(
            f"The text has {len(text):,} characters; the limit is {ANSWER_MAX_CHARS:,}.",
            "Shorten it.",
        )
    new = "".join(set(text) - set(before))
    if bad := control_characters(new) or direction_controls(new):
        raise SpecError(f"The text contains signs that nobody sees ({bad}).", "Remove them.")
    return text


def _unknown_sources(data: Mapping[str, Any], sources: Sequence[Source]) -> list[str]:
    known = {source.id for source in sources}
    findings = data.get("findings")
    return [
        f"Finding {number} names the source “{finding['source_id']}”, which this agent does not "
        f"have. It has: {', '.join(sorted(known)) or 'none'}."
        for number, finding in enumerate(findings if isinstance(findings, list) else [], 1)
        if finding["source_id"] not in known
    ]


def _sentences(problems: Iterable[str]) -> str:
    """The first few, one a line."""
    lines = list(problems)
    if len(lines) > SAID_AT_MOST:
        lines[SAID_AT_MOST:] = [f"And {len(lines) - SAID_AT_MOST} more."]
    return "\n".join(lines)


def _say(item: Any) -> str:
    """One of pydantic's problems as a sentence: `Section 2, heading: is empty.`"""
    where = _where(item["loc"])
    limits = item.get("ctx", {})
    match item["type"]:
        case "string_too_short":
            what = "is empty"
        case "string_too_long":
            what = f"is longer than {limits['max_length']:,} characters"
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            what = "is not a field of this output; remove it"
        case "too_short":
            what = f"needs at least {limits['min_length']}, has {limits['actual_length']}"
        case "too_long":
            what = f"takes at most {limits['max_length']}, has {limits['actual_length']}"
        case "greater_than_equal":
            what = f"is less than {limits['ge']:,}"
        case "less_than_equal":
            what = f"is more than {limits['le']:,}"
        case "literal_error":
            what = f"must be {limits['expected']}"
        case _:
            what = str(item["msg"]).lower()
    return f"{where}: {what}."


def _where(loc: Sequence[str | int]) -> str:
    """`("outline", 1, "heading")` → `Section 2, heading`."""
    words: list[str] = []
    for part in loc:
        if isinstance(part, int):
            name = words.pop() if words else "entry"
            words.append(f"{_ONE_OF.get(name, name.replace('_', ' '))} {part + 1}")
        else:
            words.append(part)
    said = ", ".join(word.replace("_", " ") for word in words) or "The whole"
    return said[:1].upper() + said[1:]
