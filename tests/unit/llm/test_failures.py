"""Error responses of real providers, and the wordings they are known for."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    AuthError,
    BadRequest,
    CallError,
    ContextTooLong,
    DeadlineExceeded,
    ModelNotFound,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unreachable,
)
from pipeline.llm.failures import classify
from pipeline.llm.redact import provider_words, redact
from pipeline.llm.transport import address, translate, translate_midway

ERRORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "errors" / "errors.json").read_text()
)["errors"]
KINDS: list[type[CallError]] = [
    ModelNotFound,
    ModelNotFound,
    BadRequest,
    BadRequest,
    ParameterRefused,
    ModelNotFound,
    BadRequest,
    AuthError,
    ModelNotFound,
    ModelNotFound,
    AuthError,
    AuthError,
    ModelNotFound,
    AuthError,
    AuthError,
    AuthError,
    RateLimited,
    ContextTooLong,
    ContextTooLong,
]


@pytest.mark.parametrize(
    ("entry", "kind"),
    list(zip(ERRORS, KINDS, strict=True)),
    ids=[f"{i}-{e['provider']}-{e['status']}" for i, e in enumerate(ERRORS)],
)
def test_a_recorded_error_is_recognised(entry: dict[str, Any], kind: type[CallError]) -> None:
    error = classify(entry["status"], entry["headers"], entry["body"], model="m")

    assert type(error) is kind
    assert error.status == entry["status"]
    assert error.message and error.hint
    assert 0 < len(error.provider_text) <= 500
    assert "sk-fake-key" not in error.provider_text


def test_a_refused_parameter_of_a_recording_is_named() -> None:
    entry = next(e for e in ERRORS if "web_search_options" in e["body"])

    error = classify(400, {}, entry["body"])

    assert isinstance(error, ParameterRefused)
    assert error.parameter == "web_search_options"


def openai_error(message: str, **fields: object) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


REFUSED: list[tuple[str, int, object]] = [
    (
        "max_tokens",
        400,
        openai_error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
    ),
    (
        "max_tokens",
        400,
        openai_error("max_tokens is too large: 9000. This model supports at most 4096 tokens"),
    ),
    ("max_tokens", 400, openai_error("Invalid max_tokens value, the valid range is [1, 8192]")),
    (
        "temperature",
        400,
        openai_error(
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            param="temperature",
            code="unsupported_value",
        ),
    ),
    (
        "stream_options",
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "stream_options"],
                    "msg": "Extra inputs are not permitted",
                }
            ]
        },
    ),
    ("seed", 400, openai_error("Unrecognized request argument supplied: seed")),
    ("seed", 422, {"object": "error", "message": "seed: Extra inputs are not permitted"}),
    (
        "response_format",
        400,
        openai_error("This model does not support response format `json_schema`."),
    ),
    ("response_format", 400, openai_error("This response_format type is unavailable now")),
    (
        "response_format",
        400,
        openai_error("Invalid schema for response_format 'Plan'", param="response_format"),
    ),
    ("tools", 400, openai_error("registry.ollama.ai/library/x does not support tools")),
    (
        "tools",
        400,
        openai_error('"auto" tool choice requires --enable-auto-tool-choice to be set'),
    ),
    ("tools", 404, openai_error("No endpoints found that support tool use. Try another model.")),
    ("tools", 400, openai_error("Function calling is not enabled for this model")),
    ("tools", 400, openai_error("not here", param="tool_choice")),
]


@pytest.mark.parametrize(("parameter", "status", "body"), REFUSED)
def test_a_refused_parameter_is_named(parameter: str, status: int, body: object) -> None:
    error = classify(status, {}, body)

    assert isinstance(error, ParameterRefused)
    assert error.parameter == parameter


OTHERS: list[tuple[type[CallError], int, object]] = [
    (ContextTooLong, 400, openai_error("too long", code="context_length_exceeded")),
    (ContextTooLong, 400, openai_error("prompt is too long: 210000 tokens > 200000 maximum")),
    (
        ContextTooLong,
        400,
        openai_error("The input token count (1200000) exceeds the maximum number of tokens"),
    ),
    (
        ContextTooLong,
        400,
        openai_error("Requested tokens (5000) exceed context window of 2048"),
    ),
    (
        ContextTooLong,
        400,
        openai_error(
            "the request exceeds the available context size", type="exceed_context_size_error"
        ),
    ),
    (
        ContextTooLong,
        400,
        openai_error(
            "This model's maximum prompt length is 131072 but the request contains 140000"
        ),
    ),
    (ContextTooLong, 400, openai_error("Input is too long for requested model.")),
    (ContextTooLong, 422, {"error": "`inputs` must have less than 1024 tokens. Given: 2000"}),
    (ContextTooLong, 413, "<html>Request Entity Too Large</html>"),
    (ModelNotFound, 400, openai_error("Invalid model name passed in model=gpt-x.", code="400")),
    (ModelNotFound, 400, openai_error("foo/bar is not a valid model ID")),
    (ModelNotFound, 400, {"object": "error", "message": "no", "type": "invalid_model"}),
    (ModelNotFound, 400, openai_error("gone", code="model_decommissioned")),
    (ModelNotFound, 400, openai_error("no", param="model")),
    (ModelNotFound, 403, openai_error("no access to model", code="model_not_found")),
    (ModelNotFound, 404, {"message": "The model `x` does not exist."}),
    (NotAnEndpoint, 404, {"detail": "Not Found"}),
    (NotAnEndpoint, 404, "<html><h1>404</h1></html>"),
    (NotAnEndpoint, 405, ""),
    (NotAnEndpoint, 302, ""),
    (QuotaError, 402, openai_error("Insufficient Balance")),
    (QuotaError, 429, openai_error("quota", code="insufficient_quota")),
    (QuotaError, 429, openai_error("quota", type="insufficient_quota", code=None)),
    (AuthError, 400, [openai_error("API key not valid. Please pass a valid API key.")]),
    (AuthError, 400, openai_error("no", code="invalid_api_key")),
    (AuthError, 403, "<html>Forbidden</html>"),
    (RateLimited, 429, ""),
    (ServerFailed, 502, "<html>Bad Gateway</html>"),
    (ServerFailed, 529, openai_error("Overloaded")),
    (BadRequest, 400, b"\xff\xfe not text"),
    (BadRequest, 418, {}),
    (BadRequest, 400, None),
    (BadRequest, 400, openai_error("Invalid 'messages[0].content': expected a string")),
]


@pytest.mark.parametrize(("kind", "status", "body"), OTHERS)
def test_another_error_is_recognised(kind: type[CallError], status: int, body: object) -> None:
    error = classify(status, {}, body if isinstance(body, str | bytes) else json.dumps(body))

    assert type(error) is kind
    assert error.message and error.hint


TOLD: list[tuple[type[CallError], int, object]] = [
    (AuthError, 403, openai_error("Country, region, or territory not supported")),
    (ModelNotFound, 404, openai_error("No endpoints found matching your data policy")),
    (
        BadRequest,
        400,
        openai_error(
            "Your organization must be verified to stream this model.",
            param="stream",
            code="unsupported_value",
        ),
    ),
    (RateLimited, 429, openai_error("free-models-per-day. Add 10 credits to unlock 1000")),
    (QuotaError, 402, openai_error("You can only afford 100 tokens")),
    (ContextTooLong, 400, openai_error("maximum context length is 10, you asked for 20")),
    (ParameterRefused, 400, openai_error("seed is not supported with this model")),
    (NotAnEndpoint, 404, {"detail": "Not Found here"}),
    (AuthError, 401, openai_error("Your IP is not authorized to access this resource")),
]


@pytest.mark.parametrize(("kind", "status", "body"), TOLD)
def test_the_providers_words_end_the_message(
    kind: type[CallError], status: int, body: dict[str, Any]
) -> None:
    error = classify(status, {}, body, model="m")

    assert type(error) is kind
    assert error.provider_text
    assert error.message.endswith(f" It says: {error.provider_text.rstrip('.')}.")


@pytest.mark.parametrize(
    "words", ["Unauthorized", "Incorrect API key provided: abc.", "Your api key: **12 is invalid"]
)
def test_a_plain_401_is_said_in_our_own_words(words: str) -> None:
    error = classify(401, {}, openai_error(words))

    assert "It says" not in error.message
    assert error.provider_text == words


def test_words_in_a_message_are_redacted_one_line_and_bounded() -> None:
    said = "no\n way, sk-proj-abcdEFGH1234 " + "x" * 5_000

    error = classify(403, {}, openai_error(said))

    assert "sk-proj" not in error.message and "\n" not in error.message
    assert len(error.message) < 600


def test_a_status_inside_a_body_with_200_decides() -> None:
    error = classify(200, {}, {"error": {"message": "slow down", "code": 429}})

    assert isinstance(error, RateLimited)
    assert error.status == 200


@given(
    status=st.integers(200, 599),
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "message", "code", "type", "param", "detail", "loc"]),
                inner,
            )
        ),
        max_leaves=8,
    ),
)
def test_whatever_an_endpoint_answers_becomes_an_error_of_ours(status: int, body: Any) -> None:
    error = classify(status, {}, body)

    assert isinstance(error, CallError)
    assert error.message and error.hint


@pytest.mark.parametrize("depth", [300, 900, 50_000])
@pytest.mark.parametrize("field", ["message", "code", "detail", "param"])
def test_an_error_nested_without_end_is_an_error_of_ours(field: str, depth: int) -> None:
    body = '{{"error": {{"{}": {}}}}}'.format(field, "[" * depth + "1" + "]" * depth)
    nested: Any = "deep"
    for _ in range(depth):
        nested = [nested]

    for told in (body, {"error": {field: nested}}):
        error = classify(400, {}, told)
        assert type(error) is BadRequest
        assert len(error.provider_text) <= 500


def test_half_a_character_in_an_error_can_be_stored() -> None:
    error = classify(400, {}, {"error": {"message": ["half \ud83d"]}})

    error.provider_text.encode()


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdEFGH1234_x-9",
        "sk-...9Qf2",
        "Bearer abc.def-123",
        "eyJhbGciOi.eyJzdWIi.c2ln",
        "gsk_1234567890ab",
        "AIzaSyA1234567890",
        "hf_abcdefghij",
    ],
)
def test_what_looks_like_a_key_is_hidden(secret: str) -> None:
    assert secret.split()[-1] not in redact(f"Incorrect key {secret}, try again")


def test_the_key_itself_is_hidden_whatever_it_looks_like() -> None:
    error = classify(401, {}, {"detail": "key plainword99 is wrong"}, secrets=["plainword99"])

    assert "plainword99" not in error.provider_text + str(error)


def test_ordinary_words_are_left_alone() -> None:
    line = "The task-force asks: basic facts, risk-free, key-value, no tokens"

    assert redact(line, secrets=["", "no"]) == line


def test_provider_text_is_one_short_line_that_can_be_stored() -> None:
    words = provider_words("a\n\tb " + "x" * 1_000 + "\ud800")

    assert words.startswith("a b x")
    assert len(words) == 500
    words.encode()


def connection_error(cause: BaseException) -> openai.APIConnectionError:
    error = openai.APIConnectionError(request=httpx2.Request("POST", "http://h/v1"))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), Unreachable, "cannot be found"),
        (ConnectionRefusedError(), Unreachable, "refused"),
        (ssl.SSLCertVerificationError("self-signed"), Unreachable, "secure connection"),
        (aiohttp.ConnectionTimeoutError(), Unreachable, "no connection within"),
        (httpx2.ConnectTimeout("late"), Unreachable, "no connection within"),
        (httpx2.ReadTimeout("late"), DeadlineExceeded, "in time"),
        (aiohttp.ServerDisconnectedError(), Unreachable, "broke"),
        (httpx2.RemoteProtocolError("gone"), Unreachable, "broke"),
        (httpx2.UnsupportedProtocol("no"), NotAnEndpoint, "not an OpenAI-compatible"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_transport_error_names_the_address(
    cause: Exception, kind: type[CallError], words: str
) -> None:
    error = translate(connection_error(cause), "http://host.example:8000/v1/")

    assert type(error) is kind
    assert words in error.message
    assert "http://host.example:8000/v1" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (httpx2.ReadError("cut"), StreamBroken),
        (httpx2.ReadTimeout("late"), DeadlineExceeded),
        (ConnectionResetError(), StreamBroken),
    ],
)
def test_an_error_in_the_middle_of_a_reply_is_a_broken_stream(
    exc: Exception, kind: type[CallError]
) -> None:
    assert type(translate_midway(exc)) is kind


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8443/v1/?key=1", "https://host:8443/v1"),
        ("http://host/", "http://host"),
        ("http://host:port/v1", "http://host/v1"),
    ],
)
def test_an_address_is_shown_without_what_is_private(url: str, shown: str) -> None:
    assert address(url) == shown
