"""Say what went wrong with a request, in our own error classes, with a hint what to do.

Status, code, type and parameter name decide; a provider's wording decides only where providers
give nothing else. Whether to try again is `retry.py`'s decision.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

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
from pipeline.foreign_json import read_json
from pipeline.llm.admission.limits import limits_from_headers, limits_from_words
from pipeline.llm.redact import as_sentence, provider_words
from pipeline.llm.retry import RETRY_AFTER_MAX_S, asked_wait_s, retry_after_s
from pipeline.llm.wordings import (
    ADDRESS_WORDS,
    AUTH_CODES,
    AUTH_WORDS,
    CONTENT_CODES,
    CONTENT_WORDS,
    CONTEXT_CODES,
    CONTEXT_WORDS,
    DROPPABLE,
    FORMAT_CODES,
    FORMAT_WORDS,
    LIMIT_AND_REQUESTED,
    MODEL_CODES,
    MODEL_WORDS,
    OUTRIGHT_WORDS,
    PARAMETER_CODES,
    PARAMETER_WORDS,
    QUOTA_CODES,
    QUOTA_WORDS,
    RATE_CODES,
    REFUSAL,
    TOOLS_WORDS,
)
from pipeline.models import KEYLESS, ToldLimit

_JUDGED_MAX_CHARS = 4_000
_MODEL_NAME_MIN_CHARS = 4  # a shorter one may stand inside ordinary words
_UPSTREAM_MAX_DEPTH = 3  # routers behind routers
_AMOUNT = re.compile(
    r"(\d{1,7}(?:\.\d{1,9})?)\s*"
    r"(ms|milli(?:second)?s?|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?)(?![a-z])",
    re.I,
)
_UNIT_S = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_WAIT_WORDS = re.compile(
    rf"\b(?:again|retry|wait)\s+(?:(?:in|after|for|at least)\s+)?((?:{_AMOUNT.pattern}\s*)+)", re.I
)
_NEEDED = ("messages", "model", "stream")  # without these there is no request: never left out


@dataclass(frozen=True, slots=True)
class ProviderError:
    """What an error body says, whatever its shape."""

    message: str
    codes: str  # code and type, lower case
    parameter: str
    status: int | None  # a status repeated in the body
    is_openai_shaped: bool
    wait_s: float | None = None  # how long it asks to wait


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
    status given inside the body decides, and the error carries 200. The provider's words end the
    message: they often say what no class of ours does (an unverified account, a daily limit).
    """
    secrets = tuple(secrets)
    said = read_error(body)
    words = provider_words(said.message, secrets)
    told = said.status if status == 200 and said.status else status
    wait_s = max((s for s in (retry_after_s(headers), said.wait_s) if s is not None), default=None)
    message = _without_name(said.message[:_JUDGED_MAX_CHARS], model)
    judged = replace(said, message=message, wait_s=wait_s)
    error = _by_code(told, judged, model) or _by_status(told, judged, model)
    if isinstance(error, AuthError) and told == 401 and KEYLESS in secrets:
        error = _no_key()
    error.status, error.provider_text = status, words
    if 300 <= status < 400 and (there := headers.get("location")):
        error.hint = f"It points to {provider_words(there, secrets)}: use that as the base URL."
    if isinstance(error, RateLimited):
        by_headers = _open_by(limits_from_headers(headers), asked_wait_s(headers))
        error.limits = (*by_headers, *limits_from_words(message))
    if words and not _is_plain_401(told, words):
        error.message = f"{error.message} It says: {as_sentence(words)}"
    return error


def _open_by(limits: tuple[ToldLimit, ...], asked_s: float | None) -> tuple[ToldLimit, ...]:
    """Limits from the headers beside a `retry-after` of `asked_s`.

    Who is invited back in a second finds room, even when a limit's reset is six minutes away;
    taken at its word such a limit is shut until then, and a run stops for it at once.
    """
    if asked_s is None or asked_s > RETRY_AFTER_MAX_S:
        return limits
    return tuple(
        replace(limit, reset_s=None) if (limit.reset_s or 0.0) > RETRY_AFTER_MAX_S else limit
        for limit in limits
    )


def _is_plain_401(status: int, words: str) -> bool:
    """Says no more than that the key is wrong, and often repeats the key."""
    return status == 401 and (AUTH_WORDS.search(words) is not None or len(words.split()) < 3)


def read_error(body: object) -> ProviderError:
    try:
        return _read_error(_decoded(body))
    except RecursionError:
        return ProviderError("an error nested too deeply to be read", "", "", None, False)


