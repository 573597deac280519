"""Walk a run's facts once and cut every agent's time into segments without gaps or overlaps.

`SpanWalker` takes facts one at a time, so the live view pays for new facts only; `timing.py`
derives all figures from what it holds. Pure: the only clock is the facts' own `at_s`.

Six segments cover an agent's time from the start of the run to its settling:

* waiting      0 → AgentStarted (for agents before it)
* admission    AgentStarted → CallSent, and AdmissionQueued → CallSent for later calls
* first_token  CallSent → FirstToken, or → the failure when no token came
* generation   FirstToken → whatever comes next; local checks and the commit count here
* tools        ToolsStarted → ToolsFinished (tools of one turn run side by side: their union);
               each call of a tool is a span of its own beside it, `ToolSpan`
* backoff      BackoffStarted → the next AdmissionQueued

While two attempts of a call are in flight (CallHedged) the first one's segment goes on; when the
second brings the first token, what the first took until the second was sent is not used.

Moments between two facts stay with the segment before them, so nothing is lost. A run that was
interrupted has gaps between its epochs: work of an agent that had not settled is void and the
agent waits again after the gap; an agent kept by its checkpoint keeps its earlier facts. One that
was taken over from another run has no time of service here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pipeline.events import (
    AdmissionQueued,
    AgentFinished,
    AgentStarted,
    AnyEvent,
    BackoffStarted,
    CallAdmitted,
    CallFinished,
    CallHedged,
    CallSent,
    FirstToken,
    RunFinished,
    RunStarted,
    SpeculationJudged,
    ToolCallFinished,
    ToolCallStarted,
    ToolsFinished,
    ToolsStarted,
    UsageUpdated,
)
from pipeline.models import AgentState, RunStatus, Usage


class Segment(StrEnum):
    WAITING = "waiting"
    ADMISSION = "admission"
    BACKOFF = "backoff"
    FIRST_TOKEN = "first_token"  # noqa: S105
    GENERATION = "generation"
    TOOLS = "tools"


STATE_OF_SEGMENT = {
    Segment.WAITING: AgentState.WAITING,
    Segment.ADMISSION: AgentState.ADMISSION,
    Segment.BACKOFF: AgentState.BACKOFF,
    Segment.FIRST_TOKEN: AgentState.STREAMING,
    Segment.GENERATION: AgentState.STREAMING,
    Segment.TOOLS: AgentState.TOOLS,
}
IN_SERVICE = frozenset({Segment.FIRST_TOKEN, Segment.GENERATION, Segment.TOOLS})
OF_A_CALL = frozenset({Segment.FIRST_TOKEN, Segment.GENERATION})


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one agent's time. `call` and `attempt` are 0 before its first call.

    `used` is false for the work of discarded attempts and of interrupted epochs, `open` is true
    for the piece that is still going on.
    """

    agent: str
    segment: Segment
    start_s: float
    end_s: float
    call: int = 0
    attempt: int = 0
    used: bool = True
    open: bool = False

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def in_service(self) -> bool:
        # tools may run before the first call: an endpoint that takes none gets what code found
        is_work = self.call > 0 or self.segment is Segment.TOOLS
        return self.used and is_work and self.segment in IN_SERVICE


@dataclass(frozen=True, slots=True)
class ToolSpan:
    """One call of a function tool. `end_s` None: it runs. Lies within its agent's tools segments.

    A model wrote `tool` and `about`. `passages` may be cited since then; `error` says why there are
    none. `used` is false for the work of interrupted epochs.
    """

    agent: str
    number: int
    tool: str
    about: str
    start_s: float
    end_s: float | None = None
    passages: int = 0
    error: str = ""
    used: bool = True


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody worked on the run: from the last fact of one epoch to the start of the next."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class CallTiming:
    """One attempt of one call. `outcome` is `used`, `discarded`, or empty while in flight."""

    call: int
    attempt: int
    epoch: int
    sent_s: float
    first_token_s: float | None = None
    finished_s: float | None = None
    outcome: str = ""
    usage: Usage = Usage()
    model: str = ""  # that was asked


