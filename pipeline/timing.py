"""Say how long everything took, and what the same calls would have taken one after another.

Pure: facts in, figures out, for finished runs and for running ones. `spans.py` cuts each agent's
time into segments; here are the formulas. Each figure that is not measured says so (`kind`).

Service time of an agent
    first CallSent → settled, without admission waits, backoffs and discarded calls. 0 for an
    agent whose output was not used (absent, substituted, failed, cancelled): a plan that had not
    wasted the time would not have spent it. Of a forerunner (speculation) the share of its findings
    that were kept: an estimate, because nobody measures which second found what.
Sequential time of a run
    Σ service times: *replayed* from this run's own calls, assuming that they take as long when
    alone. In sequential mode it is the makespan: *measured*.
Bound
    The longest path over data edges with the same service times: no schedule can be shorter.
Saved
    sequential − makespan. Not given for a run that was interrupted, that began with another run's
    finished agents, or that did not come to its end.
Overlap of a phase
    (Σ busy − union of busy) ÷ (Σ busy − longest busy), over the agents' in-service intervals:
    1 when everything that could overlap did, 0 when nothing did or one agent was alone.

All times are seconds since the run first started. A gap between two epochs counts nowhere:
an agent's segments and the gaps before its end add up to `finished_s`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.events import AnyEvent
from pipeline.models import AgentSpec, AgentState, Mode, Usage
from pipeline.plan import Plan, bound_s
from pipeline.spans import CallTiming, Gap, Segment, Span, SpanWalker, ToolSpan, Track

__all__ = [
    "AgentTiming",
    "CallTiming",
    "Gap",
    "PhaseTiming",
    "RunTiming",
    "Segment",
    "Segments",
    "Span",
    "Speculated",
    "ToolSpan",
    "run_timing",
    "timing_of",
]

Interval = tuple[float, float]
SequentialKind = Literal["replayed", "measured"]


@dataclass(frozen=True, slots=True)
class Segments:
    """An agent's time by kind, in seconds; field names are those of the JSON report."""

    waiting_s: float = 0.0
    admission_s: float = 0.0
    backoff_s: float = 0.0
    first_token_s: float = 0.0
    generation_s: float = 0.0
    tools_s: float = 0.0

    @property
    def total_s(self) -> float:
        return (
            self.waiting_s
            + self.admission_s
            + self.backoff_s
            + self.first_token_s
            + self.generation_s
            + self.tools_s
        )


@dataclass(frozen=True, slots=True)
class Speculated:
    """What became of a forerunner's work. The share of tokens is an estimate: that of its findings."""

    findings: int
    kept: int
    wasted_share: float
    output_tokens: int | None
    wasted_tokens: int | None


@dataclass(frozen=True, slots=True)
class AgentTiming:
    """One agent. Times that did not happen (yet) are None.

    `ready_s`: its inputs existed. `admitted_s`, `started_s`, `first_token_s`: of its first call
    (of the epoch that counts). `attempts`: 1 plus the tries beyond the first of each call; 0
    without a call. `spans` cover 0 → `finished_s` (or now) without overlap.
    """

    agent: str
    title: str
    phase: str
    state: AgentState
    spans: tuple[Span, ...]
    segments: Segments
    service_s: float
    calls: tuple[CallTiming, ...]
    attempts: int
    usage: Usage
    ready_s: float | None = None
    admitted_s: float | None = None
    started_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    reused: bool = False
    taken_over: bool = False  # from the run this one begins with: no calls, no service time here
    edited: bool = False  # its output is a person's
    speculation: Speculated | None = None  # of a forerunner, once judged
    tools: tuple[ToolSpan, ...] = ()  # each call of a tool; their union is in `segments`
    model: str = ""  # asked last: a fallback's name when the first failed

    @property
    def busy(self) -> tuple[Interval, ...]:
        """The in-service intervals; their lengths add up to `service_s` of an agent in use.

        A forerunner was busy for as long as it was, however little of it counts as service.
        """
        return tuple((s.start_s, s.end_s) for s in self.spans if s.in_service)


@dataclass(frozen=True, slots=True)
class PhaseTiming:
    """One phase. `wall_s`: first CallSent → last settling; `peak_in_flight`: most calls at once."""

    phase: str
    wall_s: float
    summed_s: float
    overlap_share: float
    peak_in_flight: int


