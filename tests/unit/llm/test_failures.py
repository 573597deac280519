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
    NoConnection,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unreachable,
)
from pipeline.llm.failures import classify
from pipeline.llm.redact import provider_words
from pipeline.llm.transport import translate, translate_midway
from pipeline.models import KEYLESS
from pipeline.redaction import redact

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
    ("tools", 500, openai_error("tools param requires --jinja flag", type="server_error")),
    ("tools", 500, openai_error("Cannot use tools with stream", type="server_error")),
    (
        "response_format",
        400,
        openai_error("json mode cannot be combined with tool/function calling"),
    ),
    ("response_format", 400, openai_error("The specified model does not support JSON mode")),
    (
        "response_format",
        400,
        openai_error("The provided JSON schema contains features not supported by xgrammar."),
    ),
    ("response_format", 400, openai_error("Failed to parse grammar")),
    ("response_format", 500, openai_error("Failed to parse grammar", type="server_error")),
    (
        "response_format",
        400,
        [
            openai_error(
                'Invalid JSON payload received. Unknown name "additionalProperties" at '
                "'generation_config.response_schema': Cannot find field."
            )
        ],
    ),
    (
        "response_format",
        400,
        openai_error(
            "Prompt must contain the word 'json' in some form to use 'response_format' of type "
            "'json_object'."
        ),
    ),
    (
        "response_format",
        400,
        openai_error("Failed to generate JSON. Adjust your prompt.", code="json_validate_failed"),
    ),
    (
        "response_format",
        400,
        [
            openai_error(
                "Function calling with a response mime type: 'application/json' is unsupported"
            )
        ],
    ),
    (
        "seed",
        400,
        [openai_error('Invalid JSON payload received. Unknown name "seed": Cannot find field.')],
    ),
    (
        "max_tokens",
        400,
        openai_error("max_tokens: 9000 > 8192, which is the maximum allowed number of tokens"),
    ),
    (
        "max_tokens",
        400,
        openai_error("<400> InternalError.Algo: Range of max_tokens should be [1, 8192]"),
    ),
    ("temperature", 400, openai_error("temperature: range: 0..1")),
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
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096"
        ),
    ),
    (
        ContextTooLong,
        400,
        openai_error("Token limit exceeded"),
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
    (BadRequest, 400, {"message": "invalid request: all elements in tools must have a name."}),
    (BadRequest, 400, openai_error("Invalid schema for function 'search': tools must be named")),
    (BadRequest, 403, openai_error("Your input was flagged", code=403)),
    (ServerFailed, 500, openai_error("Invalid state of the worker, seed must be set")),
    (ServerFailed, 498, openai_error("Flex tier capacity exceeded", type="capacity")),
    (ServerFailed, 425, "too early"),
    (QuotaError, 400, openai_error("Your credit balance is too low to access the Claude API.")),
    (
        QuotaError,
        403,
        {"code": "No permission", "error": "Your newly created team doesn't have any credits yet."},
    ),
    (
        QuotaError,
        429,
        {
            "code": "Some resource has been exhausted",
            "error": "Your team has either used all available credits or reached its monthly limit.",
        },
    ),
    (
        QuotaError,
        400,
        openai_error("Budget has been exceeded! Current cost: 10", type="budget_exceeded"),
    ),
    (
        QuotaError,
        429,
        openai_error(
            "Your account org-x is suspended, please check your plan and billing details",
            type="exceeded_current_quota_error",
        ),
    ),
    (QuotaError, 429, openai_error("Insufficient balance or no resource package.", code="1113")),
    (
        QuotaError,
        400,
        openai_error(
            "Access denied, make sure your account is in good standing.", code="Arrearage"
        ),
    ),
    (QuotaError, 412, openai_error("Account x is suspended, possibly due to the spending limit")),
    (NotAnEndpoint, 404, openai_error("Invalid URL (POST /chat/completions)")),
    (NotAnEndpoint, 404, {"error": {"code": "404", "message": "Resource not found"}}),
    (NotAnEndpoint, 404, {"status": 404, "error": "Not Found", "path": "/chat/completions"}),
    (NotAnEndpoint, 200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
    (ModelNotFound, 400, openai_error("Model Not Exist")),
    (ModelNotFound, 400, {"error": "Model foo is not supported by provider bar"}),
    (ModelNotFound, 400, openai_error("模型不存在，请检查模型代码。", code="1211")),
    (ModelNotFound, 404, {"title": "Not Found", "detail": "Function 'abc': Not found for account"}),
    (ContextTooLong, 400, openai_error("Your request exceeded model token limit: 8192")),
    (AuthError, 400, [openai_error("Missing or invalid Authorization header.")]),
    (RateLimited, 429, openai_error("You exceeded your current quota, check your billing details")),
]


@pytest.mark.parametrize(("kind", "status", "body"), OTHERS)
def test_another_error_is_recognised(kind: type[CallError], status: int, body: object) -> None:
    error = classify(status, {}, body if isinstance(body, str | bytes) else json.dumps(body))

    assert type(error) is kind
    assert error.message and error.hint


TPM = (
    "on tokens per minute (TPM): Limit {limit}, Requested {asked}, please reduce your message size."
)


@pytest.mark.parametrize("status", [413, 429])
def test_a_request_beyond_the_whole_limit_is_not_made_again(status: int) -> None:
    def told(limit: str, asked: str) -> CallError:
        words = f"Request too large for `m` {TPM.format(limit=limit, asked=asked)}"
        return classify(status, {}, openai_error(words, code="rate_limit_exceeded"))

    assert type(told("6,000", "6001")) is ContextTooLong
    assert type(told("600, Used 20", "2400")) is ContextTooLong
    assert "limit is 6,000" in told("6000", "24,000").message
    assert type(told("30000, Used 20000", "15000")) is RateLimited


def test_a_byte_order_mark_hides_no_error() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(openai_error("no", code="insufficient_quota")).encode()

    assert type(classify(429, {}, body)) is QuotaError


@pytest.mark.parametrize("model", ["Seed-OSS-36B", "acme/tools-json_schema-7b"])
def test_the_models_own_name_names_no_parameter(model: str) -> None:
    error = classify(404, {}, openai_error(f"The model `{model}` is not supported"), model=model)

    assert type(error) is ModelNotFound


def routed(raw: object, status: int = 400) -> dict[str, Any]:
    metadata = {"raw": raw, "provider_name": "Together"}
    return {"error": {"message": "Provider returned error", "code": status, "metadata": metadata}}


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        (ContextTooLong, 400, routed(json.dumps(openai_error("maximum context length is 8192")))),
        (ContextTooLong, 400, routed(openai_error("no", code="context_length_exceeded"))),
        (ParameterRefused, 400, routed("Unrecognized request argument supplied: seed")),
        (RateLimited, 429, routed("x is temporarily rate-limited upstream", 429)),
        (AuthError, 400, openai_error(json.dumps(openai_error("API key not valid")))),
        (ServerFailed, 502, routed("", 502)),
    ],
)
def test_the_error_a_router_was_given_itself_decides(
    kind: type[CallError], status: int, body: dict[str, Any]
) -> None:
    error = classify(status, {}, body)

    assert type(error) is kind


