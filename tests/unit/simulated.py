"""Simulate runs: legal facts in order, from a plan and a script of what each agent does.

A small discrete-event simulation with its own clock, so that properties of timing and views can
be checked against durations that are known. Nothing here is taken from the code under test but
`ready`, `Plan.grown_by` and the event types.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from pipeline.events import (
    AdmissionQueued,
    AgentFinished,
    AgentStarted,
    AnyEvent,
    BackoffStarted,
    CallAdmitted,
    CallFinished,
    CallSent,
    Event,
    FirstToken,
    PlanGrown,
    RunFinished,
    RunStarted,
    ToolCallFinished,
    ToolCallStarted,
    ToolsFinished,
    ToolsStarted,
)
from pipeline.growth import Parts
from pipeline.models import (
    AgentOutput,
    AgentSpec,
    AgentState,
    Expansion,
    Importance,
    Mode,
    Need,
    OnFailure,
    RunOptions,
    Settlement,
)
from pipeline.plan import Plan, make_plan, ready, regrown, switchable_phases

Fact = tuple[float, type[Event], dict[str, Any]]


@dataclass(frozen=True)
class Attempt:
    """One try of a call. `first_token_s` None: it failed before a token came."""

    admission_s: float = 0.0
    first_token_s: float | None = 0.5
    generation_s: float = 1.0
    backoff_s: float = 0.0  # after a failed one


@dataclass(frozen=True)
class Script:
    """What an agent does: calls, each with its attempts (the last one succeeds), and tools between."""

    calls: tuple[tuple[Attempt, ...], ...] = ((Attempt(),),)
    tools_s: float = 0.0
    commit_s: float = 0.0
    state: AgentState = AgentState.DONE

    @property
    def service_s(self) -> float:
        """Known beforehand: all that is used, without waits; nothing without a call."""
        if not self.calls:
            return 0.0
        used = sum((call[-1].first_token_s or 0.0) + call[-1].generation_s for call in self.calls)
        return used + self.tools_s * (len(self.calls) - 1) + self.commit_s

    def facts(self, agent: str, now_s: float) -> list[Fact]:
        """Everything the agent reports from `AgentStarted` to `AgentFinished`."""
        facts: list[Fact] = [(now_s, AgentStarted, {"agent": agent})]
        for number, attempts in enumerate(self.calls, 1):
            if number > 1:
                facts.append((now_s, ToolsStarted, {"agent": agent, "calls": ["search"]}))
                named = {"agent": agent, "number": number - 1}
                facts.append((now_s, ToolCallStarted, {**named, "tool": "search"}))
                now_s += self.tools_s
                facts.append((now_s, ToolCallFinished, {**named, "passages": 2}))
                facts.append((now_s, ToolsFinished, {"agent": agent}))
            for tries, attempt in enumerate(attempts, 1):
                last = tries == len(attempts)
                now_s = _attempt(facts, agent, number, tries, attempt, now_s, used=last)
        now_s += self.commit_s
        facts.append((now_s, AgentFinished, {"agent": agent, "state": self.state.value}))
        return facts


def _attempt(
    facts: list[Fact],
    agent: str,
    call: int,
    tries: int,
    attempt: Attempt,
    now_s: float,
    *,
    used: bool,
) -> float:
    names = {"agent": agent, "call": call, "attempt": tries}
    facts.append((now_s, AdmissionQueued, dict(names)))
    now_s += attempt.admission_s
    facts += [(now_s, CallAdmitted, dict(names)), (now_s, CallSent, dict(names))]
    if attempt.first_token_s is not None:
        now_s += attempt.first_token_s
        facts.append((now_s, FirstToken, dict(names)))
    now_s += attempt.generation_s
    outcome = "used" if used else "discarded"
    tokens = {"input_tokens": 10, "output_tokens": 20} if used else {}
    facts.append((now_s, CallFinished, {**names, "outcome": outcome, **tokens}))
    if not used:
        why = {"delay_s": attempt.backoff_s, "error": "The provider is overloaded."}
        facts.append((now_s, BackoffStarted, {**names, **why}))
        now_s += attempt.backoff_s
    return now_s


@dataclass
class Simulation:
    """Runs a plan epoch by epoch and keeps the facts, as a journal would.

    `growth` says by which parts the plan grows when an agent settles; `plan` grows with the facts.
    """

    plan: Plan
    scripts: Mapping[str, Script]
    growth: Mapping[str, Parts] = field(default_factory=dict)
    events: list[AnyEvent] = field(default_factory=list)
    epoch: int = 0
    now_s: float = 0.0
    done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.first_plan = self.plan

    def plan_after(self, events: Sequence[AnyEvent]) -> Plan:
        plan = self.first_plan
        for event in events:
            if isinstance(event, PlanGrown):
                plan = regrown(plan, event)
        return plan

    def record(self, at_s: float, event_type: type[Event], **fields: Any) -> None:
        event: Any = event_type(
            epoch=self.epoch, seq=len(self.events) + 1, at_s=round(at_s, 6), **fields
        )
        self.events.append(event)
        self.now_s = max(self.now_s, at_s)

    def run(self, stop_s: float | None = None, *, told: bool = True) -> list[AnyEvent]:
        """One epoch, to its end or until the process dies at `stop_s` (without a word unless `told`)."""
        self.epoch += 1
        start_s = self.now_s
        reused = sorted(self.done)
        self.record(start_s, RunStarted, wall_at="", resumed=self.epoch > 1, reused=reused)
        facts, settled = self._all_facts(start_s)
        for at_s, event_type, fields in facts:
            if stop_s is not None and at_s >= stop_s:
                break
            self.record(at_s, event_type, **fields)
            if event_type is PlanGrown:
                self.plan = self.plan_after(self.events)
            if event_type is AgentFinished:
                self.done.add(fields["agent"])
        else:
            degraded = [n for n in settled if self.scripts[n].state is not AgentState.DONE]
            status = "degraded" if degraded else "done"
            self.record(self.now_s, RunFinished, status=status)
            return self.events
        if told:
            self.record(self.now_s, RunFinished, status="failed", error="stopped")
        return self.events

    def _all_facts(self, start_s: float) -> tuple[list[Fact], set[str]]:
        settled: dict[str, Settlement] = {}
        started: set[str] = set()
        facts: list[tuple[float, int, Fact]] = []
        ends: list[tuple[float, int, str]] = []
        clock_s, plan = start_s, self.plan
        while len(settled) < len(plan.agents):
            for name in ready(plan, settled, started):
                started.add(name)
                own = self._facts_of(name, clock_s)
                facts += [(fact[0], len(facts) + i, fact) for i, fact in enumerate(own)]
                heapq.heappush(ends, (own[-1][0], len(started), name))
            clock_s, _, name = heapq.heappop(ends)
            if name in self.growth and name not in self.done:
                plan = plan.grown_by(name, self.growth[name], started - {name})
            settled[name] = Settlement(name, AgentState.DONE, AgentOutput("x"))
        return [fact for _, _, fact in sorted(facts, key=lambda f: f[:2])], set(settled)

    def _facts_of(self, name: str, now_s: float) -> list[Fact]:
        if name not in self.done:
            facts = self.scripts[name].facts(name, now_s)
            if name in self.growth:
                parts = [list(positions) for positions in self.growth[name]]
                facts.insert(-1, (facts[-1][0], PlanGrown, {"agent": name, "parts": parts}))
            return facts
        state = self.scripts[name].state.value
        return [
            (now_s, AgentStarted, {"agent": name}),
            (now_s, AgentFinished, {"agent": name, "state": state, "reused": True}),
        ]


def roster_of(needs: Mapping[str, Sequence[str]], phases: Mapping[str, str]) -> list[AgentSpec]:
    return [
        AgentSpec(
            name=name,
            title=name.upper(),
            phase=phases[name],
            importance=Importance.OPTIONAL,
            on_failure=OnFailure.ABSENT,
            prompt_file="",
            needs=tuple(Need(before) for before in before_all),
        )
        for name, before_all in needs.items()
    ]


# a simulated run may take longer than Hypothesis's 200 ms on a busy machine
unhurried = settings(deadline=None)

seconds = st.integers(0, 40).map(lambda tenths: tenths / 10)
some_seconds = st.integers(1, 40).map(lambda tenths: tenths / 10)


@st.composite
def rosters(draw: st.DrawFn, max_agents: int = 7) -> list[AgentSpec]:
    """Agents in phases; each may need any of those before it in the roster."""
    names = [f"a{i}" for i in range(draw(st.integers(1, max_agents)))]
    needs: dict[str, list[str]] = {}
    phases: dict[str, str] = {}
    phase = 0
    for index, name in enumerate(names):
        phase += draw(st.booleans()) if index else 0
        phases[name] = f"p{phase}"
        before = names[:index]
        needs[name] = (
            draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        )
    return roster_of(needs, phases)


SECTIONS = RunOptions(section_writing=True, section_editing=True)


@st.composite
def growing_rosters(draw: st.DrawFn) -> tuple[list[AgentSpec], dict[str, Parts]]:
    """Rosters in which one agent expands by the outline of another before it, and perhaps a third
    revises what the second wrote; with the growth that will happen. None expands twice."""
    roster = draw(rosters().filter(lambda agents: len(agents) > 1))
    chosen = draw(
        st.lists(st.integers(0, len(roster) - 1), unique=True, min_size=2, max_size=3).map(sorted)
    )
    by, writer, *editors = (roster[index].name for index in chosen)
    count = draw(st.integers(3, 8))
    growth: Parts = tuple((position,) for position in range(count))
    kept = draw(st.booleans())  # what the parts need of what the whole needed
    roster = [
        _expanding(agent, by, (Need(by), *(agent.needs if kept else ())), "section_writing")
        if agent.name == writer
        else _editing(agent, by, writer)
        if agent.name in editors
        else agent
        for agent in roster
    ]
    return roster, {by: draw(st.sampled_from([growth, growth, growth, ()]))}


def _expanding(agent: AgentSpec, by: str, needs: tuple[Need, ...], option: str) -> AgentSpec:
    expansion = Expansion(
        option=option,
        by=by,
        kind="write" if option == "section_writing" else "edit",
        title=agent.title + " {number}",
        prompt_file="",
        needs=tuple(dict.fromkeys(needs)),
    )
    return replace(agent, needs=tuple(dict.fromkeys((*agent.needs, Need(by)))), expansion=expansion)


def _editing(agent: AgentSpec, by: str, writer: str) -> AgentSpec:
    seams = (
        Need(f"{writer}/{{before}}", "optional"),
        Need(f"{writer}/{{number}}"),
        Need(f"{writer}/{{after}}", "optional"),
    )
    needing = replace(agent, needs=tuple(dict.fromkeys((*agent.needs, Need(writer)))))
    return _expanding(needing, by, (Need(by), *seams), "section_editing")


@st.composite
def growing_plans(draw: st.DrawFn, mode: Mode | None = None) -> tuple[Plan, dict[str, Parts]]:
    roster, growth = draw(growing_rosters())
    switches = {phase: draw(st.booleans()) for phase in switchable_phases(roster, SECTIONS)}
    return make_plan(roster, mode or draw(st.sampled_from(Mode)), switches, SECTIONS), growth


@st.composite
def plans(draw: st.DrawFn, mode: Mode | None = None) -> Plan:
    roster = draw(rosters())
    phases = list(dict.fromkeys(agent.phase for agent in roster))
    shared = [p for p in phases if sum(a.phase == p for a in roster) > 1]
    switches = {phase: draw(st.booleans()) for phase in shared}
    return make_plan(roster, mode or draw(st.sampled_from(Mode)), switches)


attempts = st.builds(
    Attempt,
    admission_s=seconds,
    first_token_s=st.none() | some_seconds,
    generation_s=seconds,
    backoff_s=seconds,
)


@st.composite
def scripts(draw: st.DrawFn, *, states: bool = True) -> Script:
    calls = st.lists(st.lists(attempts, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
    settled = [AgentState.DONE, AgentState.DONE, AgentState.ABSENT, AgentState.SUBSTITUTED]
    return Script(
        calls=tuple(draw(calls)),
        tools_s=draw(seconds),
        commit_s=draw(seconds),
        state=draw(st.sampled_from(settled)) if states else AgentState.DONE,
    )


@st.composite
def scripts_of(
    draw: st.DrawFn, plan: Plan, growth: Mapping[str, Parts], *, states: bool = True
) -> dict[str, Script]:
    """A script for every agent there will be; a join makes no call."""
    for by, parts in growth.items():
        plan = plan.grown_by(by, parts)
    return {
        agent.name: Script(calls=(), commit_s=draw(seconds))
        if agent.join
        else draw(scripts(states=states))
        for agent in plan.agents
    }


@st.composite
def simulations(
    draw: st.DrawFn, mode: Mode | None = None, *, epochs: int = 1, states: bool = True
) -> Simulation:
    """A run that has come to its end, after `epochs` − 1 interruptions at most; it may have grown."""
    growth: dict[str, Parts] = {}
    if draw(st.booleans()):
        plan, growth = draw(growing_plans(mode))
    else:
        plan = draw(plans(mode))
    simulation = Simulation(plan, draw(scripts_of(plan, growth, states=states)), growth)
    for _ in range(draw(st.integers(0, epochs - 1))):
        simulation.run(simulation.now_s + draw(some_seconds), told=draw(st.booleans()))
        simulation.now_s += draw(some_seconds)
    simulation.run()
    return simulation
