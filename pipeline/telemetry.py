"""A finished run as OpenTelemetry spans: run → agent → call, made from its facts after the fact.

`trace_of` is pure; names and attributes are those of the GenAI semantic conventions, all kept here,
because they still change. No prompt, no output, no topic and no query is recorded. `Telemetry` sends:
off unless an OTLP endpoint is configured, and nothing of it is on the way of a run.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pipeline import events as facts
from pipeline.base_url import OPENAI_URL
from pipeline.errors import BudgetExceeded
from pipeline.events import AnyEvent
from pipeline.models import AgentState, RunSpec, RunStatus
from pipeline.prices import MICRO
from pipeline.redaction import redact, remember_secret

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
MISSING: Final = (
    "An OTLP endpoint is configured, but the packages that send traces are not installed. Install "
    "requirements-extras.txt, or unset OTEL_EXPORTER_OTLP_ENDPOINT."
)
CLOSE_TIMEOUT_S: Final = 3.0  # a collector that is gone must not hold up the end of the process

OPERATION, PROVIDER = "gen_ai.operation.name", "gen_ai.provider.name"
WORKFLOW, AGENT = "gen_ai.workflow.name", "gen_ai.agent.name"
REQUEST_MODEL, RESPONSE_MODEL = "gen_ai.request.model", "gen_ai.response.model"
TOOL, TOOL_TYPE = "gen_ai.tool.name", "gen_ai.tool.type"
STREAM, FIRST_CHUNK = "gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
# the conventions have no word for budgets and cost
RESERVED_TOKENS, RESERVED_USD = "gantry.budget.reserved_tokens", "gantry.budget.reserved_cost_usd"
SETTLED_TOKENS, SETTLED_USD = "gantry.budget.settled_tokens", "gantry.budget.settled_cost_usd"
SETTLED_BY_ESTIMATE = "gantry.budget.is_estimate"
ERROR_TYPE, HTTP_STATUS = "error.type", "http.response.status_code"
SERVER, PORT = "server.address", "server.port"
INTERRUPTED: Final = "interrupted"  # the process ended, or the run was stopped, in the middle

logger = logging.getLogger(__name__)
Attributes = Mapping[str, str | int | float | bool | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened inside a span; `at` in seconds since 1970."""

    name: str
    at: float
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class Span:
    """`start` and `end` in seconds since 1970; `error` is an `error.type`, "" when it went well."""

    name: str
    start: float
    end: float
    attributes: dict[str, Any]
    is_call: bool = False
    error: str = ""
    moments: list[Moment] = field(default_factory=list)
    children: list[Span] = field(default_factory=list)


class Telemetry:
    """Sends what `run_ended` is told, from a thread of its own. Made by `telemetry_from`."""

    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("gantry")
        self._thread = ThreadPoolExecutor(1, "telemetry")

    def run_ended(self, run_id: str, spec: RunSpec, events: Sequence[AnyEvent]) -> None:
        """Returns at once. What cannot be sent is said in the log and costs the run nothing."""
        self._thread.submit(self._send, run_id, spec, events).add_done_callback(_say_failure)

    def close(self) -> None:
        """Send what is left, as far as the collector takes it; blocks for seconds at most."""
        self._thread.shutdown(wait=True)
        # the provider waits for the exporter's retries; closing that ends them
        limit = threading.Timer(CLOSE_TIMEOUT_S, self._exporter.shutdown)
        limit.start()
        try:
            self._provider.shutdown()
        finally:
            limit.cancel()
            limit.join()

    def _send(self, run_id: str, spec: RunSpec, events: Sequence[AnyEvent]) -> None:
        trace = trace_of(run_id, spec, events)
        if trace is not None:
            _emit(self._tracer, trace, None)