@dataclass(slots=True)
class Track:
    """What is known of one agent so far. Written by `SpanWalker` only."""

    agent: str
    spans: list[Span] = field(default_factory=list)  # closed ones, in order
    calls: list[CallTiming] = field(default_factory=list)
    tools: list[ToolSpan] = field(default_factory=list)
    segment: Segment = Segment.WAITING
    since_s: float = 0.0
    call: int = 0
    attempt: int = 0
    rival: int = 0  # a second attempt that runs beside `attempt`, until one has a token
    void: bool = False  # what is open belongs to a discarded attempt
    ready_s: float | None = None  # AgentStarted
    admitted_s: float | None = None  # of the first call
    finished_s: float | None = None
    state: AgentState | None = None  # set when settled
    reused: bool = False
    taken_over: bool = False  # reused from the run this one begins with
    edited: bool = False  # its output is a person's
    findings: int | None = None  # of a forerunner, once judged
    kept: int = 0  # of them, how many were of use
    earlier: Track | None = None  # as it stood when the epoch before this one ended

    @property
    def status(self) -> AgentState:
        return self.state or STATE_OF_SEGMENT[self.segment]

    @property
    def wasted_share(self) -> float:
        """The share of a forerunner's findings that nobody used; 0 until it is judged."""
        return 0.0 if self.findings is None else 1.0 - self.kept / max(1, self.findings)

    def enter(self, segment: Segment, at_s: float) -> None:
        self.close(at_s)
        self.segment, self.void = segment, False

    def close(self, at_s: float) -> None:
        """End the open piece at `at_s`; the next begins there."""
        if at_s > self.since_s:
            self.spans.append(self.piece(at_s))
            self.since_s = at_s

    def all_spans(self, horizon_s: float, *, running: bool) -> tuple[Span, ...]:
        """The closed spans and, for an agent that has not settled, the open one up to `horizon_s`."""
        if self.state is not None or horizon_s <= self.since_s:
            return tuple(self.spans)
        return (*self.spans, replace(self.piece(horizon_s), open=running))

    def piece(self, end_s: float) -> Span:
        """What has not been closed, as if it ended at `end_s`."""
        return Span(
            agent=self.agent,
            segment=self.segment,
            start_s=self.since_s,
            end_s=end_s,
            call=self.call,
            attempt=self.attempt,
            used=not self.void,
        )

    def discard_attempt(self) -> None:
        """The attempt in flight failed: what it took is not service time."""
        self.void = self.segment in OF_A_CALL
        for index in range(len(self.spans) - 1, -1, -1):
            span = self.spans[index]
            same = (span.call, span.attempt) == (self.call, self.attempt)
            if not same or span.segment not in OF_A_CALL:
                return
            self.spans[index] = replace(span, used=False)

    def switch_to_rival(self) -> None:
        """The second attempt is the one that counts: the first's time is waste until it began."""
        open_void = self.void
        self.discard_attempt()
        self.void = open_void
        self.attempt, self.rival = self.rival, 0

    def find_call(self, call: int, attempt: int) -> int | None:
        """Where in `calls` this attempt is; the last one that is called so."""
        for index in range(len(self.calls) - 1, -1, -1):
            if (self.calls[index].call, self.calls[index].attempt) == (call, attempt):
                return index
        return None

    def void_all(self) -> None:
        """Nothing done so far is used: the agent starts over in a new epoch."""
        end_s = self.since_s
        self.spans = [replace(s, used=s.used and s.segment not in IN_SERVICE) for s in self.spans]
        self.calls = [
            c if c.outcome else replace(c, outcome="discarded", finished_s=end_s)
            for c in self.calls
        ]
        self.tools = [
            replace(t, used=False, end_s=end_s if t.end_s is None else t.end_s) for t in self.tools
        ]
        self.segment, self.call, self.attempt, self.void = Segment.WAITING, 0, 0, False
        self.rival = 0
        self.ready_s = self.admitted_s = self.finished_s = self.state = None
        self.reused, self.findings, self.kept = False, None, 0
        self.taken_over = self.edited = False

    def settled_at(self, at_s: float, state: AgentState) -> Track:
        self.close(at_s)
        self.state, self.finished_s = state, at_s
        return self

    def copy(self) -> Track:
        return replace(
            self,
            spans=list(self.spans),
            calls=list(self.calls),
            tools=list(self.tools),
            earlier=None,
        )


