"""Decide which agents may start.

Pure functions over agents and two kinds of edges: no clock, no I/O. *Data edges* (an agent's
needs) carry values into prompts. *Order edges* carry nothing; they come from mode and switches
alone and are released when the predecessor has settled, however. `chat_orchestrator.py` carries
the decisions out; the Gantt, resume and the simulator ask the same functions.

A plan may grow while it runs: `Plan.grown_by` gives the next plan, from the same roster, mode and
switches. What grows into what is `growth.py`'s; `grown_plan` replays it from a run's facts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from pipeline.errors import BudgetExceeded, GantryError, PlanError
from pipeline.events import AnyEvent, PlanGrown
from pipeline.growth import (
    OUTLINE,
    SPECIMEN,
    Parts,
    expanded,
    expanding,
    parts_of,
    with_forerunners,
)
from pipeline.models import (
    NO_OPTIONS,
    AgentOutput,
    AgentSpec,
    AgentState,
    Mode,
    OnFailure,
    RunOptions,
    RunSpec,
    Settlement,
    family,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Agents in roster order and the edges between them, valid by construction (`make_plan`).

    `agents` are those of now; `roster` is what they grew from and `growth` says how.
    """

    agents: tuple[AgentSpec, ...]
    phases: tuple[str, ...]
    mode: Mode
    switches: Mapping[str, bool]  # phase → parallel; only phases that have a switch
    order_edges: frozenset[tuple[str, str]]  # (before, after)
    options: RunOptions = NO_OPTIONS
    roster: tuple[AgentSpec, ...] = ()
    growth: Mapping[str, Parts] = field(default_factory=dict)  # whose outline → parts
    # worked out once per plan: `ready` asks for all of them whenever an agent settles
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    data_edges: frozenset[tuple[str, str]] = field(init=False, repr=False, compare=False)
    _before: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(agent.name for agent in self.agents)
        data_edges = frozenset((need.agent, a.name) for a in self.agents for need in a.needs)
        before: dict[str, set[str]] = {name: set() for name in names}
        for first, after in self.order_edges | data_edges:
            before[after].add(first)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "data_edges", data_edges)
        object.__setattr__(self, "_before", {n: frozenset(b) for n, b in before.items()})

    def agent(self, name: str) -> AgentSpec:
        for agent in self.agents:
            if agent.name == name:
                return agent
        raise PlanError(f"Agent `{name}` is not in the plan.", f"Known: {', '.join(self.names)}.")

    @property
    def outliner(self) -> str:
        """Whose output holds the outline of the article; empty when nobody makes one."""
        return next(
            (a.name for a in self.agents if a.output and OUTLINE in a.output.model_fields), ""
        )

    def in_phase(self, phase: str) -> tuple[AgentSpec, ...]:
        return tuple(agent for agent in self.agents if agent.phase == phase)

    def predecessors(self, name: str) -> frozenset[str]:
        """Everything `name` waits for, over both kinds of edges."""
        return self._before.get(name, frozenset())

    def grown_by(self, agent: str, parts: Parts, started: Set[str] = frozenset()) -> Plan:
        """The plan after the outline of `agent` has settled; what grew from it before is replaced.

        Everything else keeps its name, and whoever needed an expanded agent needs its join.
        Raises `PlanError` when an agent that would change is among the `started` ones.
        """
        for late in self.changed_by(agent):
            if late in started:
                raise PlanError(
                    f"The plan cannot grow by `{agent}` any more: `{late}` has started.",
                    f"Let `{late}` need `{agent}`.",
                )
        growth = {**self.growth, agent: parts}
        return _plan(self.roster, self.mode, self.switches, self.options, growth)

    def changed_by(self, agent: str) -> tuple[str, ...]:
        """The agents that growth by `agent` gives parts to, or replaces, in roster order."""
        changing = {a.name for a in self._expanding_by(agent)}
        return tuple(a.name for a in self.agents if family(a.name) in changing)

    def growth_by(self, agent: str, output: AgentOutput) -> Parts | None:
        """What the plan grows by when `agent` settles with `output`; None when it never does."""
        return parts_of(output) if self._expanding_by(agent) else None

    def foreseen(self) -> tuple[AgentSpec, ...]:
        """An example of every agent there may be later, for checks before the first call."""
        growth = dict.fromkeys(_outliners(self.roster, self.options), SPECIMEN)
        return expanded(self.roster, self.options, growth)

    def _expanding_by(self, agent: str) -> list[AgentSpec]:
        return [
            a
            for a in expanding(self.roster, self.options)
            if a.expansion is not None and a.expansion.by == agent
        ]