@dataclass(frozen=True, slots=True)
class RunTiming:
    """One run. `makespan_s` leaves gaps out and is None while the run goes on.

    `bound_s` is None until every agent has settled; `saved_s` and `saved_share` are None where
    they would mislead. `critical` is the chain that set the makespan as it happened, first to
    last, empty while the run goes on. `horizon_s` is where the drawing ends.
    """

    agents: tuple[AgentTiming, ...]
    phases: tuple[PhaseTiming, ...]
    gaps: tuple[Gap, ...]
    horizon_s: float
    running: bool
    interrupted: bool
    derived: bool
    makespan_s: float | None
    sequential_s: float
    sequential_kind: SequentialKind
    bound_s: float | None
    saved_s: float | None
    saved_share: float | None
    critical: tuple[str, ...]

    def agent(self, name: str) -> AgentTiming:
        return next(agent for agent in self.agents if agent.agent == name)


def run_timing(plan: Plan, events: Iterable[AnyEvent], now_s: float | None = None) -> RunTiming:
    """All figures of a run from its facts.

    `now_s` closes what is still open (marked `open`) while the run goes on; without it the last
    fact does.
    """
    walker = SpanWalker(plan.names)
    for event in events:
        walker.apply(event)
    return timing_of(plan, walker, now_s)


def timing_of(plan: Plan, walker: SpanWalker, now_s: float | None = None) -> RunTiming:
    """As `run_timing`, from a walker that has seen the facts already."""
    horizon_s = walker.horizon_s(now_s)
    running = walker.finished is None
    agents = tuple(
        agent_timing(spec, walker.tracks[spec.name], horizon_s, running=running)
        for spec in plan.agents
    )
    gaps = tuple(walker.gaps)
    makespan_s = None if running else horizon_s - sum(gap.duration_s for gap in gaps)
    comparable = walker.complete and not walker.interrupted and not walker.derived
    measured = comparable and plan.mode is Mode.SEQUENTIAL
    replayed_s = sum(agent.service_s for agent in agents)
    sequential_s = makespan_s if measured and makespan_s is not None else replayed_s
    saved_s = sequential_s - makespan_s if comparable and makespan_s is not None else None
    return RunTiming(
        agents=agents,
        phases=tuple(
            _phase_timing(phase, [a for a in agents if a.phase == phase], gaps, horizon_s)
            for phase in plan.phases
        ),
        gaps=gaps,
        horizon_s=horizon_s,
        running=running,
        interrupted=walker.interrupted,
        derived=walker.derived,
        makespan_s=makespan_s,
        sequential_s=sequential_s,
        sequential_kind="measured" if measured else "replayed",
        bound_s=_bound_s(plan, agents),
        saved_s=saved_s,
        saved_share=saved_s / sequential_s if saved_s is not None and sequential_s > 0 else None,
        critical=() if running else _critical(plan, {a.agent: a.finished_s for a in agents}),
    )


def agent_timing(spec: AgentSpec, track: Track, horizon_s: float, *, running: bool) -> AgentTiming:
    """The figures of one agent, up to `horizon_s` when it has not settled."""
    spans = track.all_spans(horizon_s, running=running)
    calls = calls_that_count(track)
    first = calls[0] if calls else None
    return AgentTiming(
        agent=spec.name,
        title=spec.title,
        phase=spec.phase,
        state=track.status,
        spans=spans,
        segments=_segments(spans),
        service_s=service_s(track.state, spans, track.wasted_share),
        calls=tuple(track.calls),
        attempts=1 + len(calls) - len({call.call for call in calls}) if calls else 0,
        usage=usage_of(calls),
        ready_s=track.ready_s,
        admitted_s=track.admitted_s,
        started_s=first.sent_s if first else None,
        first_token_s=_first_token_s(calls),
        finished_s=track.finished_s,
        reused=track.reused,
        taken_over=track.taken_over,
        edited=track.edited,
        speculation=_speculated(track, usage_of(calls).output_tokens),
        tools=_tools(track, horizon_s),
        model=calls[-1].model if calls else "",
    )


def _tools(track: Track, horizon_s: float) -> tuple[ToolSpan, ...]:
    """What still runs ends with its agent, or now."""
    end_s = horizon_s if track.finished_s is None else track.finished_s
    return tuple(t if t.end_s is not None else replace(t, end_s=end_s) for t in track.tools)


def _speculated(track: Track, output_tokens: int | None) -> Speculated | None:
    if track.findings is None:
        return None
    return Speculated(
        findings=track.findings,
        kept=track.kept,
        wasted_share=track.wasted_share,
        output_tokens=output_tokens,
        wasted_tokens=None if output_tokens is None else round(output_tokens * track.wasted_share),
    )


