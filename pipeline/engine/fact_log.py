"""Which facts of a run are worth a log line, and in which words. Pure.

A person follows a run on its page; these lines are for whoever collects what went wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from pipeline.events import (
    AgentFinished,
    AnyEvent,
    BackoffStarted,
    CallFinished,
    ModelFellBack,
    ParameterDropped,
)
from pipeline.models import AgentState

_WELL = (AgentState.DONE.value, AgentState.CANCELLED.value)


@dataclass(frozen=True, slots=True)
class LogLine:
    """`level` is the logging module's; `fields` become the line's extra fields."""

    level: int
    message: str
    fields: dict[str, Any] = field(default_factory=dict)


def log_line(event: AnyEvent) -> LogLine | None:
    match event:
        case BackoffStarted():
            told = {name: getattr(event, name) for name in ("agent", "call", "attempt", "delay_s")}
            message = f"Attempt failed, the next in {event.delay_s:.1f} s: {event.error}"
            return LogLine(logging.WARNING, message, told | {"error_code": event.error_code})
        case ModelFellBack():
            told = {"agent": event.agent, "call": event.call, "model": event.model}
            message = f"Goes on with {event.fallback}: {event.error}"
            more = {"fallback": event.fallback, "error_code": event.error_code}
            return LogLine(logging.WARNING, message, told | more)
        case ParameterDropped():
            message = f"The endpoint refused {event.parameter}; it is asked without"
            return LogLine(logging.INFO, message, {"agent": event.agent})
        case AgentFinished(reused=False):
            told = {"agent": event.agent, "error_code": event.error_code}
            message = f"Agent {event.state}" + (f": {event.error}" if event.error else "")
            level = logging.INFO if event.state in _WELL else logging.WARNING
            return LogLine(level, message, told)
        case CallFinished():
            return LogLine(logging.DEBUG, f"Call {event.outcome}", _of_call(event))
        case _:
            return None


def _of_call(event: CallFinished) -> dict[str, Any]:
    return {
        "agent": event.agent,
        "call": event.call,
        "attempt": event.attempt,
        "model": event.response_model,
        "finish_reason": event.finish_reason,
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
        "status": event.status,
        "error_code": event.error_code,
    }