def switchable_phases(
    roster: Sequence[AgentSpec], options: RunOptions = NO_OPTIONS
) -> tuple[str, ...]:
    """Phases with more than one agent, now or when the plan has grown, in order."""
    agents = with_forerunners(roster, options)
    growing = {agent.phase for agent in expanding(agents, options)}
    return tuple(
        phase
        for phase in phases_of(agents)
        if phase in growing or sum(a.phase == phase for a in agents) > 1
    )


def phases_of(roster: Sequence[AgentSpec]) -> tuple[str, ...]:
    """Phase names in the order in which the roster first names them."""
    return tuple(dict.fromkeys(agent.phase for agent in roster))


def make_plan(
    roster: Sequence[AgentSpec],
    mode: Mode,
    switches: Mapping[str, bool] | None = None,
    options: RunOptions = NO_OPTIONS,
) -> Plan:
    """Build and check the plan, and what it may grow into. Switches left out are on.

    Raises `PlanError`, naming both agents, for a duplicate agent, a missing need, a phase that
    the roster leaves and re-enters, an unknown switch, or a cycle over both kinds of edges.
    """
    return _made(tuple(roster), mode, frozenset((switches or {}).items()), options)


@lru_cache(maxsize=64)  # most runs of a process ask for one of a few plans, which never change
def _made(
    roster: tuple[AgentSpec, ...],
    mode: Mode,
    wanted: frozenset[tuple[str, bool]],
    options: RunOptions,
) -> Plan:
    switches = dict(wanted)
    agents = with_forerunners(roster, options)
    _check_speculation(agents, mode)
    switchable = switchable_phases(roster, options)
    for phase in switches:
        if phase not in switchable:
            raise PlanError(
                f"Phase `{phase}` has no switch.",
                f"Phases that can run in parallel: {', '.join(switchable)}.",
            )
    effective = {
        phase: mode is not Mode.SEQUENTIAL and switches.get(phase, True) for phase in switchable
    }
    plan = _plan(agents, mode, effective, options, {})
    _check_growth(plan)
    if options.approve_outline and not plan.outliner:
        raise PlanError(
            "No agent of this plan makes an outline that could be approved.",
            "Switch the approval off, or let an agent's output have a field `outline`.",
        )
    return plan


def grown_plan(roster: Sequence[AgentSpec], spec: RunSpec, events: Iterable[AnyEvent] = ()) -> Plan:
    """The plan of a run as its facts left it: what readers of stored and running runs use."""
    plan = make_plan(roster, spec.mode, spec.switches, spec.options)
    for event in events:
        if event.kind == "plan_grown":  # by kind: classes are imported anew on hot reload
            plan = regrown(plan, event)  # type: ignore[arg-type]
    return plan


def regrown(plan: Plan, event: PlanGrown) -> Plan:
    """The plan after one fact of growth, whenever it happened."""
    return plan.grown_by(event.agent, tuple(tuple(positions) for positions in event.parts))


def _plan(
    roster: tuple[AgentSpec, ...],
    mode: Mode,
    switches: Mapping[str, bool],
    options: RunOptions,
    growth: Mapping[str, Parts],
) -> Plan:
    agents = expanded(roster, options, growth)
    phases = phases_of(agents)
    _check_roster(agents, phases)
    edges = frozenset(_order_edges(agents, phases, mode, switches))
    plan = Plan(agents, phases, mode, switches, edges, options, roster, growth)
    _check_acyclic(plan)
    return plan


def _outliners(roster: Sequence[AgentSpec], options: RunOptions) -> tuple[str, ...]:
    """Whose outlines let the plan grow."""
    return tuple(dict.fromkeys(a.expansion.by for a in expanding(roster, options) if a.expansion))


def _check_speculation(agents: Sequence[AgentSpec], mode: Mode) -> None:
    early = next((agent for agent in agents if agent.forerunner_of), None)
    if early is not None and mode is Mode.SEQUENTIAL:
        raise PlanError(
            f"`{early.name}` works ahead while others do, and in sequential mode nobody does.",
            "Choose another mode, or switch speculative research off.",
        )


