"""Ask of a finished run: what if it had been planned, limited or staffed otherwise?

Pure: a question and a run's workloads in, a schedule out, without a call. Decides what a question
can change and how it changes plan and workloads; `simulate.py` lays them out. What comes out is
simulated from that run, never measured, and whoever shows it says so.

Every answer assumes that each call takes as long as it took in the run. That does not hold when
the provider slows calls that run side by side, when prompts would differ (a run that lost a
researcher, section writing), or when a call would have failed and been tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.errors import PlanError
from pipeline.events import (
    AdmissionQueued,
    AgentFinished,
    AgentStarted,
    AnyEvent,
    CallAdmitted,
    CallFinished,
    CallSent,
    Event,
    FirstToken,
    RunFinished,
    RunStarted,
    ToolsFinished,
    ToolsStarted,
)
from pipeline.growth import MAX_PARTS, MIN_PARTS, expanded
from pipeline.models import AgentSpec, AgentState, Mode, RunOptions, RunStatus
from pipeline.plan import Plan, make_plan, switchable_phases
from pipeline.schedule import AgentSchedule, PlacedStep, Schedule
from pipeline.simulate import NO_LIMITS, Limits, simulate
from pipeline.spans import Segment
from pipeline.timing import RunTiming, run_timing
from pipeline.workload import Call, Workload, merged

SECTION_COUNTS = (1, *range(MIN_PARTS, MAX_PARTS + 1))  # 1: one call


@dataclass(frozen=True, slots=True)
class Question:
    """What to change. `faster` holds agent → how many times as fast.

    `sections` says in how many parts the writing is done, and with `edit_sections` the editing;
    1 is one call, None as the run did it.
    """

    mode: Mode
    switches: Mapping[str, bool] = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    faster: Mapping[str, float] = field(default_factory=dict)
    sections: int | None = None
    edit_sections: bool = False


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The makespan of `mode` when at most `max_in_flight` calls may be out at once."""

    mode: Mode
    max_in_flight: int
    makespan_s: float


def answer(run: Plan, workloads: Mapping[str, Workload], question: Question) -> Schedule:
    """The schedule that the run of plan `run` would have had.

    Raises `PlanError` when it cannot be simulated.
    """
    plan, work = _prepared(run, workloads, question)
    return simulate(plan, work, question.limits)


def plan_of(run: Plan, workloads: Mapping[str, Workload], question: Question) -> Plan:
    """The plan behind the answer."""
    return _prepared(run, workloads, question)[0]


def concurrency_curve(
    run: Plan, workloads: Mapping[str, Workload], question: Question, caps: Iterable[int]
) -> list[CurvePoint]:
    """The question in every mode and under every cap, all else equal; mode by mode.

    A mode in which the agents make no valid plan has no points.
    """
    points = []
    caps = tuple(caps)
    for mode in Mode:
        try:
            plan, work = _prepared(run, workloads, replace(question, mode=mode))
        except PlanError:
            continue
        for cap in caps:
            limits = replace(question.limits, max_in_flight=cap)
            points.append(CurvePoint(mode, cap, simulate(plan, work, limits).makespan_s))
    return points


def _prepared(
    run: Plan, workloads: Mapping[str, Workload], question: Question
) -> tuple[Plan, dict[str, Workload]]:
    agents = run.agents
    work = {
        name: load.faster(question.faster[name]) if name in question.faster else load
        for name, load in workloads.items()
    }
    if question.sections is not None:
        agents, work = in_sections(run, work, question.sections, editing=question.edit_sections)
    known = switchable_phases(agents)
    switches = {phase: on for phase, on in question.switches.items() if phase in known}
    return make_plan(agents, question.mode, switches), work


def in_sections(
    run: Plan, workloads: Mapping[str, Workload], sections: int, *, editing: bool = False
) -> tuple[tuple[AgentSpec, ...], dict[str, Workload]]:
    """The agents of a run if their outline had had `sections`, and what each would do.

    Plans grow here as they do in a run (`growth.expanded`). The work of a part is an estimate
    (`Workload.share` of the whole, which is `merged` from the run's own parts when it had some).
    """
    by = {agent.expansion.by for agent in run.roster if agent.expansion is not None}
    options = RunOptions(section_writing=sections > 1, section_editing=sections > 1 and editing)
    outline = tuple((position,) for position in range(sections))
    agents = expanded(run.roster, options, dict.fromkeys(by, outline))
    return agents, {agent.name: _work_of(agent, run, workloads) for agent in agents}


