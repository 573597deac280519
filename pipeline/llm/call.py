"""What one call to a model takes and gives: plain values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.budgets import Charge
from pipeline.errors import BudgetExceeded, CallError
from pipeline.models import Usage


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """A JSON schema the reply must fit; `name` as the endpoint sees it (`[a-zA-Z0-9_-]`)."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One chat-completions request. `messages` and `tools` are already in the wire's form."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()  # sent with `tool_choice="auto"`
    output_schema: OutputSchema | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits of one attempt, in seconds of monotonic time. Keep-alives do not extend them."""

    first_token_s: float = 60.0
    idle_s: float = 30.0
    total_s: float = 300.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants run. `arguments` is the raw JSON text it wrote."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A complete reply: `finish_reason` was seen. `usage` may hold None: not (yet) told."""

    text: str
    finish_reason: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    response_model: str = ""
    refusal: str = ""


class AttemptObserver(Protocol):
    """Told by one attempt while it runs. `attempt` counts from 1."""

    def sent(self, attempt: int, request_model: str) -> None: ...
    def first_token(self, attempt: int) -> None: ...
    def text(self, text: str) -> None: ...
    def usage(self, usage: Usage) -> None:
        """Usage that came after the reply."""


class CallObserver(AttemptObserver, Protocol):
    """Told about every step of a call, in order, on the pipeline's loop. Must not block.

    `attempt` counts from 1. After `discarded` the text given so far is void.
    """

    def queued(self, attempt: int, reason: str, expected_s: float | None = None) -> None:
        """The attempt asks for admission; `reason` is empty when it gets it at once."""

    def admitted(self, attempt: int, reserved: Charge | None = None) -> None:
        """It may go; under a budget, what is `reserved` for it."""

    def settled(self, attempt: int, used: Charge, *, estimated: bool) -> None:
        """Under a budget: what it counts instead of what was reserved, whatever became of it."""

    def refused(self, attempt: int, wanted: Charge, error: BudgetExceeded) -> None:
        """The budget has no room for it; the call ends with `error`."""

    def finished(self, attempt: int, reply: ModelReply) -> None: ...
    def discarded(self, attempt: int, error: CallError | None) -> None:
        """The attempt failed with `error`; None when it was cancelled."""

    def hedged(self, attempt: int, of: int, waited_s: float) -> None:
        """Attempt `of` has no token after `waited_s`; `attempt` asks the same beside it."""

    def outrun(self, attempt: int) -> None:
        """The other attempt answered first; this one was cancelled, nothing of it was told."""

    def backoff(self, attempt: int, delay_s: float, error: CallError) -> None: ...
    def parameter_dropped(self, parameter: str) -> None: ...