class SpanWalker:
    """Facts in, tracks out. Agents it was not told about and kinds without a time are skipped."""

    def __init__(self, agents: Iterable[str]) -> None:
        self.tracks = {name: Track(name) for name in agents}
        self.gaps: list[Gap] = []
        self.epoch = 0
        self.last_s = 0.0
        self.derived = False  # it begins with another run's finished agents
        self.finished: RunFinished | None = None  # the last fact of the current epoch, if it ended
        self._epoch_end_s = 0.0
        # by kind, not by class: classes are imported anew on hot reload
        self._steps: dict[str, Callable[[Track, Any], None]] = {
            "agent_started": self._agent_started,
            "admission_queued": self._admission_queued,
            "call_admitted": self._call_admitted,
            "call_sent": self._call_sent,
            "call_hedged": self._call_hedged,
            "first_token": self._first_token,
            "call_finished": self._call_finished,
            "usage_updated": self._usage_updated,
            "backoff_started": self._backoff_started,
            "tools_started": self._tools_started,
            "tools_finished": self._tools_finished,
            "tool_call_started": self._tool_call_started,
            "tool_call_finished": self._tool_call_finished,
            "speculation_judged": self._speculation_judged,
            "agent_finished": self._agent_finished,
        }

    def follow(self, agents: Iterable[str]) -> None:
        """The plan has grown: follow these agents. Who is new has waited since the run started."""
        self.tracks = {name: self.tracks.get(name) or self._newcomer(name) for name in agents}

    def _newcomer(self, name: str) -> Track:
        track = Track(name)
        for gap in self.gaps:
            track.close(gap.start_s)
            track.since_s = gap.end_s
        return track

    @property
    def interrupted(self) -> bool:
        """True when the run has more than one epoch: its times cannot be compared."""
        return self.epoch > 1

    @property
    def complete(self) -> bool:
        """True when the run came to its planned end."""
        return self.finished is not None and self.finished.status in _COMPLETE

    def apply(self, event: AnyEvent) -> None:
        if event.kind == "run_started":
            self._run_started(event)  # type: ignore[arg-type]
        elif event.kind == "run_derived":
            self.derived = True
        elif event.kind == "run_finished":
            self.finished = event  # type: ignore[assignment]
        elif step := self._steps.get(event.kind):
            track = self.tracks.get(event.agent)  # type: ignore[union-attr]
            if track is not None and not _is_late(track, event):
                step(track, event)
        self.last_s = max(self.last_s, event.at_s)

    def horizon_s(self, now_s: float | None = None) -> float:
        """Where open spans end: the end of the run, or now, or the last fact."""
        if self.finished is not None:
            return self.finished.at_s
        return self.last_s if now_s is None else max(now_s, self.last_s)

    def _run_started(self, event: RunStarted) -> None:
        self.finished = None
        if self.epoch and event.epoch > self.epoch:
            self._epoch_end_s = self.last_s
            self.gaps.append(Gap(self.last_s, event.at_s))
            for track in self.tracks.values():
                track.earlier = track.copy() if track.ready_s is not None else None
                if track.state is None:
                    track.close(self.last_s)
                    track.void_all()
                    track.since_s = event.at_s
        self.epoch = max(self.epoch, event.epoch)

    def _agent_started(self, track: Track, event: AgentStarted) -> None:
        if track.finished_s is not None:  # settled in an earlier epoch and asked again
            since_s = track.finished_s
            track.void_all()
            for start_s, end_s in _between(since_s, event.at_s, self.gaps):
                track.since_s = start_s
                track.close(end_s)
        track.enter(Segment.ADMISSION, event.at_s)
        track.ready_s = event.at_s

    def _admission_queued(self, track: Track, event: AdmissionQueued) -> None:
        track.enter(Segment.ADMISSION, event.at_s)
        track.call, track.attempt, track.rival = event.call, event.attempt, 0

    def _call_admitted(self, track: Track, event: CallAdmitted) -> None:
        if track.admitted_s is None:
            track.admitted_s = event.at_s

    def _call_hedged(self, track: Track, event: CallHedged) -> None:
        track.close(event.at_s)  # the first attempt goes on; what follows may be the second's
        track.rival = event.attempt

    def _call_sent(self, track: Track, event: CallSent) -> None:
        if event.attempt != track.rival:
            track.enter(Segment.FIRST_TOKEN, event.at_s)
            track.call, track.attempt = event.call, event.attempt
        track.calls.append(
            CallTiming(event.call, event.attempt, self.epoch, event.at_s, model=event.request_model)
        )

    def _first_token(self, track: Track, event: FirstToken) -> None:
        if track.rival and event.attempt == track.rival:
            track.switch_to_rival()
        track.rival = 0
        track.enter(Segment.GENERATION, event.at_s)
        index = track.find_call(event.call, event.attempt)
        if index is not None:
            track.calls[index] = replace(track.calls[index], first_token_s=event.at_s)

    def _call_finished(self, track: Track, event: CallFinished) -> None:
        if event.outcome == "discarded":
            if event.attempt == track.attempt and track.rival:
                track.switch_to_rival()  # the first failed, the second is still in flight
            elif event.attempt == track.attempt:
                track.discard_attempt()
            elif event.attempt == track.rival:
                track.rival = 0
        elif track.segment is Segment.FIRST_TOKEN:  # a reply without text
            if track.rival and event.attempt == track.rival:
                track.switch_to_rival()
            track.rival = 0
            track.enter(Segment.GENERATION, event.at_s)
        index = track.find_call(event.call, event.attempt)
        if index is not None:
            track.calls[index] = replace(
                track.calls[index],
                finished_s=event.at_s,
                outcome=event.outcome,
                usage=Usage(event.input_tokens, event.output_tokens),
            )

    def _usage_updated(self, track: Track, event: UsageUpdated) -> None:
        for index in range(len(track.calls) - 1, -1, -1):
            call = track.calls[index]
            if call.call == event.call and call.outcome != "discarded":
                usage = Usage(event.input_tokens, event.output_tokens)
                track.calls[index] = replace(track.calls[index], usage=usage)
                return

    def _backoff_started(self, track: Track, event: BackoffStarted) -> None:
        track.enter(Segment.BACKOFF, event.at_s)

    def _tools_started(self, track: Track, event: ToolsStarted) -> None:
        track.enter(Segment.TOOLS, event.at_s)

    def _tools_finished(self, track: Track, event: ToolsFinished) -> None:
        track.enter(Segment.GENERATION if track.call else Segment.ADMISSION, event.at_s)

    def _tool_call_started(self, track: Track, event: ToolCallStarted) -> None:
        call = ToolSpan(track.agent, event.number, event.tool, event.about, event.at_s)
        track.tools.append(call)

    def _tool_call_finished(self, track: Track, event: ToolCallFinished) -> None:
        for index in range(len(track.tools) - 1, -1, -1):
            call = track.tools[index]
            if call.number == event.number and call.end_s is None:
                track.tools[index] = replace(
                    call, end_s=event.at_s, passages=event.passages, error=event.error
                )
                return

    def _speculation_judged(self, track: Track, event: SpeculationJudged) -> None:
        track.findings, track.kept = event.findings, event.kept

    def _agent_finished(self, track: Track, event: AgentFinished) -> None:
        state = AgentState(event.state)
        if not event.reused or track.earlier is None:
            if event.reused and not track.call:
                track.segment = Segment.WAITING  # looking at a checkpoint is no wait for admission
            track.settled_at(event.at_s, state).reused = event.reused
            track.taken_over = event.reused and event.epoch == 1
            track.edited = event.edited
            return
        kept = track.earlier
        if kept.state is None:  # the checkpoint was committed, the fact was lost with the process
            kept.settled_at(self._epoch_end_s, state)
        kept.reused, kept.edited, kept.earlier = True, event.edited, None
        self.tracks[track.agent] = kept


_COMPLETE = {RunStatus.DONE.value, RunStatus.DEGRADED.value}
_AFTER_SETTLING = {"usage_updated", "agent_started", "agent_finished", "speculation_judged"}


def _is_late(track: Track, event: AnyEvent) -> bool:
    """Facts of a call that was cut off while its agent had settled already change nothing."""
    return track.state is not None and event.kind not in _AFTER_SETTLING


def _between(start_s: float, end_s: float, gaps: Sequence[Gap]) -> Iterator[tuple[float, float]]:
    """The stretch from `start_s` to `end_s` without the gaps in it."""
    for gap in gaps:
        if start_s <= gap.start_s and gap.end_s <= end_s:
            yield start_s, gap.start_s
            start_s = gap.end_s
    yield start_s, end_s
