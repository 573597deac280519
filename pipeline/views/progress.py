"""One line per fact a person cares about, for terminals and logs. Pure."""

from __future__ import annotations

from pipeline.events import (
    AdmissionQueued,
    AgentFinished,
    AgentStarted,
    AnyEvent,
    BackoffStarted,
    CallHedged,
    ModelFellBack,
    ParameterDropped,
    PlanGrown,
    RemarksMade,
    RepairRequested,
    RunDerived,
    RunFinished,
    RunStarted,
    SpeculationJudged,
    ToolsStarted,
)
from pipeline.views.cards import ADMISSION_REASONS

WAIT_WORTH_TELLING_S = 2.0  # shorter waits for admission are not told


def progress_line(event: AnyEvent) -> str:
    """`  12.3 s  content_writer    done`, or "" for facts that are too small to tell."""
    text = _say(event)
    return f"{event.at_s:7.1f} s  {text}" if text else ""


def _say(event: AnyEvent) -> str:
    match event:
        case RunStarted(resumed=True):
            return f"{'run':<17} continues ({len(event.reused)} agents kept)"
        case RunDerived():
            return f"{'run':<17} begins with what run {printable(event.parent)} finished"
        case AgentStarted():
            return f"{event.agent:<17} started"
        case ToolsStarted():
            return f"{event.agent:<17} {printable('; '.join(event.calls))}"
        case AdmissionQueued() if (event.expected_s or 0.0) >= WAIT_WORTH_TELLING_S:
            why = ADMISSION_REASONS.get(event.reason, event.reason)
            return f"{event.agent:<17} waits about {event.expected_s:.0f} s: {printable(why)}"
        case CallHedged():
            return f"{event.agent:<17} no word after {event.waited_s:.1f} s, asks a second time"
        case BackoffStarted():
            return (
                f"{event.agent:<17} attempt {event.attempt} failed, next in {event.delay_s:.1f} s: "
                f"{printable(event.error)}"
            )
        case RepairRequested():
            return f"{event.agent:<17} repair turn {event.repair}"
        case RemarksMade():
            return f"{event.agent:<17} asked to mend its answer, turn {event.turn}"
        case ParameterDropped():
            return f"{event.agent:<17} endpoint does not take `{event.parameter}`, left out"
        case ModelFellBack():
            return (
                f"{event.agent:<17} goes on with {printable(event.fallback)}, because "
                f"{printable(event.model)} failed: {printable(event.error)}"
            )
        case PlanGrown(parts=[]):
            return f"{'plan':<17} stays as it is: the outline of {event.agent} is short"
        case PlanGrown():
            return f"{'plan':<17} grows by {len(event.parts)} sections"
        case SpeculationJudged():
            return f"{event.agent:<17} {event.kept} of {event.findings} findings were of use"
        case AgentFinished():
            why = printable(f" {event.mark or event.error}") if event.mark or event.error else ""
            kept = " (edited by you)" if event.edited else " (kept)" if event.reused else ""
            return f"{event.agent:<17} {event.state}{kept}{why}"
        case RunFinished():
            return f"{'run':<17} {event.status}"
        case _:
            return ""


def printable(text: str) -> str:
    """Text from outside on one terminal line: control characters become visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
