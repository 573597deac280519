"""Say of each agent what it is doing, as a person would: one card per agent.

Pure. `CardNotes` keeps what the cards say beyond times (`pipeline.spans` keeps those); both take
facts one at a time, so that the live view pays for new facts only. Text that comes from models
or providers (errors, calls of tools) is passed on as plain text: draw it as text, never as markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.events import (
    AgentFinished,
    AgentStarted,
    AnyEvent,
    BackoffStarted,
    ModelFellBack,
    RemarksMade,
    RepairRequested,
    SpeculationJudged,
)
from pipeline.llm.retry import MAX_ATTEMPTS
from pipeline.models import AgentSpec, AgentState, RunStatus
from pipeline.plan import Plan, waiting_for
from pipeline.spans import Segment, SpanWalker, ToolSpan, Track
from pipeline.timing import calls_that_count, usage_of
from pipeline.views.bars import ChartClock, said_s, tool_result_words

CIRCUIT = "circuit"  # the reason of a call that waits for an endpoint that is down
COOLING = "cooling"  # of one that waits because the provider said for how long
ADMISSION_REASONS = {  # why a call waits, as a person would say it
    COOLING: "the provider asked to wait",
    "in_flight": "as many calls as may be are in flight",
    "rate": "the requests per minute are used up",
    "tokens": "the tokens per minute are used up",
    "shared": "other processes use the same limit",
    "queue": "others are before it",
    "budget": "other calls of this run may still take what is left of its budget",
    CIRCUIT: "the endpoint is down, one call at a time tries whether it is back",
}
ToolState = Literal["running", "done", "failed"]
NAMED_AT_MOST = 3  # agents a waiting card names before it says "and n more"


@dataclass(frozen=True, slots=True)
class ToolLine:
    """One call of a tool on its agent's card. A model wrote `tool` and `about`."""

    tool: str
    about: str
    state: ToolState
    detail: str = ""  # what came of it and how long it took, e.g. "5 passages, 1.2 s"


@dataclass(frozen=True, slots=True)
class Countdown:
    """A wait whose end is known: `before`, the seconds left and ` s` make the sentence until then.

    `after` is what is true when the wait takes longer than was expected.
    """

    until_s: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Card:
    """One agent as the page shows it.

    `detail` is one sentence, true at the moment it was made; pages may count on from
    `backoff_until_s`, `countdown` and `started_s`. `elapsed_s` runs from `started_s` (its inputs existed) to
    settling or now. Tokens are None when the provider did not tell (yet). Times are the run's own
    (`bars.py`): pauses do not count.
    """

    agent: str
    title: str
    phase: str
    state: AgentState
    waiting_for: tuple[str, ...] = ()  # titles
    detail: str = ""
    started_s: float | None = None
    elapsed_s: float | None = None
    finished_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    in_flight: bool = False  # a call is: its tokens are not told yet
    attempt: int = 0  # of the call in flight, or the last one
    mark: str = ""
    error: str = ""
    hint: str = ""
    backoff_until_s: float | None = None
    countdown: Countdown | None = None  # of a wait for admission
    reused: bool = False
    edited: bool = False
    tools: tuple[ToolLine, ...] = ()


@dataclass(slots=True)
class _Note:
    """What an agent's last facts said."""

    mark: str = ""
    error: str = ""
    hint: str = ""
    reason: str = ""
    expected_until_s: float | None = None
    repair: int = 0
    remarks: int = 0
    failed_attempt: int = 0
    backoff_until_s: float | None = None
    speculation: str = ""
    fallback: str = ""


@dataclass(slots=True)
class CardNotes:
    """What the cards say beyond times."""

    notes: dict[str, _Note] = field(default_factory=dict)

    def apply(self, event: AnyEvent) -> None:
        step = _STEPS.get(event.kind)
        if step is not None:
            name = event.agent  # type: ignore[union-attr]
            step(self.notes.setdefault(name, _Note()), event)

    def __getitem__(self, agent: str) -> _Note:
        return self.notes.get(agent, _NOTHING)


def _started(note: _Note, event: AgentStarted) -> None:
    note.mark = note.error = note.hint = note.reason = note.speculation = ""
    note.fallback = ""
    note.repair, note.remarks, note.backoff_until_s, note.expected_until_s = 0, 0, None, None


def _queued(note: _Note, event: Any) -> None:
    note.reason, note.backoff_until_s = event.reason, None
    note.expected_until_s = event.at_s + event.expected_s if event.expected_s else None


