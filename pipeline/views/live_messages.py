"""The shapes of the live view's messages: the whole contract with the browser.

All times are seconds of the run's own time (`bars.py`): pauses do not count.

Snapshot, first message and again after a reconnect:
    {"type": "snapshot", "run_id", "status", "finished", "now_s", "cursor": "epoch:seq",
     "status_line", "plan": {"mode", "phases": [{name, colour, parallel}],
     "agents": [{name, title, label, phase, waits_for: [names]}]},
     "cards": [Card fields], "texts": {agent: {"generation", "text"}},
     "gantt": {"rows": [all], "gaps": [{at_s, duration_s}], "bound_s", "critical"}}
Batch:
    {"type": "batch", "status", "finished", "now_s", "cursor", "status_line",
     "cards": [whole cards, only changed ones],
     "append": {agent: {"generation", "text"}},   same generation: append; a new one: replace
     "gantt": {as above, "rows": only changed ones} or null when no row changed,
     "plan": as above when it has grown, with all cards and rows in the same batch; else null}
After two seconds without a message: {"type": "alive"}.
What the gates do now, between batches, replacing the last of its kind: `admission_panel.py`.
A gantt row:
    {"agent", "phase", "service_s", "growing_since_s", "bars":
     [{"segment", "start_s", "end_s" or null while open, "used", "in_service", "call", "attempt"}],
     "tools": [{"start_s", "end_s" or null, "lane" from 0, "lanes", "used", "failed"}]}
The sequential strip is one bar per row, end to end in roster order, each `service_s` long plus,
when `growing_since_s` is not null, `now_s` minus `growing_since_s`.
"""

from __future__ import annotations

from typing import Literal, TypedDict

import msgspec

from pipeline.plan import Plan, waiting_for
from pipeline.views.bars import Bar, ToolBar, phase_colours, row_labels
from pipeline.views.cards import Card


class PhaseMessage(TypedDict):
    name: str
    colour: str
    parallel: bool | None  # None: a phase of one agent, which has no switch


class AgentMessage(TypedDict):
    name: str
    title: str
    label: str
    phase: str
    waits_for: list[str]


class PlanMessage(TypedDict):
    mode: str
    phases: list[PhaseMessage]
    agents: list[AgentMessage]


class CardMessage(TypedDict):
    agent: str
    title: str
    phase: str
    state: str
    waiting_for: list[str]
    detail: str
    started_s: float | None
    elapsed_s: float | None
    finished_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    in_flight: bool
    attempt: int
    mark: str
    error: str
    hint: str
    backoff_until_s: float | None
    countdown: CountdownMessage | None
    reused: bool
    tools: list[ToolLineMessage]


class CountdownMessage(TypedDict):
    until_s: float
    before: str
    after: str


class ToolLineMessage(TypedDict):
    tool: str
    about: str
    state: str
    detail: str


class TextMessage(TypedDict):
    generation: int
    text: str


class BarMessage(TypedDict):
    segment: str
    start_s: float
    end_s: float | None
    used: bool
    in_service: bool
    call: int
    attempt: int


class ToolBarMessage(TypedDict):
    start_s: float
    end_s: float | None
    lane: int
    lanes: int
    used: bool
    failed: bool


class RowMessage(TypedDict):
    agent: str
    phase: str
    service_s: float
    growing_since_s: float | None
    bars: list[BarMessage]
    tools: list[ToolBarMessage]


class GapMessage(TypedDict):
    at_s: float
    duration_s: float


class GanttMessage(TypedDict):
    rows: list[RowMessage]
    gaps: list[GapMessage]
    bound_s: float | None
    critical: list[str]


class Snapshot(TypedDict):
    type: Literal["snapshot"]
    run_id: str
    status: str
    finished: bool
    now_s: float
    cursor: str
    status_line: str
    plan: PlanMessage
    cards: list[CardMessage]
    texts: dict[str, TextMessage]
    gantt: GanttMessage


class Batch(TypedDict):
    type: Literal["batch"]
    status: str
    finished: bool
    now_s: float
    cursor: str
    status_line: str
    cards: list[CardMessage]
    append: dict[str, TextMessage]
    gantt: GanttMessage | None
    plan: PlanMessage | None


def plan_message(plan: Plan) -> PlanMessage:
    """The part of a snapshot that changes only when the plan grows."""
    colours, labels = phase_colours(plan), row_labels(plan)
    return {
        "mode": plan.mode.value,
        "phases": [
            {"name": phase, "colour": colours[phase], "parallel": plan.switches.get(phase)}
            for phase in plan.phases
        ],
        "agents": [
            {
                "name": agent.name,
                "title": agent.title,
                "label": labels[agent.name],
                "phase": agent.phase,
                "waits_for": list(waiting_for(plan, agent.name, frozenset())),
            }
            for agent in plan.agents
        ],
    }


def card_message(card: Card) -> CardMessage:
    """A card as JSON values."""
    message: CardMessage = msgspec.convert(msgspec.to_builtins(card), CardMessage)
    return message


def tool_bar_message(bar: ToolBar) -> ToolBarMessage:
    """A tool call's bar as JSON values; without an end while it grows."""
    return {
        "start_s": bar.start_s,
        "end_s": None if bar.open else bar.end_s,
        "lane": bar.lane,
        "lanes": bar.lanes,
        "used": bar.used,
        "failed": bar.failed,
    }


def bar_message(bar: Bar) -> BarMessage:
    """A bar as JSON values; without an end while it grows."""
    return {
        "segment": bar.segment.value,
        "start_s": bar.start_s,
        "end_s": None if bar.open else bar.end_s,
        "used": bar.used,
        "in_service": bar.in_service,
        "call": bar.call,
        "attempt": bar.attempt,
    }