def test_the_error_a_router_was_given_itself_is_told() -> None:
    error = classify(400, {}, routed("the moon is full"))

    assert error.provider_text == "the moon is full"


def test_routers_behind_routers_come_to_an_end() -> None:
    body: Any = "the last word"
    for _ in range(50):
        body = routed(body)

    assert isinstance(classify(400, {}, body), BadRequest)


@pytest.mark.parametrize(
    ("wait_s", "body"),
    [
        (37.0, {"error": {"message": "quota", "details": [{"retryDelay": "37s"}]}}),
        (37.4, openai_error("You exceeded your current quota. Please retry in 37.4s.")),
        (20.0, openai_error("Rate limit reached: Limit 3, Used 3. Please try again in 20s.")),
        (90.5, openai_error("Please try again in 1m30.5s. Visit the page to learn more.")),
        (0.12, openai_error("Please try again in 120ms.")),
        (24.0, openai_error("Please retry after 24 seconds.")),
        (3_600.0, openai_error("Try again in 1 hour")),
        (7.0, {"error": {"message": "slow", "retry_after": 7}}),
        (9.0, {"error": {"message": "slow", "metadata": {"headers": {"Retry-After": "9"}}}}),
        (0.25, openai_error("Please try again in 250 milliseconds")),
        (120.0, openai_error("Please wait 2 minutes")),
        (None, openai_error("Please try again later, or wait for 3 more of them")),
    ],
)
def test_a_wait_told_in_the_body_is_read(wait_s: float | None, body: dict[str, Any]) -> None:
    error = classify(429, {}, body)

    assert isinstance(error, RateLimited)
    assert error.retry_after_s == (None if wait_s is None else pytest.approx(wait_s))


def test_the_longer_of_two_waits_holds() -> None:
    body = openai_error("Please retry in 5s")

    assert isinstance(error := classify(503, {"retry-after": "9"}, body), ServerFailed)
    assert error.retry_after_s == 9.0


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_too_long_for_a_run_is_told(status: int) -> None:
    error = classify(status, {"retry-after": "300"}, openai_error("Later, please"))

    assert error.hint == "It asks to wait 300 s. Continue the run after that."


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


def test_a_401_after_no_key_says_that_none_was_sent() -> None:
    error = classify(401, {}, openai_error("Incorrect API key provided"), secrets=[KEYLESS])

    assert type(error) is AuthError
    assert "no key was sent" in error.message


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
        (aiohttp.ConnectionTimeoutError(), NoConnection, "no connection within"),
        (httpx2.ConnectTimeout("late"), NoConnection, "no connection within"),
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


def test_a_short_retry_after_opens_a_limit_whose_reset_is_too_far_to_wait_for() -> None:
    # the headers of aimock 1.43's 429: a wait of a second beside a reset in six minutes
    told = {
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    }

    invited = classify(429, told | {"retry-after": "1"}, "{}", model="m")
    uninvited = classify(429, told, "{}", model="m")

    assert isinstance(invited, RateLimited)
    assert isinstance(uninvited, RateLimited)
    assert [limit.reset_s for limit in invited.limits] == [None]
    assert [limit.reset_s for limit in uninvited.limits] == [360.0]