def _sent(note: _Note, event: Any) -> None:
    note.backoff_until_s = None


def _backed_off(note: _Note, event: BackoffStarted) -> None:
    note.error, note.failed_attempt = event.error, event.attempt
    note.backoff_until_s = event.at_s + event.delay_s


def _repair(note: _Note, event: RepairRequested) -> None:
    note.repair = event.repair


def _remarks(note: _Note, event: RemarksMade) -> None:
    note.remarks = event.turn


def _finished(note: _Note, event: AgentFinished) -> None:
    note.mark, note.error, note.hint = event.mark, event.error, event.hint
    note.backoff_until_s = None


def _fell_back(note: _Note, event: ModelFellBack) -> None:
    note.fallback = f"with {event.fallback}, because {event.model} failed: {event.error}"


def _judged(note: _Note, event: SpeculationJudged) -> None:
    note.speculation = speculation_words(event.findings, event.kept)


_NOTHING = _Note()
# by kind, not by class: classes are imported anew on hot reload
_STEPS: dict[str, Any] = {
    "agent_started": _started,
    "admission_queued": _queued,
    "call_sent": _sent,
    "backoff_started": _backed_off,
    "repair_requested": _repair,
    "remarks_made": _remarks,
    "model_fell_back": _fell_back,
    "speculation_judged": _judged,
    "agent_finished": _finished,
}


def speculation_words(findings: int, kept: int) -> str:
    """What became of a forerunner's findings, e.g. `4 of 7 findings were of use`."""
    if not findings:
        return "found nothing"
    return f"{kept} of {findings} findings {'was' if kept == 1 else 'were'} of use"


def card_states(
    plan: Plan, events: Iterable[AnyEvent], now_s: float | None = None
) -> tuple[Card, ...]:
    """The cards of a run, in roster order. `now_s` is the run's clock; None: at the last fact."""
    walker, notes = SpanWalker(plan.names), CardNotes()
    for event in events:
        walker.apply(event)
        notes.apply(event)
    return tuple(card_of(plan, agent, walker, notes, now_s) for agent in plan.agents)


def card_of(
    plan: Plan, agent: AgentSpec, walker: SpanWalker, notes: CardNotes, now_s: float | None = None
) -> Card:
    """One card, from a walker and notes that have seen the facts already."""
    track, note = walker.tracks[agent.name], notes[agent.name]
    clock = ChartClock(walker.gaps)
    horizon_s = walker.horizon_s(now_s)
    started_s = clock.or_none(track.ready_s)
    end_s = clock.at(horizon_s if track.finished_s is None else track.finished_s)
    usage = usage_of(calls_that_count(track))
    settled = {name for name, other in walker.tracks.items() if other.state is not None}
    before = waiting_for(plan, agent.name, settled) if track.state is None else ()
    titles = tuple(plan.agent(name).title for name in before)
    state = _state(track, walker)
    return Card(
        agent=agent.name,
        title=agent.title,
        phase=agent.phase,
        state=state,
        waiting_for=titles,
        detail=_detail(state, track, note, titles, walker, horizon_s),
        started_s=started_s,
        elapsed_s=None if started_s is None else max(0.0, end_s - started_s),
        finished_s=clock.or_none(track.finished_s),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        in_flight=_in_flight(track),
        attempt=track.attempt,
        mark=note.mark,
        error=note.error if state is AgentState.BACKOFF or state.is_final else "",
        hint=note.hint,
        backoff_until_s=clock.or_none(note.backoff_until_s)
        if state is AgentState.BACKOFF
        else None,
        countdown=_countdown(note, clock) if state is AgentState.ADMISSION else None,
        reused=track.reused,
        edited=track.edited,
        tools=tool_lines(track.tools),
    )


def tool_lines(tools: Iterable[ToolSpan]) -> tuple[ToolLine, ...]:
    """The calls of tools that count, in the order in which they were made."""
    return tuple(_tool_line(tool) for tool in tools if tool.used)


def _tool_line(tool: ToolSpan) -> ToolLine:
    if tool.end_s is None:
        return ToolLine(tool.tool, tool.about, "running")
    took = said_s(tool.end_s - tool.start_s)
    if tool.error:
        return ToolLine(tool.tool, tool.about, "failed", f"{tool.error} ({took})")
    return ToolLine(
        tool.tool, tool.about, "done", f"{tool_result_words(tool.passages, '')}, {took}"
    )


