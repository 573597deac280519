"""Decide whether a model's reply is what the agent must return. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.foreign_json import read_json
from pipeline.llm.endings import Ending, ending_of

ANSWER_MAX_CHARS = 200_000  # several times the longest article; it becomes others' input
PROBLEM_MAX_CHARS = 1_500  # what the model is told about a bad reply
_SHOWN_MAX_CHARS = 2_000  # of an answer beyond the limit

_TAGS = "(?:think|thinking|thought|thoughts|reasoning)"
_OPENING = re.compile(rf"<{_TAGS}>", re.I)
_CLOSING = re.compile(rf"(?<!`)</{_TAGS}>(?!`)", re.I)
_THOUGHTS = re.compile(rf"\s*<{_TAGS}>.*?(?:</{_TAGS}>|\Z)", re.I | re.DOTALL)
_FENCE = re.compile(r"\A\s*```[\w-]*\n(.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checked:
    """`problem` is empty when the reply fits; else one paragraph the model can act on."""

    text: str
    data: dict[str, Any] | None = None
    problem: str = ""


def check_reply(text: str, finish_reason: str, output: type[BaseModel] | None) -> Checked:
    """Strip what models wrap around an answer, then validate it.

    `output` None means Markdown: anything but an empty or cut text fits.
    """
    body = _FENCE.sub(r"\1", _without_thoughts(text)).strip()
    if len(body) > ANSWER_MAX_CHARS:
        problem = f"It has {len(body):,} characters; at most {ANSWER_MAX_CHARS:,} are taken."
        return Checked(f"{body[:_SHOWN_MAX_CHARS]} …", problem=f"{problem} Answer more briefly.")
    match ending_of(finish_reason):
        case Ending.CUT:
            return Checked(body, problem="It was cut by the length limit. Answer more briefly.")
        case Ending.UNKNOWN if output is None:  # JSON shows by itself whether it is whole
            return Checked(body, problem=f"It ended with “{finish_reason[:60]}”: it may be cut.")
    if not body:
        return Checked(body, problem="It was empty.")
    if output is None:
        return Checked(body)
    return _check_json(body, output)


def _without_thoughts(text: str) -> str:
    """What follows the thoughts at the beginning.

    Some chat templates open the tag in the prompt: only `…</think>` comes, up to the last one.
    JSON, and a tag somebody writes about, in code or after its opening one, are left alone.
    """
    end = 0
    while thoughts := _THOUGHTS.match(text, end):
        end = thoughts.end()
    first = _CLOSING.search(text, end)
    if first is None or _OPENING.search(text, end, first.start()):
        return text[end:]
    if text[end : first.start()].lstrip().startswith("{"):
        return text[end:]
    *_, last = _CLOSING.finditer(text, end)
    return text[last.end() :]


def _check_json(body: str, output: type[BaseModel]) -> Checked:
    try:
        value = read_json(_object_in(body))
    except ValueError as error:
        return Checked(body, problem=f"It is not one JSON object: {error}."[:PROBLEM_MAX_CHARS])
    try:
        data = output.model_validate(value).model_dump(mode="json")
    except ValidationError as error:
        return Checked(body, problem=_say(error))
    return Checked(body, data)


def _object_in(body: str) -> str:
    """The outermost braces: some models talk before and after their JSON."""
    start, end = body.find("{"), body.rfind("}")
    return body[start : end + 1] if 0 <= start < end else body


def _say(error: ValidationError) -> str:
    lines = [
        f"- {'.'.join(str(part) for part in item['loc']) or 'the object'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    ]
    return "\n".join(lines)[:PROBLEM_MAX_CHARS]