def service_s(state: AgentState | None, spans: Iterable[Span], wasted_share: float = 0.0) -> float:
    """Σ in-service spans; 0 for an agent that settled without giving its own output."""
    if state not in (None, AgentState.DONE):
        return 0.0
    return sum(span.duration_s for span in spans if span.in_service) * (1.0 - wasted_share)


def calls_that_count(track: Track) -> list[CallTiming]:
    """The calls of the epoch in which the agent last worked."""
    epoch = max((call.epoch for call in track.calls), default=0)
    return [call for call in track.calls if call.epoch == epoch]


def usage_of(calls: Iterable[CallTiming]) -> Usage:
    """Tokens of these calls; None where no provider told."""
    total = Usage()
    for call in calls:
        total = total.plus(call.usage)
    return total


def _first_token_s(calls: Sequence[CallTiming]) -> float | None:
    """When the first call's first token came, whichever attempt brought it."""
    return next(
        (c.first_token_s for c in calls if c.call == calls[0].call and c.first_token_s is not None),
        None,
    )


def _segments(spans: Iterable[Span]) -> Segments:
    totals = dict.fromkeys(Segment, 0.0)
    for span in spans:
        totals[span.segment] += span.duration_s
    return Segments(**{f"{segment.value}_s": total for segment, total in totals.items()})


def _phase_timing(
    phase: str, agents: Sequence[AgentTiming], gaps: Sequence[Gap], horizon_s: float
) -> PhaseTiming:
    return PhaseTiming(
        phase=phase,
        wall_s=_wall_s(agents, gaps, horizon_s),
        summed_s=sum(agent.service_s for agent in agents),
        overlap_share=_overlap_share([agent.busy for agent in agents if agent.service_s > 0]),
        peak_in_flight=_peak([i for agent in agents for i in _in_flight(agent, horizon_s)]),
    )


def _wall_s(agents: Sequence[AgentTiming], gaps: Sequence[Gap], horizon_s: float) -> float:
    sent = [agent.started_s for agent in agents if agent.started_s is not None]
    if not sent:
        return 0.0
    start_s = min(sent)
    end_s = max(_or(a.finished_s, horizon_s) for a in agents if a.started_s is not None)
    cut_s = sum(g.duration_s for g in gaps if start_s <= g.start_s and g.end_s <= end_s)
    return end_s - start_s - cut_s


def _in_flight(agent: AgentTiming, horizon_s: float) -> list[Interval]:
    """From CallSent to CallFinished; a call cut off by its agent's end is over with it."""
    end_s = _or(agent.finished_s, horizon_s)
    return [(call.sent_s, _or(call.finished_s, end_s)) for call in agent.calls]


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _overlap_share(busy: Sequence[Sequence[Interval]]) -> float:
    lengths = [sum(end - start for start, end in intervals) for intervals in busy]
    possible_s = sum(lengths) - max(lengths, default=0.0)
    if possible_s <= 0:
        return 0.0
    overlapped_s = sum(lengths) - _union_s(i for intervals in busy for i in intervals)
    return min(1.0, max(0.0, overlapped_s / possible_s))


def _union_s(intervals: Iterable[Interval]) -> float:
    total_s, reached_s = 0.0, float("-inf")
    for start, end in sorted(intervals):
        if end > reached_s:
            total_s += end - max(start, reached_s)
            reached_s = end
    return total_s


def _peak(calls: Sequence[Interval]) -> int:
    """Most calls in flight at once; one that ends when another begins does not meet it."""
    steps = [step for start, end in calls if end > start for step in ((start, 1), (end, -1))]
    peak, now = min(1, len(calls)), 0
    for _, change in sorted(steps):
        now += change
        peak = max(peak, now)
    return peak


def _bound_s(plan: Plan, agents: Sequence[AgentTiming]) -> float | None:
    if any(agent.finished_s is None for agent in agents):
        return None
    return bound_s(plan, {agent.agent: agent.service_s for agent in agents})


def _critical(plan: Plan, finished_s: Mapping[str, float | None]) -> tuple[str, ...]:
    """Back from the agent that settled last, always to the predecessor that settled last."""
    ends = {name: end for name, end in finished_s.items() if end is not None}
    chain: list[str] = []
    candidates = [name for name in plan.names if name in ends]
    while candidates:
        last = max(candidates, key=lambda name: ends[name])
        chain.append(last)
        candidates = [n for n in plan.names if n in ends and n in plan.predecessors(last)]
    return tuple(reversed(chain))