def _in_flight(track: Track) -> bool:
    return track.state is None and bool(track.calls) and track.calls[-1].finished_s is None


def _state(track: Track, walker: SpanWalker) -> AgentState:
    """The agent's state; whoever had not settled when a run was cancelled is cancelled too."""
    cancelled = walker.finished is not None and walker.finished.status == RunStatus.CANCELLED.value
    if track.state is None and cancelled:
        return AgentState.CANCELLED
    return track.status


def _detail(
    state: AgentState,
    track: Track,
    note: _Note,
    waits_for: Sequence[str],
    walker: SpanWalker,
    now_s: float,
) -> str:
    match state:
        case AgentState.WAITING:
            return _waiting(waits_for, walker)
        case AgentState.ADMISSION:
            return _admission(track, note, now_s)
        case AgentState.STREAMING:
            return _streaming(track, note)
        case AgentState.TOOLS:
            return "looks things up"
        case AgentState.BACKOFF:
            return _backoff(note, now_s)
        case AgentState.DONE:
            return "; ".join(filter(None, (_done(track), note.speculation, note.fallback)))
        case AgentState.SUBSTITUTED:
            return f"replaced by code: {note.mark or note.error}".rstrip(": ")
        case AgentState.ABSENT:
            return f"left out: {note.error or note.mark}".rstrip(": ")
        case AgentState.FAILED:
            return f"failed: {note.error}".rstrip(": ")
        case AgentState.CANCELLED:
            return "cancelled" if track.ready_s is not None else "cancelled before it started"


def _done(track: Track) -> str:
    if track.edited:
        return "edited by you"
    if track.taken_over:
        return "taken over from the earlier run, not paid for again"
    return "kept from before, not paid for again" if track.reused else "done"


def _waiting(waits_for: Sequence[str], walker: SpanWalker) -> str:
    if walker.finished is not None:
        return "not started: the run stopped before its turn"
    if not waits_for:
        return "is about to start"
    return f"waits for {listed(waits_for)}"


def listed(names: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`, `A, B, C and 2 more`."""
    shown = list(names[:NAMED_AT_MOST])
    if len(names) > NAMED_AT_MOST:
        shown.append(f"{len(names) - NAMED_AT_MOST} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def _admission(track: Track, note: _Note, now_s: float) -> str:
    if not track.call:
        return "gets its prompt ready"
    left_s = math.ceil((note.expected_until_s or now_s) - now_s)
    return f"{_counted(note)}{left_s} s" if left_s > 0 else _why(note)


def _countdown(note: _Note, clock: ChartClock) -> Countdown | None:
    if note.expected_until_s is None:
        return None
    return Countdown(clock.at(note.expected_until_s), _counted(note), _why(note))


def _why(note: _Note) -> str:
    if note.reason == COOLING:
        return ADMISSION_REASONS[COOLING]
    turn = "waits for its turn to call the model"
    return f"{turn}: {ADMISSION_REASONS.get(note.reason, note.reason)}" if note.reason else turn


def _counted(note: _Note) -> str:
    """What stands before the seconds: the provider named its own, all others are estimates."""
    return f"{_why(note)}: " if note.reason == COOLING else f"{_why(note)}, about "


def _streaming(track: Track, note: _Note) -> str:
    again = f", {_attempt(track.attempt)}" if track.attempt > 1 else ""
    if track.rival:
        again = ", asked a second time because the first is late"
    repair = f", repairs its answer (turn {note.repair})" if note.repair else ""
    if note.remarks:
        repair = f", mends its answer (turn {note.remarks})"
    fallback = f", {note.fallback}" if note.fallback else ""
    if track.segment is Segment.FIRST_TOKEN:
        return f"asked the model, waits for the first word{again}{repair}{fallback}"
    return f"writes{again}{repair}{fallback}"


def _backoff(note: _Note, now_s: float) -> str:
    left_s = max(0, math.ceil((note.backoff_until_s or now_s) - now_s))
    tries = _attempt(note.failed_attempt + 1)
    return f"retries in {left_s} s: {note.error.rstrip('.')} ({tries})"


def _attempt(number: int) -> str:
    """Refusals by a rate limit do not count as failures, so there may be more than that."""
    return f"attempt {number} of {MAX_ATTEMPTS}" if number <= MAX_ATTEMPTS else f"attempt {number}"