def telemetry_from(environment: Mapping[str, str] = os.environ) -> Telemetry | None:
    """What the environment asks for, in OpenTelemetry's own variables; None: off."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_none = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    if is_off or is_none or not any(environment.get(name, "").strip() for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning(MISSING)
        return None
    _keep_headers_out_of_logs(environment)
    named = "OTEL_SERVICE_NAME" in environment or "service.name" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": "gantry"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Telemetry(provider, exporter)


def _keep_headers_out_of_logs(environment: Mapping[str, str]) -> None:
    """A collector's key stands in the headers that are sent to it."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        for pair in environment.get(name, "").split(","):
            remember_secret(unquote(pair.partition("=")[2]))


def packages_installed() -> bool:
    """True when traces could be sent; loads nothing."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False


def trace_of(run_id: str, spec: RunSpec, events: Sequence[AnyEvent]) -> Span | None:
    """The run's last stretch: the epoch that ended it, and crashed ones right before that.

    None when that epoch has no end yet. Times are exact inside an epoch; epochs are placed by the
    wall clock, as everywhere.
    """
    ended = _end_of(events)
    if ended is None:
        return None
    earlier = [e.epoch for e in events if isinstance(e, facts.RunFinished) and e is not ended]
    first = max(earlier, default=0) + 1
    told = [event for event in events if event.epoch >= first]
    anchors = {e.epoch: _anchor(e) for e in told if isinstance(e, facts.RunStarted)}
    if first not in anchors and ended.epoch not in anchors:
        return None
    told = [event for event in told if event.epoch in anchors]
    run = Span(
        "invoke_workflow gantry",
        min(anchors[e.epoch] + e.at_s for e in told),
        anchors[ended.epoch] + ended.at_s,
        {
            OPERATION: "invoke_workflow",
            WORKFLOW: "gantry",
            "gantry.run.id": run_id,
            "gantry.run.mode": spec.mode.value,
            "gantry.run.status": ended.status,
            "gantry.run.epochs": len(anchors),
            "gantry.run.marks": len(ended.degraded),
        },
        error=(ended.error_code or "error") if ended.status == RunStatus.FAILED.value else "",
    )
    for epoch, anchor in anchors.items():
        of_epoch = [event for event in told if event.epoch == epoch]
        run.children += _Epoch(anchor, _where(spec)).spans(of_epoch)
    return run


def _end_of(events: Sequence[AnyEvent]) -> facts.RunFinished | None:
    """The last fact, but for what a provider told about the last calls even later."""
    for event in reversed(events):
        if isinstance(event, facts.RunFinished):
            return event
        if not isinstance(event, facts.UsageUpdated | facts.BudgetSettled):
            return None
    return None


@dataclass(slots=True)
class _Epoch:
    """Reads the facts of one epoch, in order."""

    anchor: float
    where: Mapping[str, str | int]
    agents: dict[str, Span] = field(default_factory=dict)
    calls: dict[tuple[str, int, int], Span] = field(default_factory=dict)
    admitted: dict[tuple[str, int, int], facts.CallAdmitted] = field(default_factory=dict)
    used: dict[tuple[str, int], Span] = field(default_factory=dict)  # by agent and call
    tools: dict[tuple[str, int], Span] = field(default_factory=dict)  # by agent and number
    open: list[Span] = field(default_factory=list)

    def spans(self, events: Sequence[AnyEvent]) -> list[Span]:
        for event in events:
            self._read(event, self.anchor + event.at_s)
        for span in self.open:
            span.end, span.error = self.anchor + events[-1].at_s, INTERRUPTED
        return list(self.agents.values())

    def _read(self, event: AnyEvent, at: float) -> None:
        match event:
            case facts.AgentStarted():
                attributes = {OPERATION: "invoke_agent", AGENT: event.agent}
                span = Span(f"invoke_agent {event.agent}", at, at, attributes)
                self.agents[event.agent] = span
                self.open.append(span)
            case facts.CallSent():
                self._sent(event, at)
            case facts.FirstToken():
                self._first_token(event, at)
            case facts.CallFinished():
                self._finished(event, at)
            case facts.UsageUpdated():
                if call := self.used.get((event.agent, event.call)):
                    _set_usage(call, event.input_tokens, event.output_tokens)
            case facts.BackoffStarted():
                told = {"attempt": event.attempt, "delay_s": event.delay_s}
                self._moment(
                    event.agent, "gantry.retry", at, {**told, ERROR_TYPE: event.error_code}
                )
            case facts.ModelFellBack():
                self._fell_back(event, at)
            case facts.AdmissionQueued(reason="budget"):
                told = {"call": event.call, "attempt": event.attempt}
                self._moment(event.agent, "gantry.budget.waits", at, told)
            case facts.CallAdmitted():
                self.admitted[event.agent, event.call, event.attempt] = event
                told = {"call": event.call, "attempt": event.attempt}
                self._moment(event.agent, "gantry.admitted", at, told)
            case facts.BudgetSettled():
                if call := self.calls.get((event.agent, event.call, event.attempt)):
                    _set_spent(call, (SETTLED_TOKENS, SETTLED_USD), event.tokens, event.micro_usd)
                    call.attributes[SETTLED_BY_ESTIMATE] = event.estimated
            case facts.BudgetRefused():
                self._refused(event, at)
            case facts.ToolsStarted():
                self._moment(event.agent, "gantry.tools", at, {"calls": len(event.calls)})
            case facts.ToolCallStarted():
                self._tool_started(event, at)
            case facts.ToolCallFinished():
                if call := self.tools.get((event.agent, event.number)):
                    self._close(call, at)
                    call.attributes["gantry.passages"] = event.passages
                    call.error = "tool" if event.error else ""
            case facts.RemarksMade():
                self._moment(event.agent, "gantry.remarks", at, {"turn": event.turn})
            case facts.RepairRequested():
                self._moment(event.agent, "gantry.repair", at, {"repair": event.repair})
            case facts.AgentFinished():
                self._agent_finished(event, at)
            case _:
                pass  # the rest says nothing about time spent

    def _tool_started(self, event: facts.ToolCallStarted, at: float) -> None:
        """Its name and nothing of what it looks for: traces hold no words of a run."""
        tool = event.tool if event.tool.isidentifier() else "unknown"
        attributes = {OPERATION: "execute_tool", TOOL: tool, TOOL_TYPE: "function"}
        span = Span(f"execute_tool {tool}", at, at, attributes)
        self.tools[event.agent, event.number] = span
        self.open.append(span)
        if agent := self.agents.get(event.agent):
            agent.children.append(span)

    def _fell_back(self, event: facts.ModelFellBack, at: float) -> None:
        told: Attributes = {
            "call": event.call,
            "model": event.model,
            "fallback": event.fallback,
            ERROR_TYPE: event.error_code,
        }
        self._moment(event.agent, "gantry.fallback", at, told)

    def _refused(self, event: facts.BudgetRefused, at: float) -> None:
        told: dict[str, str | int | float] = {
            "call": event.call,
            "attempt": event.attempt,
            "wanted_tokens": event.tokens,
            "reason": event.error,
            ERROR_TYPE: BudgetExceeded.code,
        }
        if event.micro_usd is not None:
            told["wanted_cost_usd"] = event.micro_usd / MICRO
        self._moment(event.agent, "gantry.budget.refused", at, told)

    def _sent(self, event: facts.CallSent, at: float) -> None:
        attributes = {
            OPERATION: "chat",
            **self.where,
            STREAM: True,
            "gantry.attempt": event.attempt,
        }
        if event.request_model:
            attributes[REQUEST_MODEL] = event.request_model
        span = Span(f"chat {event.request_model}".strip(), at, at, attributes, is_call=True)
        key = event.agent, event.call, event.attempt
        if (admitted := self.admitted.get(key)) and admitted.reserved_tokens is not None:
            reserved = admitted.reserved_tokens, admitted.reserved_micro_usd
            _set_spent(span, (RESERVED_TOKENS, RESERVED_USD), *reserved)
        self.calls[key] = span
        self.open.append(span)
        if agent := self.agents.get(event.agent):
            agent.children.append(span)
            if event.request_model:  # the one that was asked for; a fallback comes later
                agent.attributes.setdefault(REQUEST_MODEL, event.request_model)

    def _first_token(self, event: facts.FirstToken, at: float) -> None:
        if call := self.calls.get((event.agent, event.call, event.attempt)):
            call.moments.append(Moment("gantry.first_token", at))
            call.attributes[FIRST_CHUNK] = round(at - call.start, 6)

    def _finished(self, event: facts.CallFinished, at: float) -> None:
        call = self.calls.get((event.agent, event.call, event.attempt))
        if call is None:
            return  # never sent: given up while it waited for admission
        self._close(call, at)
        call.attributes["gantry.outcome"] = event.outcome
        if event.finish_reason:
            call.attributes[FINISH_REASONS] = [event.finish_reason]
        if event.response_model:
            call.attributes[RESPONSE_MODEL] = event.response_model
        if event.status is not None:
            call.attributes[HTTP_STATUS] = event.status
        _set_usage(call, event.input_tokens, event.output_tokens)
        if event.outcome == "used":
            self.used[event.agent, event.call] = call
            if event.response_model and (agent := self.agents.get(event.agent)):
                agent.attributes[RESPONSE_MODEL] = event.response_model
        else:
            call.error = event.error_code or "discarded"

    def _agent_finished(self, event: facts.AgentFinished, at: float) -> None:
        span = self.agents.get(event.agent)
        if span is None or span not in self.open:
            return  # taken over from an earlier epoch
        self._close(span, at)
        span.attributes["gantry.agent.state"] = event.state
        if event.error_code or event.state in _NOT_DONE:
            span.error = event.error_code or event.state

    def _moment(self, agent: str, name: str, at: float, attributes: Attributes) -> None:
        if span := self.agents.get(agent):
            span.moments.append(Moment(name, at, attributes))

    def _close(self, span: Span, at: float) -> None:
        span.end = at
        self.open = [one for one in self.open if one is not span]


_NOT_DONE = (AgentState.FAILED.value, AgentState.CANCELLED.value, AgentState.ABSENT.value)


def _anchor(started: facts.RunStarted) -> float:
    """What to add to the run's own seconds to get seconds since 1970."""
    return datetime.fromisoformat(started.wall_at).timestamp() - started.at_s