def _read_error(value: object, depth: int = 0) -> ProviderError:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return ProviderError(_without_markup(str(value)), "", "", None, False)
    inner = value.get("error")
    found: dict[str, Any] = inner if isinstance(inner, dict) else value
    message = inner if isinstance(inner, str) else _message(found)
    kinds = [found.get(name) for name in ("code", "type", "status", "error_type")]
    said = ProviderError(
        message=message,
        codes=" ".join(str(kind).lower() for kind in kinds if isinstance(kind, str | int)),
        parameter=_parameter(found),
        status=next((s for s in map(_http_status, kinds) if s), None),
        is_openai_shaped="error" in value or value.get("object") == "error",
        wait_s=_wait_s(found, message),
    )
    upstream = _upstream(found, message)
    if upstream is None or depth >= _UPSTREAM_MAX_DEPTH:
        return said
    return _with_upstream(said, _read_error(upstream, depth + 1))


def _upstream(found: Mapping[str, Any], message: str) -> object:
    """What a router passes on of the error it was given itself; None when nothing."""
    metadata = found.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, dict) and raw:
        return raw
    if isinstance(raw, str) and raw.strip():
        return _decoded(raw)
    inner = _decoded(message) if message.lstrip().startswith(("{", "[")) else None
    return (
        inner if isinstance(inner, dict | list) and isinstance(found.get("message"), str) else None
    )


def _with_upstream(said: ProviderError, upstream: ProviderError) -> ProviderError:
    waits_s = [s for s in (said.wait_s, upstream.wait_s) if s is not None]
    return ProviderError(
        message=upstream.message or said.message,
        codes=f"{said.codes} {upstream.codes}".strip(),
        parameter=upstream.parameter or said.parameter,
        status=said.status or upstream.status,
        is_openai_shaped=said.is_openai_shaped,
        wait_s=max(waits_s, default=None),
    )


def _wait_s(found: Mapping[str, Any], message: str) -> float | None:
    """How long to wait, where the body says it: in a field, in headers it repeats, in words."""
    details, metadata = found.get("details"), found.get("metadata")
    told = [found.get(name) for name in ("retry_after", "retryAfter", "retry_after_seconds")]
    told += [d.get("retryDelay") for d in _listed(details) if isinstance(d, dict)]
    waits_s = [
        retry_after_s({"retry-after": str(v)}) for v in told if isinstance(v, str | int | float)
    ]
    repeated = metadata.get("headers") if isinstance(metadata, dict) else None
    if isinstance(repeated, dict):
        waits_s.append(retry_after_s({str(k): str(v) for k, v in repeated.items()}))
    if words := _WAIT_WORDS.search(message[:_JUDGED_MAX_CHARS]):
        waits_s.append(sum(float(n) * _unit_s(unit) for n, unit in _AMOUNT.findall(words[1])))
    return max((s for s in waits_s if s is not None), default=None)


def _unit_s(word: str) -> float:
    return next(s for name, s in _UNIT_S.items() if word.lower().startswith(name))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _decoded(body: object) -> object:
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            return read_json(body)
        except ValueError:
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
            return json.dumps(value, ensure_ascii=False)
    return json.dumps(found, ensure_ascii=False) if found else ""


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


def _without_name(message: str, model: str) -> str:
    """A model's name may be made of the very words that are looked for: `Seed-1.6`, `tools-7b`."""
    if len(model) < _MODEL_NAME_MIN_CHARS or model.isalpha():
        return message
    return message.replace(model, "")


def _by_code(status: int, said: ProviderError, model: str) -> CallError | None:
    """What the provider's own code, type and parameter say; None when they say nothing."""
    if status in (500, 501):
        return _refused_outright(said)
    if status in (401, 402) or status > 501:
        return None
    if QUOTA_CODES.search(said.codes):
        return _quota()
    if CONTEXT_CODES.search(said.codes):
        return _context(model)
    if MODEL_CODES.search(said.codes):
        return _model(model)
    is_rate = RATE_CODES.search(said.codes)
    if (
        not is_rate
        and status in (200, 400, 403, 412, 422, 429)
        and QUOTA_WORDS.search(said.message)
    ):
        return _quota()
    if status == 429 or is_rate:
        return _never_fits(said) or _rate(said)
    if FORMAT_CODES.search(said.codes):
        return _parameter_refused("response_format")
    if AUTH_CODES.search(said.codes):
        return _auth(status)
    if CONTENT_CODES.search(said.codes):
        return _content()
    if said.parameter == "model" and status in (400, 404, 422):
        return _model(model)
    return _refused_by_name(status, said)


def _refused_outright(said: ProviderError) -> CallError | None:
    """Some servers call it their own failure that they do not take a parameter."""
    if FORMAT_WORDS.search(said.message):
        return _parameter_refused("response_format")
    match = OUTRIGHT_WORDS.search(said.message)
    return _parameter_refused(_name_in(match)) if match else None