def _work_of(agent: AgentSpec, run: Plan, workloads: Mapping[str, Workload]) -> Workload:
    if agent.join is not None:
        return Workload()
    if agent.part is not None:
        return _whole(agent.part.of, run, workloads).share(agent.part.count)
    return _whole(agent.name, run, workloads)


def _whole(name: str, run: Plan, workloads: Mapping[str, Workload]) -> Workload:
    """All the work of agent `name`, whether it did it alone or in parts."""
    parts = [a.name for a in run.agents if a.part is not None and a.part.of == name]
    return merged([workloads[part] for part in parts]) if parts else workloads[name]


def width(plan: Plan, *, data_only: bool = False) -> int:
    """The most agents of `plan` that could ever be at work at once, whatever they take.

    The largest set of agents none of which waits for another, by Dilworth's theorem: agents less
    a largest matching of the order's pairs. Joins make no call and do not count. `data_only`
    leaves the order edges out.
    """
    working = [agent.name for agent in plan.agents if agent.join is None]
    edges = plan.data_edges if data_only else plan.data_edges | plan.order_edges
    all_after = _all_after(plan, edges)
    after = {name: [n for n in all_after[name] if n in working] for name in working}
    partner: dict[str, str] = {}  # a later agent → the earlier one it is matched with

    def matched(name: str, tried: set[str]) -> bool:
        for later in after[name]:
            if later not in tried:
                tried.add(later)
                if later not in partner or matched(partner[later], tried):
                    partner[later] = name
                    return True
        return False

    return len(working) - sum(matched(name, set()) for name in working)


def _all_after(plan: Plan, edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Agent → every agent that waits for it, directly or not, in roster order."""
    edges = tuple(edges)
    found: dict[str, list[str]] = {}
    for name in plan.names:
        reached, new = set[str](), {name}
        while new:
            new = {later for first, later in edges if first in new} - reached
            reached |= new
        found[name] = [n for n in plan.names if n in reached]
    return found


def schedule_timing(schedule: Schedule) -> RunTiming:
    """The schedule as the timing of a run, so that every view draws it as it draws a real one.

    Sequential figures are replayed, whatever the mode: nothing here was measured.
    """
    timing = run_timing(schedule.plan, facts(schedule))
    chain = tuple(dict.fromkeys(link.agent for link in schedule.critical))
    return replace(
        timing,
        sequential_s=schedule.sequential_s,
        sequential_kind="replayed",
        saved_s=schedule.sequential_s - schedule.makespan_s,
        critical=chain,
    )


def facts(schedule: Schedule) -> list[AnyEvent]:
    """What a journal would hold of such a run. For views; never stored."""
    found: list[tuple[float, type[Event], dict[str, object]]] = []
    for agent in schedule.agents:
        found.extend(_facts_of(agent))
    found.sort(key=lambda fact: fact[0])
    found.insert(0, (0.0, RunStarted, {"wall_at": ""}))
    found.append((schedule.makespan_s, RunFinished, {"status": RunStatus.DONE.value}))
    return [
        make(epoch=1, seq=seq, at_s=at_s, **fields)  # type: ignore[misc]
        for seq, (at_s, make, fields) in enumerate(found, 1)
    ]


def _facts_of(agent: AgentSchedule) -> Iterator[tuple[float, type[Event], dict[str, object]]]:
    names: dict[str, object] = {"agent": agent.agent}
    yield agent.started_s, AgentStarted, names
    call = 0
    for placed in agent.steps:
        if isinstance(placed.step, Call):
            call += 1
            yield from _facts_of_call(placed, placed.step, names | {"call": call, "attempt": 1})
        elif placed.step.segment is Segment.TOOLS:
            yield placed.start_s, ToolsStarted, names | {"calls": []}
            yield placed.end_s, ToolsFinished, names
    yield agent.settled_s, AgentFinished, names | {"state": AgentState.DONE.value}


def _facts_of_call(
    placed: PlacedStep, call: Call, names: dict[str, object]
) -> Iterator[tuple[float, type[Event], dict[str, object]]]:
    yield placed.queued_s, AdmissionQueued, names
    yield placed.start_s, CallAdmitted, names
    yield placed.start_s, CallSent, names
    yield placed.start_s + call.first_token_s, FirstToken, names
    tokens: dict[str, object] = {
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
    }
    yield placed.end_s, CallFinished, names | tokens | {"outcome": "used"}