def _check_growth(plan: Plan) -> None:
    """Whoever expands waits for the outline it expands by, and the grown plan is valid too."""
    grown = plan
    for by in _outliners(plan.roster, plan.options):
        for agent in plan._expanding_by(by):
            if by not in plan.names or agent.name not in dependants(plan, by):
                raise PlanError(
                    f"Agent `{agent.name}` expands by the outline of `{by}` but does not need it.",
                    f"Add `{by}` to the needs of `{agent.name}`.",
                )
            if agent.output is not None:
                raise PlanError(
                    f"Agent `{agent.name}` cannot expand: code joins texts, and it gives fields.",
                    "Drop its `expansion`, or its `output`.",
                )
        grown = grown.grown_by(by, SPECIMEN)


def _check_roster(roster: Sequence[AgentSpec], phases: Sequence[str]) -> None:
    if not roster:
        raise PlanError("The plan has no agents.", "Add at least one entry to the roster.")
    names = [agent.name for agent in roster]
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"Agent `{name}` stands in the roster twice.", "Rename one of them.")
    for agent in roster:
        for need in agent.needs:
            if need.agent not in names:
                raise PlanError(
                    f"Agent `{agent.name}` needs `{need.agent}`, which is not in the plan.",
                    f"Add `{need.agent}`, or drop it from the needs of `{agent.name}`.",
                )
    order = [phases.index(agent.phase) for agent in roster]
    for position, (before, after) in enumerate(itertools.pairwise(order)):
        if after < before:
            raise PlanError(
                f"Agent `{names[position + 1]}` returns to phase `{roster[position + 1].phase}` "
                f"after `{names[position]}` has begun a later one.",
                "Keep the agents of a phase together in the roster.",
            )


def _order_edges(
    roster: Sequence[AgentSpec],
    phases: Sequence[str],
    mode: Mode,
    parallel: Mapping[str, bool],
) -> Iterable[tuple[str, str]]:
    if mode is Mode.SEQUENTIAL:
        yield from _chain(roster)
        return
    groups = [[agent for agent in roster if agent.phase == phase] for phase in phases]
    for phase, group in zip(phases, groups, strict=True):
        if not parallel.get(phase, True):
            yield from _chain(group)
    if mode is Mode.PHASES:
        for before, after in itertools.pairwise(groups):
            yield from ((b.name, a.name) for b in before for a in after)


def _chain(agents: Sequence[AgentSpec]) -> Iterable[tuple[str, str]]:
    yield from ((b.name, a.name) for b, a in itertools.pairwise(agents))


def _check_acyclic(plan: Plan) -> None:
    sorter = TopologicalSorter({name: plan.predecessors(name) for name in plan.names})
    try:
        sorter.prepare()
    except CycleError as error:
        first, second = error.args[1][:2]
        raise PlanError(
            f"Agents `{first}` and `{second}` wait for each other.",
            "Drop one of the needs, or place the needed agent earlier in the roster.",
        ) from error


def ready(
    plan: Plan, settled: Mapping[str, Settlement], started: Set[str] = frozenset()
) -> tuple[str, ...]:
    """Agents that may start now: all their predecessors have settled. In roster order."""
    return tuple(
        name
        for name in plan.names
        if name not in started and name not in settled and plan.predecessors(name) <= settled.keys()
    )


def missing_need(agent: AgentSpec, settled: Mapping[str, Settlement]) -> str:
    """Say why `agent` cannot work with what settled; empty when it can.

    A required need must have a value; of the `any` needs at least one must have one that is not
    empty.
    """
    for need in agent.needs:
        if need.kind == "required" and not _has_value(need.agent, settled):
            return f"`{need.agent}` gave no result"
    group = [need.agent for need in agent.needs if need.kind == "any"]
    if group and not any(_has_value(n, settled) and not settled[n].empty for n in group):
        return f"none of {', '.join(f'`{name}`' for name in group)} gave a result"
    return ""


def _has_value(name: str, settled: Mapping[str, Settlement]) -> bool:
    settlement = settled.get(name)
    return settlement is not None and settlement.has_value


def waiting_for(plan: Plan, name: str, settled: Set[str]) -> tuple[str, ...]:
    """The predecessors `name` still waits for, in roster order."""
    before = plan.predecessors(name)
    return tuple(n for n in plan.names if n in before and n not in settled)


