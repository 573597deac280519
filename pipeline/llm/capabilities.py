"""Remember how each endpoint and model wants a request spelt, and spell it so.

A refused parameter is dropped or renamed once per endpoint and model, for the life of this
object. `client.py` sends what `spell` returns and reports back with `refused`, `failed` and
`worked`. A model without tools is remembered too, but tools are never dropped silently: the
agent has to bring its evidence another way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from pipeline.errors import CallError, ParameterRefused, ServerFailed
from pipeline.llm.call import CallRequest, OutputSchema

ReplyFormat = Literal["json_schema", "json_object", "prompt"]
TokenLimit = Literal["max_tokens", "max_completion_tokens", ""]

_WEAKER: Mapping[ReplyFormat, ReplyFormat] = {"json_schema": "json_object", "json_object": "prompt"}
_RENAMED: Mapping[TokenLimit, TokenLimit] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a request is written for one endpoint and model."""

    token_limit: TokenLimit
    reply_format: ReplyFormat = "json_schema"
    is_renamed: bool = False  # the other name of the token limit was refused before
    left_out: frozenset[str] = frozenset()  # of stream_options, seed, temperature, tools


@dataclass(slots=True)
class _Known:
    spelling: Spelling
    on_trial: Spelling | None = None  # a 500 may have meant "no json_schema": not yet proved
    is_acquitted: bool = False  # json_schema was not what made the server fail


class Capabilities:
    """What is known about every endpoint and model that was asked so far."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}

    def supports_tools(self, base_url: str, model: str) -> bool:
        """False once the model has refused tools; True until then."""
        return "tools" not in self.spelling(base_url, model).left_out

    def spelling(self, base_url: str, model: str) -> Spelling:
        known = self._of(base_url, model)
        return known.on_trial or known.spelling

    def refused(
        self, base_url: str, request: CallRequest, sent: Spelling, error: ParameterRefused
    ) -> str | None:
        """Learn from a refusal; return what is dropped, or None when it was not ours to drop."""
        change = _change(request, sent, error.parameter)
        if change is None:
            return None
        name, changed = change
        known = self._of(base_url, request.model)
        known.spelling, known.on_trial = _merged(known.spelling, sent, changed), None
        return name

    def failed(
        self, base_url: str, request: CallRequest, sent: Spelling, error: CallError
    ) -> str | None:
        """Learn from a failure of the server: some say 500 when they mean "no json_schema".

        The weaker format is tried once; only when it works is it remembered. Returns what is
        left out in the next attempt.
        """
        known = self._of(base_url, request.model)
        if not isinstance(error, ServerFailed) or error.status != 500:
            return None
        if request.output_schema is None or known.is_acquitted:
            return None
        if sent != (known.on_trial or known.spelling):
            return None  # another call has changed it meanwhile
        if sent.reply_format == "prompt":
            known.on_trial, known.is_acquitted = None, True
            return None
        known.on_trial = replace(sent, reply_format=_WEAKER[sent.reply_format])
        return sent.reply_format

    def worked(self, base_url: str, request: CallRequest, sent: Spelling) -> None:
        """A reply came: what is on trial is proved, or shown not to be needed."""
        known = self._of(base_url, request.model)
        if known.on_trial is None or request.output_schema is None:
            return
        if sent == known.on_trial:
            known.spelling, known.on_trial = sent, None
        elif sent == known.spelling:
            known.on_trial, known.is_acquitted = None, True

    def _of(self, base_url: str, model: str) -> _Known:
        key = (base_url.rstrip("/"), model)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(Spelling(_first_token_limit(base_url)))
        return known


def spell(request: CallRequest, spelling: Spelling) -> dict[str, Any]:
    """The request's JSON body."""
    left_out = spelling.left_out
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(request.messages),
        "stream": True,
    }
    if "stream_options" not in left_out:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = list(request.tools)
        body["tool_choice"] = "auto"
    if request.max_output_tokens is not None and spelling.token_limit:
        body[spelling.token_limit] = request.max_output_tokens
    if request.temperature is not None and "temperature" not in left_out:
        body["temperature"] = request.temperature
    if request.seed is not None and "seed" not in left_out:
        body["seed"] = request.seed
    if request.output_schema is not None:
        _spell_schema(body, request.output_schema, spelling.reply_format)
    return body


def _spell_schema(body: dict[str, Any], output: OutputSchema, reply_format: ReplyFormat) -> None:
    if reply_format == "json_schema":
        schema = {"name": output.name, "schema": dict(output.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return
    if reply_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    body["messages"] = _with_instruction(
        body["messages"],
        "Reply with one JSON object and nothing else. It fits this JSON Schema:\n"
        + json.dumps(output.schema, ensure_ascii=False),
    )


def _with_instruction(messages: list[Mapping[str, Any]], instruction: str) -> list[Any]:
    """Add to the system message: some models take only one, and only at the beginning."""
    if messages and messages[0].get("role") == "system":
        system, *rest = messages
        return [{**system, "content": f"{system['content']}\n\n{instruction}"}, *rest]
    return [{"role": "system", "content": instruction}, *messages]


def _first_token_limit(base_url: str) -> TokenLimit:
    """OpenAI's newer models take only the newer name; nearly everybody else the older."""
    host = urlsplit(base_url).hostname or ""
    is_openai = host == "openai.com" or host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if is_openai else "max_tokens"


def _change(request: CallRequest, sent: Spelling, parameter: str) -> tuple[str, Spelling] | None:
    """The spelling without `parameter`, and the name of what went; None when it was not sent."""
    if parameter == "response_format":
        if request.output_schema is None or sent.reply_format == "prompt":
            return None
        return sent.reply_format, replace(sent, reply_format=_WEAKER[sent.reply_format])
    if parameter in _RENAMED:
        if request.max_output_tokens is None or not sent.token_limit:
            return None
        other = "" if sent.is_renamed else _RENAMED[sent.token_limit]
        return sent.token_limit, replace(sent, token_limit=other, is_renamed=True)
    is_sent = {
        "stream_options": True,
        "seed": request.seed is not None,
        "temperature": request.temperature is not None,
        "tools": bool(request.tools),
    }
    if not is_sent.get(parameter) or parameter in sent.left_out:
        return None
    return parameter, replace(sent, left_out=sent.left_out | {parameter})


def _merged(known: Spelling, sent: Spelling, changed: Spelling) -> Spelling:
    """What one call learned, on top of what others learned since it was sent."""
    order: list[ReplyFormat] = ["json_schema", "json_object", "prompt"]
    token = known
    if changed.token_limit != sent.token_limit and known.token_limit == sent.token_limit:
        token = changed
    return Spelling(
        token_limit=token.token_limit,
        is_renamed=token.is_renamed,
        reply_format=max(known.reply_format, changed.reply_format, key=order.index),
        left_out=known.left_out | changed.left_out,
    )
