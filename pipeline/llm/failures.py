"""Say what went wrong with a request, in our own error classes, with a hint what to do.

Status, code, type and parameter name decide; a provider's wording decides only where providers
give nothing else. Whether to try again is `retry.py`'s decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.errors import (
    AuthError,
    BadRequest,
    CallError,
    ContextTooLong,
    ModelNotFound,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
    RateLimited,
    ServerFailed,
)
from pipeline.llm.admission.limits import limits_from_headers, limits_from_words, wait_from_words
from pipeline.llm.redact import provider_words
from pipeline.llm.retry import RETRY_AFTER_MAX_S, retry_after_s
from pipeline.llm.wordings import (
    AUTH_CODES,
    AUTH_WORDS,
    CONTEXT_CODES,
    CONTEXT_WORDS,
    DROPPABLE,
    MODEL_CODES,
    MODEL_WORDS,
    PARAMETER_CODES,
    PARAMETER_WORDS,
    QUOTA_CODES,
    RATE_CODES,
    REFUSAL,
)


@dataclass(frozen=True, slots=True)
class ProviderError:
    """What an error body says, whatever its shape."""

    message: str
    codes: str  # code and type, lower case
    parameter: str
    status: int | None  # a status repeated in the body
    is_openai_shaped: bool


def classify(
    status: int,
    headers: Mapping[str, str],
    body: object,
    *,
    model: str = "",
    secrets: Iterable[str] = (),
) -> CallError:
    """Turn an error response into one of our errors.

    `body` is text, bytes or decoded JSON. `model` is named in messages. With status 200 a
    status given inside the body decides, and the error carries 200.
    """
    said = read_error(body)
    words = provider_words(said.message, secrets)
    told = said.status if status == 200 and said.status else status
    error = _by_code(told, headers, said, model) or _by_status(told, headers, said, model)
    error.status, error.provider_text = status, words
    if words and isinstance(error, BadRequest | ServerFailed):
        error.message = f"{error.message} It says: {words}"
    return error


def read_error(body: object) -> ProviderError:
    value = _decoded(body)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return ProviderError(_without_markup(str(value)), "", "", None, False)
    inner = value.get("error")
    found: dict[str, Any] = inner if isinstance(inner, dict) else value
    message = inner if isinstance(inner, str) else _message(found)
    kinds = [found.get(name) for name in ("code", "type", "status", "error_type")]
    return ProviderError(
        message=message,
        codes=" ".join(str(kind).lower() for kind in kinds if kind is not None),
        parameter=_parameter(found),
        status=next((s for s in map(_http_status, kinds) if s), None),
        is_openai_shaped="error" in value or value.get("object") == "error",
    )


def _decoded(body: object) -> object:
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            return msgspec.json.decode(body)
        except msgspec.MsgspecError:
            return body
    return body


def _without_markup(text: str) -> str:
    return re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", text[:20_000])


def _message(found: Mapping[str, Any]) -> str:
    for name in ("message", "detail", "error_message", "msg", "title", "errors"):
        value = found.get(name)
        if isinstance(value, str) and value:
            return value
        if value:
            return msgspec.json.encode(value).decode("utf-8", "replace")
    return msgspec.json.encode(found).decode("utf-8", "replace") if found else ""


def _parameter(found: Mapping[str, Any]) -> str:
    """The parameter's name from `param`, or from the path a validating server reports."""
    param = found.get("param")
    if isinstance(param, str) and param:
        return param
    detail = found.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else None
    path = first.get("loc") if isinstance(first, dict) else None
    if isinstance(path, list):
        return ".".join(str(step) for step in path if step != "body")
    return ""


def _http_status(value: object) -> int | None:
    text = str(value)
    return int(text) if re.fullmatch(r"[45]\d\d", text) else None


def _by_code(
    status: int, headers: Mapping[str, str], said: ProviderError, model: str
) -> CallError | None:
    """What the provider's own code, type and parameter say; None when they say nothing."""
    if status in (401, 402) or status >= 500:
        return None
    if QUOTA_CODES.search(said.codes):
        return _quota()
    if CONTEXT_CODES.search(said.codes):
        return _context(model)
    if MODEL_CODES.search(said.codes):
        return _model(model)
    if status == 429 or RATE_CODES.search(said.codes):
        return _rate(headers, said)
    if AUTH_CODES.search(said.codes):
        return _auth(status)
    if said.parameter == "model" and status in (400, 404, 422):
        return _model(model)
    return _refused_by_name(status, said)