def dependants(plan: Plan, name: str) -> tuple[str, ...]:
    """All agents that depend on `name` over data edges, directly or not, in roster order."""
    found = {name}
    for agent in _topological(plan, plan.data_edges):
        if any(before in found for before, after in plan.data_edges if after == agent):
            found.add(agent)
    return tuple(n for n in plan.names if n in found and n != name)


def critical_path(
    plan: Plan, durations_s: Mapping[str, float], *, data_only: bool = False
) -> tuple[str, ...]:
    """The chain of agents that sets the makespan, first to last.

    `durations_s` has an entry for every agent, in seconds; raises `PlanError` when one is
    missing. `data_only` leaves the order edges out: the chain behind the bound. Ties go to
    roster order. Method: longest path in a DAG (critical path method), O(agents + edges).
    """
    edges = plan.data_edges if data_only else plan.data_edges | plan.order_edges
    finish: dict[str, float] = {}
    via: dict[str, str | None] = {}
    for name in _topological(plan, edges):
        if name not in durations_s:
            raise PlanError(f"Agent `{name}` has no duration.", "Give one duration per agent.")
        before = [n for n in plan.names if (n, name) in edges]
        last = max(before, key=lambda n: finish[n], default=None)
        via[name] = last
        finish[name] = durations_s[name] + (finish[last] if last else 0.0)
    chain: list[str] = []
    step: str | None = max(plan.names, key=lambda n: finish[n])
    while step:
        chain.append(step)
        step = via[step]
    return tuple(reversed(chain))


def bound_s(plan: Plan, durations_s: Mapping[str, float]) -> float:
    """The least makespan any schedule of this plan can reach, in seconds (data edges only)."""
    return sum(durations_s[n] for n in critical_path(plan, durations_s, data_only=True))


def remaining_paths(plan: Plan, durations_s: Mapping[str, float]) -> dict[str, float]:
    """For each agent: how long the plan still takes from its start on, along the longest path.

    Over both kinds of edges, the agent itself included. The gate's order inside a run, and the
    simulator's. O(agents + edges).
    """
    after: dict[str, list[str]] = {name: [] for name in plan.names}
    for before, name in plan.data_edges | plan.order_edges:
        after[before].append(name)
    paths: dict[str, float] = {}

    def path(name: str) -> float:
        if name not in paths:
            rest = max((path(later) for later in after[name]), default=0.0)
            paths[name] = durations_s[name] + rest
        return paths[name]

    for name in reversed(plan.names):  # roster order is nearly topological: little recursion
        path(name)
    return paths


def _topological(plan: Plan, edges: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Names so that every edge points forward; roster order among the unrelated."""
    edges = frozenset(edges)
    sorter = TopologicalSorter({n: {b for b, a in edges if a == n} for n in plan.names})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        group = sorted(sorter.get_ready(), key=plan.names.index)
        order.extend(group)
        sorter.done(*group)
    return tuple(order)


def settle(
    agent: AgentSpec,
    outcome: AgentOutput | GantryError,
    substitute: AgentOutput | None = None,
    *,
    empty: bool = False,
) -> Settlement:
    """What an agent's outcome means for the plan: a value, a substitute, absent, or stop.

    `substitute` is what code can put in the place of an agent that failed for good; without one
    such an agent is absent. Fallbacks are settlements, never edges.
    """
    if isinstance(outcome, AgentOutput):  # marked by a join that had to keep a draft
        state = AgentState.SUBSTITUTED if outcome.mark else AgentState.DONE
        return Settlement(agent.name, state, outcome, mark=outcome.mark, empty=empty)
    error = str(outcome)
    if agent.on_failure is OnFailure.STOP or isinstance(outcome, BudgetExceeded):
        return Settlement(agent.name, AgentState.FAILED, error=error)
    if agent.on_failure is OnFailure.SUBSTITUTE and substitute is not None:
        return Settlement(
            agent.name, AgentState.SUBSTITUTED, substitute, mark=substitute.mark, error=error
        )
    if agent.forerunner_of:  # whom it ran ahead of does the whole work: nothing is missing
        return Settlement(agent.name, AgentState.ABSENT, error=error)
    mark = f"{agent.title} is missing: {outcome.message}"
    return Settlement(agent.name, AgentState.ABSENT, mark=mark, error=error)
