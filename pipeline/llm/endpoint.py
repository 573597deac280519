"""Ask an endpoint what it is, before a run depends on it: its models, and one tiny call.

Answers within seconds and in words a person can act on. Nothing is retried here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
from openai import AsyncOpenAI

from pipeline.base_url import address
from pipeline.errors import (
    AuthError,
    CallError,
    DeadlineExceeded,
    ModelNotFound,
    NotAnEndpoint,
    Unreachable,
)
from pipeline.llm.attempt import Attempt
from pipeline.llm.call import CallRequest, Deadlines, ModelReply
from pipeline.llm.capabilities import Spelling, spell
from pipeline.llm.transport import translate, transport_errors
from pipeline.llm.wire import RawStream
from pipeline.models import Usage

MODELS_TIMEOUT_S = 10.0
MODELS_MAX_BYTES = 8_000_000
_TEST_DEADLINES = Deadlines(first_token_s=20.0, idle_s=10.0, total_s=30.0)
_BARE = Spelling(token_limit="", left_out=frozenset({"stream_options"}))


class _Model(msgspec.Struct):
    id: str | None = None
    name: str | None = None


class _ModelList(msgspec.Struct):
    data: list[_Model] | None = None
    models: list[_Model] | None = None


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """`latency_s` is the time to a complete answer; `models` is empty where there is no list."""

    ok: bool
    message: str
    hint: str = ""
    latency_s: float | None = None
    models: tuple[str, ...] = ()


async def list_models(client: AsyncOpenAI) -> list[str]:
    """Names of the endpoint's models, sorted. Raises `CallError`."""
    base_url = str(client.base_url)
    try:
        async with asyncio.timeout(MODELS_TIMEOUT_S):
            body = await _get_models(client)
    except TimeoutError as exc:
        raise DeadlineExceeded(
            f"{address(base_url)} did not list its models within {MODELS_TIMEOUT_S:g} s.",
            "Check the base URL, or name the model yourself.",
        ) from exc
    return sorted(set(_model_names(body, base_url)))


async def test_connection(client: AsyncOpenAI, model: str = "") -> ConnectionReport:
    """Try the endpoint: list its models and, when `model` is given, have it say one word.

    Never raises for a failing endpoint: the report says what is wrong and what to do.
    """
    start_s = asyncio.get_running_loop().time()
    models: tuple[str, ...] = ()
    try:
        models = tuple(await list_models(client))
    except CallError as error:
        if not model or _is_final(error):
            return ConnectionReport(False, error.message, error.hint)
        # Some endpoints have no list of models; a call decides.
    if not model:
        return ConnectionReport(
            True, f"Connected: {len(models)} models.", "", _since(start_s), models
        )
    try:
        start_s = asyncio.get_running_loop().time()
        reply = await _say_one_word(client, model)
    except CallError as error:
        return ConnectionReport(False, error.message, error.hint, models=models)
    name = reply.response_model or model
    return ConnectionReport(True, f"Connected: `{name}` answers.", "", _since(start_s), models)


def _is_final(error: CallError) -> bool:
    """True when a call would fail the same way; some keys may not list models, but may call."""
    is_wrong_key = isinstance(error, AuthError) and error.status == 401
    return is_wrong_key or isinstance(error, Unreachable | DeadlineExceeded)


async def _get_models(client: AsyncOpenAI) -> bytes:
    """The body of the model list, as it came."""
    body = bytearray()
    try:
        stream = await client.get(
            "/models",
            cast_to=bytes,
            options={"max_retries": 0},
            stream=True,
            stream_cls=RawStream,
        )
        try:
            async for data in stream.response.aiter_bytes():
                body += data
                if len(body) > MODELS_MAX_BYTES:
                    break
        finally:
            await stream.response.aclose()
    except transport_errors() as exc:
        error = translate(exc, str(client.base_url), secrets=(client.api_key,))
        if isinstance(error, ModelNotFound):
            raise _no_list(str(client.base_url)) from exc
        raise error from exc
    return bytes(body)


def _model_names(body: bytes, base_url: str) -> list[str]:
    """Read the list; besides OpenAI's own shape two others are about."""
    try:
        found = msgspec.json.decode(body, type=_ModelList | list[_Model])
    except msgspec.MsgspecError as exc:
        raise _no_list(base_url) from exc
    if isinstance(found, _ModelList):
        listed = found.models if found.data is None else found.data
    else:
        listed = found
    if listed is None:
        raise _no_list(base_url)
    return [name for model in listed if (name := model.id or model.name)]


def _no_list(base_url: str) -> NotAnEndpoint:
    return NotAnEndpoint(
        f"{address(base_url)} is not an OpenAI-compatible endpoint: it has no list of models.",
        "Check the base URL; it usually ends in /v1.",
    )


async def _say_one_word(client: AsyncOpenAI, model: str) -> ModelReply:
    request = CallRequest(model, [{"role": "user", "content": "Reply with the single word: ok"}])
    attempt = Attempt(client, spell(request, _BARE), _TEST_DEADLINES, _Unobserved(), 1)
    reply = await attempt.run()
    await attempt.drain()
    return reply


def _since(start_s: float) -> float:
    return asyncio.get_running_loop().time() - start_s


class _Unobserved:
    """An `AttemptObserver` for an attempt nobody watches."""

    def sent(self, attempt: int, request_model: str) -> None: ...
    def first_token(self, attempt: int) -> None: ...
    def text(self, text: str) -> None: ...
    def usage(self, usage: Usage) -> None: ...