def _name_in(match: re.Match[str]) -> str:
    name = next(name for name, hit in match.groupdict().items() if hit)
    return name.removeprefix("after_")


def _refused_by_name(status: int, said: ProviderError) -> CallError | None:
    if status not in (400, 404, 422) or not said.parameter:
        return None
    name = said.parameter.split(".")[0].split("[")[0]
    if name in _NEEDED:
        return None
    if name in DROPPABLE:
        return _parameter_refused(name)
    if name == "tool_choice":
        return _parameter_refused("tools")
    is_refusal = PARAMETER_CODES.search(said.codes) or re.search(REFUSAL, said.message, re.I)
    if is_refusal and re.fullmatch(r"\w+", said.parameter):
        return _parameter_refused(name)
    return None


def _by_status(status: int, said: ProviderError, model: str) -> CallError:
    if status == 402:
        return _quota()
    if status == 403 and CONTENT_WORDS.search(said.message):
        return _content()
    if status in (401, 403):
        return _auth(status)
    if status == 429:
        return _never_fits(said) or _rate(said)
    if status in (408, 409, 425, 498) or status >= 500:
        return _server(status, said)
    if status in (200, 400, 404, 413, 422):
        return _by_words(status, said, model)
    if 300 <= status < 400 or status == 405:
        return _not_an_endpoint(status)
    return BadRequest(
        f"The endpoint refused the request (HTTP {status}).", "Check the model and the settings."
    )


def _by_words(status: int, said: ProviderError, model: str) -> CallError:
    """Only the wording is left to decide on."""
    if FORMAT_WORDS.search(said.message):
        return _parameter_refused("response_format")
    if match := PARAMETER_WORDS.search(said.message) or TOOLS_WORDS.search(said.message):
        return _parameter_refused(_name_in(match))
    if status == 413 or CONTEXT_WORDS.search(said.message):
        return _context(model)
    if AUTH_WORDS.search(said.message):
        return _auth(status)
    if MODEL_WORDS.search(said.message):
        return _model(model)
    if ADDRESS_WORDS.search(said.message):
        return _not_an_endpoint(status)
    if status == 404:
        is_about_model = re.search(r"\b(model|function|deployment)\b", said.message, re.I)
        return (
            _model(model) if said.is_openai_shaped or is_about_model else _not_an_endpoint(status)
        )
    if CONTENT_WORDS.search(said.message):
        return _content()
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


def _no_key() -> AuthError:
    return AuthError(
        "The endpoint asks for an API key, and no key was sent.",
        "Type the key for this endpoint, or set OPENAI_API_KEY.",
    )


def _quota() -> QuotaError:
    return QuotaError(
        "The account's credit or spending limit is used up.",
        "Add credit or raise the limit at the provider, then continue the run.",
    )


def _content() -> BadRequest:
    return BadRequest(
        "The provider's content filter refused the prompt.",
        "Change the topic or its wording, or use another model.",
    )


def _rate(said: ProviderError) -> RateLimited:
    hint = "Lower the calls at once or the requests per minute, or continue later."
    return RateLimited(
        "The endpoint's rate limit is reached.",
        _long_wait(said) or hint,
        retry_after_s=said.wait_s,
    )


def _long_wait(said: ProviderError) -> str:
    """What to do about a wait nobody makes within a run; empty when there is none."""
    if said.wait_s is None or said.wait_s <= RETRY_AFTER_MAX_S:
        return ""
    return f"It asks to wait {said.wait_s:.0f} s. Continue the run after that."


def _never_fits(said: ProviderError) -> ContextTooLong | None:
    """A request beyond a whole limit: no wait makes room for it."""
    match = LIMIT_AND_REQUESTED.search(said.message)
    if match is None:
        return None
    limit, requested = (int(number.replace(",", "")[:15]) for number in match.groups())
    if requested <= limit:
        return None
    return ContextTooLong(
        f"One request asks for {requested:,} at once, and the endpoint's limit is {limit:,}.",
        "Raise the limit at the provider, or choose another model or a shorter length.",
    )


def _model(model: str) -> ModelNotFound:
    name = f" `{model}`" if model else ""
    return ModelNotFound(
        f"The endpoint does not offer the model{name}.",
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


def _server(status: int, said: ProviderError) -> ServerFailed:
    return ServerFailed(
        f"The endpoint failed (HTTP {status}).",
        _long_wait(said) or "This is on the provider's side: continue the run in a while.",
        retry_after_s=said.wait_s,
    )


def _not_an_endpoint(status: int) -> NotAnEndpoint:
    return NotAnEndpoint(
        f"This address is not an OpenAI-compatible endpoint (HTTP {status}).",
        "Check the base URL; it usually ends in /v1.",
    )
