"""The shape of a stream's chunk, and a patient reader for chunks that do not have it.

`Chunk` is what `stream.py` decodes directly. `read_chunk` takes what that refuses (content as a
list, numbers as text, arguments as an object, lone surrogates, an error as plain text …) and
makes the nearest `Chunk` of it; what it cannot place it leaves out.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from pipeline.foreign_json import read_json
from pipeline.models import TOKENS_MAX, Usage


class UsageCount(msgspec.Struct):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None

    def tokens(self) -> Usage:
        sent = self.input_tokens if self.prompt_tokens is None else self.prompt_tokens
        written = self.output_tokens if self.completion_tokens is None else self.completion_tokens
        return Usage(_count(sent), _count(written))


def _count(told: float | None) -> int | None:
    """None for what is not told, or cannot be true."""
    return int(told) if told is not None and 0 <= told <= TOKENS_MAX else None


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None

    @property
    def name(self) -> str:
        return (self.function.name if self.function else None) or ""

    @property
    def written(self) -> str:
        return (self.function.arguments if self.function else None) or ""


class Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolDelta] | None = None


class Choice(msgspec.Struct):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    error: Any = None


class GroqExtra(msgspec.Struct):
    usage: UsageCount | None = None
    error: Any = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    model: str | None = None
    usage: UsageCount | None = None
    error: Any = None
    x_groq: GroqExtra | None = None


def read_chunk(data: bytes, *, is_error: bool = False, is_whole_body: bool = False) -> Chunk | None:
    """Read one JSON value, however odd; None when it is not JSON.

    `is_error`: the value came with `event: error`, so it is one whatever it looks like.
    `is_whole_body`: nothing else came; a bare message is then an error too.
    """
    try:
        value = read_json(data)
    except ValueError:
        return None
    if is_error:
        error = value.get("error") if isinstance(value, dict) else None
        return Chunk(error=error or value or "unnamed error")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # one provider wraps error bodies in a list
    return _chunk(value, is_whole_body) if isinstance(value, dict) else Chunk()


def _chunk(value: dict[str, Any], is_whole_body: bool) -> Chunk:
    groq = value.get("x_groq")
    choices = value.get("choices")
    error = value.get("error")
    if error is None and choices is None and _is_bare_error(value, is_whole_body):
        error = value
    return Chunk(
        choices=[_choice(c) for c in choices if isinstance(c, dict)]
        if isinstance(choices, list)
        else None,
        model=_text(value.get("model")),
        usage=_usage(value.get("usage")),
        error=error,
        x_groq=GroqExtra(_usage(groq.get("usage")), groq.get("error"))
        if isinstance(groq, dict)
        else None,
    )


def _is_bare_error(value: dict[str, Any], is_whole_body: bool) -> bool:
    """Some endpoints send `{"detail": …}` or `{"message": …}` instead of an `error` object.

    Beside a stream other messages come as well (pings, notices): those say what they are, and
    carry neither a code nor a status of an error.
    """
    kind = value.get("object") or value.get("type")
    if isinstance(kind, str) and "error" in kind.lower():
        return True
    statuses = [value.get(name) for name in ("code", "status", "status_code", "statusCode")]
    if "error" in statuses or any(400 <= (_number(status) or 0) < 600 for status in statuses):
        return True
    if kind and not is_whole_body:
        return False
    if any(value.get(name) for name in ("detail", "errors", "error_message")):
        return True
    message = value.get("message")  # of a chat in another protocol when it is an object
    return isinstance(message, str) and bool(message) and (is_whole_body or bool(statuses[0]))


def _choice(value: dict[str, Any]) -> Choice:
    return Choice(
        index=_number(value.get("index")),
        delta=_delta(value.get("delta")),
        message=_delta(value.get("message")),
        finish_reason=_text(value.get("finish_reason")),
        error=value.get("error"),
    )


def _delta(value: object) -> Delta | None:
    if not isinstance(value, dict):
        return None
    content, thoughts = _content(value.get("content"))
    calls = value.get("tool_calls")
    calls = [calls] if isinstance(calls, dict) else calls
    return Delta(
        content=content,
        reasoning_content=_text(value.get("reasoning_content")) or thoughts,
        reasoning=_text(value.get("reasoning")),
        refusal=_text(value.get("refusal")),
        tool_calls=[_tool(c) for c in calls if isinstance(c, dict)]
        if isinstance(calls, list)
        else None,
    )


def _content(value: object) -> tuple[str | None, str | None]:
    """Text and reasoning of a `content` that may be text, one part or a list of parts.

    Text may end or begin with half a character (a lone surrogate): the reader joins them.
    """
    if isinstance(value, str) or value is None:
        return value, None
    texts: list[str] = []
    thoughts: list[str] = []
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and "thinking" in part:
            thoughts.append(_content(part["thinking"])[0] or "")
        elif isinstance(part, dict):
            texts.append(_content(part.get("text"))[0] or "")
    return "".join(texts), _text("".join(thoughts))


def _tool(value: dict[str, Any]) -> ToolDelta:
    function = value.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    if isinstance(arguments, dict | list):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolDelta(
        index=_number(value.get("index")),
        id=_text(value.get("id")),
        function=Function(_text(function.get("name")), _text(arguments)),
    )


def _usage(value: object) -> UsageCount | None:
    if not isinstance(value, dict):
        return None
    return UsageCount(**{name: _number(value.get(name)) for name in UsageCount.__struct_fields__})


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value) if len(value) < 19 else None
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _text(value: object) -> str | None:
    """Text that can be stored; None for what is not text."""
    if not isinstance(value, str | int | float):
        return None
    return str(value).encode("utf-8", "replace").decode()
