"""What happened in a run, as facts in order. Stored for years: add fields with defaults, never rename.

A fact has a position (`epoch`, `seq`) and a time `at_s`, in seconds since the run first
started. Inside one epoch times come from a monotonic clock; the wall clock only anchors an
epoch. Streamed text is not a fact: it lives in the journal's memory and, whole, in checkpoints.

Consumers dispatch on `kind` (classes are imported anew on hot reload). Readers skip kinds and
fields they do not know, so that an older process can read newer rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all facts. `seq` counts from 1 over the whole run, whatever the epoch."""

    epoch: int
    seq: int
    at_s: float

    @property
    def kind(self) -> str:
        return str(type(self).__struct_config__.tag)


class RunStarted(Event, frozen=True, tag="run_started"):
    """An epoch began. `wall_at` is ISO 8601 UTC; `resumed` is true from the second epoch on.

    `reused` names the agents whose checkpoints are taken over.
    """

    wall_at: str
    resumed: bool = False
    reused: list[str] = msgspec.field(default_factory=list)


class RunDerived(Event, frozen=True, tag="run_derived"):
    """This run begins with what the run `parent` finished. The first fact, of epoch 0.

    `edited` and `again` name the agents that a person edited, or asked to work again. `absent`
    holds who was left out there and stays so (agent → mark), `date` the day the prompts name and
    `took_s` the service times measured there, in seconds: for estimates, never for figures.
    """

    parent: str
    date: str
    edited: list[str] = msgspec.field(default_factory=list)
    again: list[str] = msgspec.field(default_factory=list)
    absent: dict[str, str] = msgspec.field(default_factory=dict)
    took_s: dict[str, float] = msgspec.field(default_factory=dict)


class AgentStarted(Event, frozen=True, tag="agent_started"):
    """All inputs exist and all order edges are released; the agent's work begins."""

    agent: str


class AdmissionQueued(Event, frozen=True, tag="admission_queued"):
    """A call waits for permission. `call` counts an agent's calls from 1, `attempt` tries of one.

    `expected_s` is how long it will wait, by what was known then; None when that was not known.
    """

    agent: str
    call: int
    attempt: int
    reason: str = ""
    expected_s: float | None = None


class CallAdmitted(Event, frozen=True, tag="call_admitted"):
    """Under a budget, what the attempt may take at most; `reserved_micro_usd` None: price unknown."""

    agent: str
    call: int
    attempt: int
    reserved_tokens: int | None = None
    reserved_micro_usd: int | None = None


class CallSent(Event, frozen=True, tag="call_sent"):
    agent: str
    call: int
    attempt: int
    request_model: str = ""


class CallHedged(Event, frozen=True, tag="call_hedged"):
    """Attempt `of` was far too late with its first token; `attempt` asks the same beside it.

    The first to give content is used; the other's `CallFinished` is discarded with code `hedged`.
    """

    agent: str
    call: int
    attempt: int
    of: int
    waited_s: float


class FirstToken(Event, frozen=True, tag="first_token"):
    agent: str
    call: int
    attempt: int


class CallFinished(Event, frozen=True, tag="call_finished"):
    """A call ended. `outcome` is `used` or `discarded`; only used ones count as service time."""

    agent: str
    call: int
    attempt: int
    outcome: str
    finish_reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    response_model: str = ""
    error: str = ""
    error_code: str = ""
    status: int | None = None


class UsageUpdated(Event, frozen=True, tag="usage_updated"):
    """Usage that arrived after `finish_reason` and replaces what `CallFinished` said."""

    agent: str
    call: int
    input_tokens: int | None = None
    output_tokens: int | None = None


class BudgetSettled(Event, frozen=True, tag="budget_settled"):
    """What an attempt counts in its budget instead of what was reserved for it.

    `micro_usd` is None when the model's price is unknown. `estimated`: nobody told all of it.
    """

    agent: str
    call: int
    attempt: int
    tokens: int
    micro_usd: int | None = None
    estimated: bool = False


class BudgetRefused(Event, frozen=True, tag="budget_refused"):
    """The budget has no room for the attempt, which would have taken so much at most."""

    agent: str
    call: int
    attempt: int
    tokens: int
    error: str
    micro_usd: int | None = None


class BackoffStarted(Event, frozen=True, tag="backoff_started"):
    """An attempt failed and the next waits. Text of the failed attempt is gone from the screen."""

    agent: str
    call: int
    attempt: int  # the attempt that failed
    delay_s: float
    error: str
    error_code: str = ""


class ToolsStarted(Event, frozen=True, tag="tools_started"):
    """Function tools run, in parallel. `calls` holds one short line each, for people."""

    agent: str
    calls: list[str]