def _where(spec: RunSpec) -> dict[str, str | int]:
    """Provider and server of a run's calls; of the demo no server, its port is chance."""
    if spec.is_demo:
        return {PROVIDER: "gantry.demo"}
    parts = urlsplit(spec.base_url or OPENAI_URL)
    default = 443 if parts.scheme == "https" else 80
    return {PROVIDER: "openai", SERVER: parts.hostname or "", PORT: parts.port or default}


def _set_usage(call: Span, input_tokens: int | None, output_tokens: int | None) -> None:
    for name, value in ((INPUT_TOKENS, input_tokens), (OUTPUT_TOKENS, output_tokens)):
        if value is not None:
            call.attributes[name] = value


def _set_spent(call: Span, names: tuple[str, str], tokens: int, micro_usd: int | None) -> None:
    """Tokens and dollars; none where the price is unknown."""
    call.attributes[names[0]] = tokens
    if micro_usd is not None:
        call.attributes[names[1]] = micro_usd / MICRO


def _emit(tracer: Tracer, span: Span, parent: Any) -> None:
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

    kind = SpanKind.CLIENT if span.is_call else SpanKind.INTERNAL
    made = tracer.start_span(
        span.name, context=parent, kind=kind, attributes=span.attributes, start_time=_ns(span.start)
    )
    for moment in span.moments:
        made.add_event(moment.name, dict(moment.attributes), timestamp=_ns(moment.at))
    if span.error:
        made.set_attribute(ERROR_TYPE, span.error)
        made.set_status(Status(StatusCode.ERROR))
    for child in span.children:
        _emit(tracer, child, set_span_in_context(made))
    made.end(end_time=_ns(span.end))


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _say_failure(sent: Future[None]) -> None:
    if error := sent.exception():
        logger.warning("A run's trace is lost: %s", redact(repr(error)))
