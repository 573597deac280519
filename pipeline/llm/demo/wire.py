"""The protocol's shapes: what a request may hold, and responses, chunks and errors as sent.

Unknown fields of a request are ignored, as compatible endpoints do. No I/O and no wording.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pipeline.models import Speed

DEMO_MODEL = "gantry-demo"
MODEL_SPEEDS: dict[str, Speed | None] = {
    DEMO_MODEL: None,  # the server's default
    "gantry-demo-instant": "instant",
    "gantry-demo-fast": "fast",
    "gantry-demo-realistic": "realistic",
}
FINGERPRINT = "offline-demo-no-language-model"
MODELS_CREATED = 1_735_689_600  # 2025-01-01, the same in every process

FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


_NONE_IS_EMPTY = BeforeValidator(lambda value: [] if value is None else value)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class TextPart(_Part):
    type: Literal["text"]
    text: str


class CalledFunction(_Part):
    name: str
    arguments: str


class CalledTool(_Part):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: Annotated[list[CalledTool], _NONE_IS_EMPTY] = Field(default_factory=list)
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class FunctionDefinition(_Part):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tool(_Part):
    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(_Part):
    name: str


class NamedTool(_Part):
    type: Literal["function"]
    function: NamedFunction


class SchemaFormat(_Part):
    name: FunctionName
    # not called `schema`: that name belongs to pydantic
    json_schema: dict[str, Any] = Field(default_factory=dict, alias="schema")


class TextResponse(_Part):
    type: Literal["text"]


class JsonResponse(_Part):
    type: Literal["json_object"]


class SchemaResponse(_Part):
    type: Literal["json_schema"]
    json_schema: SchemaFormat


ResponseFormat = Annotated[
    TextResponse | JsonResponse | SchemaResponse, Field(discriminator="type")
]


class StreamOptions(_Part):
    include_usage: bool = False


class ChatRequest(_Part):
    """POST /v1/chat/completions, as far as the demo understands it."""

    model: str = Field(min_length=1, max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=500)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tools: Annotated[list[Tool], _NONE_IS_EMPTY] = Field(default_factory=list, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all chunks of one response share."""

    id: str
    created: int
    model: str

    def completion(
        self, text: str, tool_calls: Sequence[CalledTool], finish_reason: str, usage: dict[str, int]
    ) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        if tool_calls:
            message["tool_calls"] = [call.model_dump() for call in tool_calls]
        else:
            message["content"] = text
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion") | {"choices": [choice], "usage": usage}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def usage_chunk(self, usage: dict[str, int]) -> dict[str, Any]:
        return self._head("chat.completion.chunk") | {"choices": [], "usage": usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def error_body(
    message: str, kind: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def models_body() -> dict[str, Any]:
    return {"object": "list", "data": [model_body(name) for name in MODEL_SPEEDS]}


def model_body(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MODELS_CREATED, "owned_by": "gantry"}


def sse(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


SSE_DONE = b"data: [DONE]\n\n"