class ToolsFinished(Event, frozen=True, tag="tools_finished"):
    agent: str
    failed: list[str] = msgspec.field(default_factory=list)


class ToolCallStarted(Event, frozen=True, tag="tool_call_started"):
    """One function tool runs. `number` counts the agent's tool calls from 1; `about` is for people.

    A model wrote `tool` and `about`: they are drawn as text, and `tool` need not exist.
    """

    agent: str
    number: int
    tool: str
    about: str = ""


class ToolCallFinished(Event, frozen=True, tag="tool_call_finished"):
    """It ended: with so many passages that may be cited now, or with an `error`."""

    agent: str
    number: int
    passages: int = 0
    error: str = ""


class RepairRequested(Event, frozen=True, tag="repair_requested"):
    """The output did not fit the schema; the model is told why and tries again."""

    agent: str
    repair: int
    problem: str


class RemarksMade(Event, frozen=True, tag="remarks_made"):
    """The output fits, and code found faults in it; the model is told and may send a better one."""

    agent: str
    turn: int
    remarks: str


class ParameterDropped(Event, frozen=True, tag="parameter_dropped"):
    """The endpoint refused a parameter; it is left out from now on for this endpoint and model."""

    agent: str
    parameter: str


class ModelFellBack(Event, frozen=True, tag="model_fell_back"):
    """A call failed for good on `model`; the agent goes on with `fallback`, from the same prompt.

    What the failed attempts wrote is gone. The checkpoint's key still names `model`: it says what
    was asked for, and the output which model wrote it.
    """

    agent: str
    call: int  # that failed
    model: str
    fallback: str
    error: str
    error_code: str = ""


class PlanGrown(Event, frozen=True, tag="plan_grown"):
    """`agent` settled and its outline changed the plan; stored in the same transaction.

    `parts` holds, for each new part, the positions of its sections in the outline; empty: the
    outline is too short and the plan stays as it was made. A later fact replaces an earlier one.
    """

    agent: str
    parts: list[list[int]] = msgspec.field(default_factory=list)


class SpeculationJudged(Event, frozen=True, tag="speculation_judged"):
    """What became of a forerunner's findings: `kept` of `findings` stand in the final ones."""

    agent: str
    findings: int
    kept: int


class AgentFinished(Event, frozen=True, tag="agent_finished"):
    """The agent settled. `state` is a final `AgentState`; a checkpoint is committed when it has one."""

    agent: str
    state: str
    mark: str = ""
    error: str = ""
    error_code: str = ""
    hint: str = ""
    reused: bool = False
    edited: bool = False  # its output is a person's


class RunFinished(Event, frozen=True, tag="run_finished"):
    """The epoch ended. `status` is a `RunStatus`; `degraded` lists the marks."""

    status: str
    degraded: list[str] = msgspec.field(default_factory=list)
    error: str = ""
    error_code: str = ""
    hint: str = ""


AnyEvent = (
    RunStarted
    | RunDerived
    | AgentStarted
    | AdmissionQueued
    | CallAdmitted
    | CallSent
    | CallHedged
    | FirstToken
    | CallFinished
    | UsageUpdated
    | BudgetSettled
    | BudgetRefused
    | BackoffStarted
    | ToolsStarted
    | ToolsFinished
    | ToolCallStarted
    | ToolCallFinished
    | RepairRequested
    | RemarksMade
    | ParameterDropped
    | ModelFellBack
    | PlanGrown
    | SpeculationJudged
    | AgentFinished
    | RunFinished
)

E = TypeVar("E", bound=Event)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


def of_kind(events: Iterable[AnyEvent], kind: type[E]) -> Iterator[E]:
    """The facts of one kind. By its name, not its class: classes are imported anew on hot reload."""
    name = kind.__struct_config__.tag
    for event in events:
        if event.kind == name:
            yield cast(E, event)


def encode(event: AnyEvent) -> bytes:
    """One JSON object with `kind` first."""
    return _encoder.encode(event)


def decode(payload: bytes | str) -> AnyEvent | None:
    """Read a stored fact; None when a newer process wrote a kind this one does not know."""
    try:
        event: AnyEvent = _decoder.decode(payload)
    except msgspec.ValidationError:
        if to_dict(payload).get("kind") in _KINDS:
            raise
        return None
    return event


def to_dict(payload: bytes | str | AnyEvent) -> dict[str, Any]:
    """The fact as plain JSON values, for exports and sockets."""
    if isinstance(payload, bytes | str):
        return dict(msgspec.json.decode(payload))
    return dict(msgspec.to_builtins(payload))


_KINDS = {str(event_type.__struct_config__.tag) for event_type in AnyEvent.__args__}
