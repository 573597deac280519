"""Every error Gantry raises on purpose, as one small tree.

GantryError
├── SpecError                 what was asked cannot be run (bad topic, unknown mode, phase or agent)
├── PlanError                 the plan cannot be carried out; raised before the first call
├── CallError                 one request to a model failed
│   ├── AuthError             401, 403
│   ├── QuotaError            the account has no credit left (`insufficient_quota`)
│   ├── RateLimited           429; carries `retry_after_s` and what was said of `limits`
│   ├── ModelNotFound         404, or a 400 that names an unknown model
│   ├── ContextTooLong        the prompt does not fit the model
│   ├── ParameterRefused      the endpoint does not take one parameter; carries `parameter`
│   ├── BadRequest            any other 4xx
│   ├── ServerFailed          408, 409, 5xx
│   ├── Unreachable           DNS, refused connection, TLS
│   │   └── NoConnection      nobody there took the connection in time
│   ├── EndpointDown          its circuit is open, and was for longer than a call waits
│   ├── NotAnEndpoint         the address answers, but not as an OpenAI-compatible endpoint
│   ├── StreamBroken          cut, malformed chunk, error object, or no `finish_reason`
│   └── DeadlineExceeded      first token, idle or total deadline
├── OutputInvalid             the text does not fit the agent's schema after the repair turns
├── BudgetExceeded            the next call may cost more than the run or the day may spend
├── NotConfigured             an agent has nothing to work with: no search service, no page to read
├── NothingFound              no evidence, and the brief does not allow an unsourced draft
├── DocumentError             an uploaded document cannot be made text of; carries `reason`
├── InternalError             a defect of Gantry stopped one agent; the log has its traceback
├── StoreError                the data folder or database cannot be used
│   ├── StoreBusy             another program holds the database
│   └── StoreUnreachable      the database server does not answer, or the connection to it broke
├── Superseded                another executor owns this run now (epoch fencing)
├── DemoUnavailable           the demo provider cannot be started or does not answer
├── EngineBusy                another process is the engine of this data folder
├── UnknownVisitor            somebody must sign in, or accept a cookie, before they can have runs
└── NoAnswer                  the pipeline's loop did not answer in time
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.models import ToldLimit  # brings pydantic, and child processes import this module

# Why a document cannot be made text of. Stored: never rename.
DocumentReason = Literal[
    "encrypted",
    "broken",
    "scanned_only",
    "too_large",
    "too_many_pages",
    "timed_out",
    "out_of_memory",
    "unsupported",
    "bomb",
    "empty",
    "mislabelled",
]


class GantryError(Exception):
    """Base of every error raised on purpose.

    `message` says what happened, `hint` what a person can do about it, `code` is a stable
    word for stored records and tests.
    """

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class SpecError(GantryError):
    code = "bad_input"


class PlanError(GantryError):
    code = "bad_plan"


class CallError(GantryError):
    """One request to a model failed.

    `status` is the HTTP status when there was one, `provider_text` what the provider said
    (redacted, at most 500 characters).
    """

    code = "call_failed"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int | None = None,
        provider_text: str = "",
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.provider_text = provider_text


class AuthError(CallError):
    code = "auth"


class QuotaError(CallError):
    code = "quota"


class RateLimited(CallError):
    code = "rate_limited"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int | None = 429,
        provider_text: str = "",
        retry_after_s: float | None = None,
        limits: tuple[ToldLimit, ...] = (),
    ) -> None:
        super().__init__(message, hint, status=status, provider_text=provider_text)
        self.retry_after_s = retry_after_s
        self.limits = limits  # what the provider said of the limits that were reached


class ModelNotFound(CallError):
    code = "model_not_found"


class ContextTooLong(CallError):
    code = "context_too_long"


class ParameterRefused(CallError):
    code = "parameter_refused"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        parameter: str,
        status: int | None = 400,
        provider_text: str = "",
    ) -> None:
        super().__init__(message, hint, status=status, provider_text=provider_text)
        self.parameter = parameter


class BadRequest(CallError):
    code = "bad_request"


class ServerFailed(CallError):
    code = "server_failed"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int | None = None,
        provider_text: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint, status=status, provider_text=provider_text)
        self.retry_after_s = retry_after_s


class Unreachable(CallError):
    code = "unreachable"


class NoConnection(Unreachable):
    """Kept apart because every attempt costs the whole time-out; its code is its parent's."""


class EndpointDown(CallError):
    """Nothing was sent: earlier calls found the endpoint down, and it did not come back in time."""

    code = "endpoint_down"


class NotAnEndpoint(CallError):
    code = "not_an_endpoint"


class StreamBroken(CallError):
    code = "stream_broken"


class DeadlineExceeded(CallError):
    """`began`: content had come, so this one reply stalled; else the endpoint was too slow to begin."""

    code = "deadline"
    began: bool = False


class OutputInvalid(GantryError):
    code = "output_invalid"


class NothingFound(GantryError):
    code = "nothing_found"


class NotConfigured(GantryError):
    """Raised before the call: nothing was sent."""

    code = "not_configured"


class DocumentError(GantryError):
    """An uploaded document cannot be made text of."""

    code = "document"

    def __init__(self, reason: DocumentReason, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class BudgetExceeded(GantryError):
    """Raised before the call: nothing was sent. It stops the run, which can be continued."""

    code = "budget"


class InternalError(GantryError):
    code = "internal"


class StoreError(GantryError):
    code = "store"


class StoreBusy(StoreError):
    code = "store_busy"


class StoreUnreachable(StoreError):
    """`in_doubt`: the connection broke during the commit, so it may or may not be stored."""

    code = "store_unreachable"

    def __init__(self, message: str, hint: str = "", *, in_doubt: bool = False) -> None:
        super().__init__(message, hint)
        self.in_doubt = in_doubt


class Superseded(GantryError):
    code = "superseded"


class EngineBusy(GantryError):
    code = "engine_busy"


class DemoUnavailable(GantryError):
    code = "demo_unavailable"


class UnknownVisitor(GantryError):
    code = "unknown_visitor"


class NoAnswer(GantryError):
    code = "no_answer"