def _refused_by_name(status: int, said: ProviderError) -> CallError | None:
    if status not in (400, 404, 422) or not said.parameter:
        return None
    name = said.parameter.split(".")[0].split("[")[0]
    if name in DROPPABLE:
        return _parameter_refused(name)
    if name == "tool_choice":
        return _parameter_refused("tools")
    is_refusal = PARAMETER_CODES.search(said.codes) or re.search(REFUSAL, said.message, re.I)
    if is_refusal and re.fullmatch(r"\w+", said.parameter) and name != "messages":
        return _parameter_refused(name)
    return None


def _by_status(
    status: int, headers: Mapping[str, str], said: ProviderError, model: str
) -> CallError:
    if status == 402:
        return _quota()
    if status in (401, 403):
        return _auth(status)
    if status == 429:
        return _rate(headers, said)
    if status in (408, 409) or status >= 500:
        return _server(status, headers)
    if status in (200, 400, 404, 413, 422):
        return _by_words(status, said, model)
    if 300 <= status < 400 or status == 405:
        return _not_an_endpoint(status)
    return BadRequest(
        f"The endpoint refused the request (HTTP {status}).", "Check the model and the settings."
    )


def _by_words(status: int, said: ProviderError, model: str) -> CallError:
    """Only the wording is left to decide on."""
    if match := PARAMETER_WORDS.search(said.message):
        name = next(name for name, hit in match.groupdict().items() if hit)
        return _parameter_refused(name.removeprefix("after_"))
    if status == 413 or CONTEXT_WORDS.search(said.message):
        return _context(model)
    if AUTH_WORDS.search(said.message):
        return _auth(status)
    if status == 404:
        is_about_model = said.is_openai_shaped or re.search(r"\bmodel\b", said.message, re.I)
        return _model(model) if is_about_model else _not_an_endpoint(status)
    if MODEL_WORDS.search(said.message):
        return _model(model)
    return BadRequest("The endpoint refused the request.", "Check the model and the settings.")


def _auth(status: int) -> AuthError:
    if status == 403:
        return AuthError(
            "The endpoint does not allow this (HTTP 403).",
            "Check that the key may use this model, and that the key belongs to this endpoint.",
        )
    return AuthError(
        "The endpoint does not accept the API key.",
        "Check the key, and that it belongs to this endpoint.",
    )


def _quota() -> QuotaError:
    return QuotaError(
        "The account has no credit left.",
        "Add credit or raise the limit at the provider, then continue the run.",
    )


def _rate(headers: Mapping[str, str], said: ProviderError) -> RateLimited:
    words = said.message[:2_000]
    wait_s = retry_after_s(headers)
    if wait_s is None:
        wait_s = wait_from_words(words)
    limits = (*limits_from_headers(headers), *limits_from_words(words))
    if wait_s is not None and wait_s > RETRY_AFTER_MAX_S:
        hint = f"It asks to wait {wait_s:.0f} s. Continue the run after that."
    else:
        hint = "Lower the calls at once or the requests per minute, or continue later."
    return RateLimited(
        "The endpoint's rate limit is reached.", hint, retry_after_s=wait_s, limits=limits
    )


def _model(model: str) -> ModelNotFound:
    name = f" `{model}`" if model else ""
    return ModelNotFound(
        f"The endpoint does not know the model{name}.",
        "Choose a model from the endpoint's list, and check the base URL.",
    )


def _context(model: str) -> ContextTooLong:
    name = f" `{model}`" if model else ""
    return ContextTooLong(
        f"The prompt is too long for the model{name}.",
        "Choose a model with a larger context, or a shorter length.",
    )


def _parameter_refused(name: str) -> ParameterRefused:
    return ParameterRefused(
        f"The endpoint does not take the parameter `{name}`.",
        "Choose another model or endpoint.",
        parameter=name,
    )


def _server(status: int, headers: Mapping[str, str]) -> ServerFailed:
    return ServerFailed(
        f"The endpoint failed (HTTP {status}).",
        "This is on the provider's side: continue the run in a while.",
        retry_after_s=retry_after_s(headers),
    )


def _not_an_endpoint(status: int) -> NotAnEndpoint:
    return NotAnEndpoint(
        f"This address is not an OpenAI-compatible endpoint (HTTP {status}).",
        "Check the base URL; it usually ends in /v1.",
    )
