"""Runs that begin with what another run finished: what they take over, and what would run again.

Pure. A person edits an agent's output, adds to its prompt or asks it again; a new run then begins
with the parent's checkpoints. Which of them it uses is decided by their keys while it runs
(`chat_orchestrator.py`): an agent whose rendered inputs are the same keeps its output, wherever it
stands. The preview renders the same prompts and compares the same keys, so it cannot say less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import TopologicalSorter
from statistics import mean

from pipeline.agents.prompting import checkpoint_key, join_key, user_prompt
from pipeline.agents.roster import ROSTER
from pipeline.errors import SpecError
from pipeline.events import AgentFinished, AnyEvent, CallSent, RunDerived, RunStarted, of_kind
from pipeline.models import (
    ADDITIONS_MAX,
    AgentOutput,
    AgentSpec,
    AgentState,
    Checkpoint,
    RunRecord,
    RunSpec,
    RunStatus,
    chosen_model,
    clean_addition,
    clean_instructions,
    family,
)
from pipeline.plan import Plan, critical_path, dependants, grown_plan
from pipeline.timing import RunTiming, run_timing

COMPLETE = (RunStatus.DONE, RunStatus.DEGRADED)


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person changes of one agent: its output, or its prompt.

    `addition` is what stands at the prompt's end, `instructions` what it is told to do. None leaves
    what was written before, "" takes it back. All None: it is asked the same again.
    """

    output: AgentOutput | None = None
    addition: str | None = None
    instructions: str | None = None

    @property
    def changes_prompt(self) -> bool:
        return bool(self.addition or self.instructions)


Edits = Mapping[str, Edit]


@dataclass(frozen=True)
class Parent:
    """The run that a derived one begins with."""

    run: RunRecord
    events: Sequence[AnyEvent]
    checkpoints: Mapping[str, Checkpoint]
    roster: Sequence[AgentSpec] = ROSTER

    @cached_property
    def plan(self) -> Plan:
        return grown_plan(self.roster, self.run.spec, self.events)

    @cached_property
    def timing(self) -> RunTiming:
        return run_timing(self.plan, self.events)

    @cached_property
    def derived(self) -> RunDerived | None:
        return derived_from(self.events)

    @cached_property
    def models(self) -> dict[str, str]:
        """The model each finished agent was asked with, as far as it is known."""
        asked = models_asked(self.events)
        pinned = self.run.spec.agent_models
        known = {n: asked.get((n, c.epoch), pinned.get(n, "")) for n, c in self.checkpoints.items()}
        return {name: model for name, model in known.items() if model}

    @cached_property
    def took_s(self) -> dict[str, float]:
        """Measured service times, in seconds; those of agents taken over from its own parent too."""
        own = {
            agent.agent: agent.service_s
            for agent in self.timing.agents
            if agent.service_s > 0 and not agent.reused
        }
        return {**(self.derived.took_s if self.derived else {}), **own}

    @cached_property
    def absent(self) -> dict[str, str]:
        """Agents that were left out in the end, with their marks. Parts are tried again anyway."""
        last = {event.agent: event for event in of_kind(self.events, AgentFinished)}
        return {
            name: event.mark
            for name, event in last.items()
            if event.state == AgentState.ABSENT.value
            and name in self.plan.names
            and self.plan.agent(name).part is None
        }


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a derived run begins: what is asked, the checkpoints on offer, and the fact that says so."""

    spec: RunSpec
    offered: tuple[Checkpoint, ...]
    fact: RunDerived


@dataclass(frozen=True, slots=True)
class Preview:
    """What would run again. Names are in the order of `plan`.

    `will`: their inputs certainly change, or they have no result yet. `may`: they are behind those
    and keep theirs when what they get turns out the same. `sections_open`: an agent that outlines
    runs again, so there may be more or fewer sections. Estimates are of all that may run, from
    times and tokens of earlier runs; `unmeasured` have none.
    """

    plan: Plan
    edited: tuple[str, ...]
    will: tuple[str, ...]
    may: tuple[str, ...]
    sections_open: bool
    time_s: float
    tokens: int
    unmeasured: tuple[str, ...]

    @property
    def runs(self) -> frozenset[str]:
        return frozenset((*self.will, *self.may))

    def covers(self, agent: str) -> bool:
        """True when the preview foresees that `agent` is asked."""
        return agent in self.runs or (self.sections_open and family(agent) != agent)


def derived_from(events: Sequence[AnyEvent]) -> RunDerived | None:
    """Where a run came from, as a fact; None for one that began with nothing."""
    return next(of_kind(events, RunDerived), None)


def run_date(events: Sequence[AnyEvent]) -> str:
    """The day the prompts of a run name, ISO 8601: that of its first start, or of its parent's."""
    if derived := derived_from(events):
        return derived.date
    first = next(of_kind(events, RunStarted), None)
    return first.wall_at[:10] if first else ""


def models_asked(events: Iterable[AnyEvent]) -> dict[tuple[str, int], str]:
    """(agent, epoch) → the model its first call asked: the one its checkpoint is keyed by."""
    asked: dict[tuple[str, int], str] = {}
    for event in of_kind(events, CallSent):
        if event.request_model:
            asked.setdefault((event.agent, event.epoch), event.request_model)
    return asked


def is_empty(output: AgentOutput) -> bool:
    """True for a researcher's answer without findings."""
    return output.data is not None and output.data.get("findings") == []


def derive(parent: Parent, edits: Edits) -> Derivation:
    """How the run begins that `edits` ask for.

    Raises `SpecError` when an agent is not in the plan, or cannot be edited so.
    """
    for name, edit in edits.items():
        _check(parent, name, edit)
    spec = parent.run.spec
    added = {name: edit.addition for name, edit in edits.items()}
    told = {name: edit.instructions for name, edit in edits.items()}
    spec = spec.model_copy(
        update={
            "prompt_additions": _changed(spec.prompt_additions, added, clean_addition),
            "prompt_instructions": _changed(spec.prompt_instructions, told, clean_instructions),
            "agent_models": {**spec.agent_models, **parent.models},
            "outline_approved": _is_approved(parent, edits),
        }
    )
    fact = RunDerived(
        epoch=0,
        seq=1,
        at_s=0.0,
        parent=parent.run.id,
        date=run_date(parent.events),
        edited=[name for name, edit in edits.items() if edit.output is not None],
        again=[name for name, edit in edits.items() if edit.output is None],
        absent=_kept_absent(parent, edits),
        took_s={name: round(seconds, 3) for name, seconds in parent.took_s.items()},
    )
    return Derivation(spec, tuple(_offered(parent, edits)), fact)


def _changed(
    before: Mapping[str, str], edits: Mapping[str, str | None], clean: Callable[[str], str]
) -> dict[str, str]:
    """What is written for each agent after `edits`: None leaves it, "" takes it back."""
    texts = {name: text for name, text in before.items() if edits.get(name) is None}
    texts |= {name: clean(text) for name, text in edits.items() if text}
    if len(texts) > ADDITIONS_MAX:
        raise SpecError(
            f"The prompts of {len(texts)} agents are changed; the limit is {ADDITIONS_MAX}.",
            "Take one back: empty its field.",
        )
    return texts


def edited_checkpoint(checkpoint: Checkpoint, output: AgentOutput) -> Checkpoint:
    """`checkpoint` with a person's output in it, which stands until a run takes it over."""
    return replace(checkpoint, key="", output=output, state=AgentState.DONE, edited=True)


def _check(parent: Parent, name: str, edit: Edit) -> None:
    if name not in parent.plan.names:
        raise SpecError(
            f"There is no agent `{name}` in this run.", f"Known: {', '.join(parent.plan.names)}."
        )
    agent = parent.plan.agent(name)
    if edit.output is not None and name not in parent.checkpoints:
        raise SpecError(
            f"{agent.title} has no output to edit.", "Add to its prompt, or ask it again."
        )
    if edit.changes_prompt and agent.join is not None:
        raise SpecError(
            f"{agent.title} asks no model here: code joins the sections.",
            "Edit its text, or the prompt of a section.",
        )
    try:
        if edit.addition:
            clean_addition(edit.addition)
        if edit.instructions:
            clean_instructions(edit.instructions)
    except ValueError as error:
        raise SpecError(str(error)) from error


def _is_approved(parent: Parent, edits: Edits) -> bool:
    """True when the outline has been seen by a person: approved before, or edited now."""
    edit = edits.get(parent.plan.outliner)
    if edit is not None:
        return edit.output is not None
    return parent.run.spec.outline_approved


def _kept_absent(parent: Parent, edits: Edits) -> dict[str, str]:
    """Who stays left out: nobody asked for them, and nothing they get has been touched."""
    touched = {*edits, *(after for name in edits for after in dependants(parent.plan, name))}
    kept = {}
    for name, mark in parent.absent.items():
        rests = any(after in parent.checkpoints for after in dependants(parent.plan, name))
        if name not in touched and (rests or parent.run.status in COMPLETE):
            kept[name] = mark
    return kept


def _offered(parent: Parent, edits: Edits) -> Iterable[Checkpoint]:
    for name, checkpoint in parent.checkpoints.items():
        edit = edits.get(name)
        if edit is None:
            yield replace(checkpoint, epoch=0)
        elif edit.output is not None:
            yield replace(edited_checkpoint(checkpoint, edit.output), epoch=0)


def preview(parent: Parent, edits: Edits) -> Preview:
    """What would run again if the run were derived with these edits. Raises as `derive` does."""
    derivation = derive(parent, edits)
    forecast = _Forecast(parent, derivation, _grown(parent.plan, derivation.offered))
    forecast.look()
    plan = forecast.plan
    will = tuple(name for name in plan.names if name in forecast.will)
    may = tuple(name for name in plan.names if name in forecast.may)
    asked = [name for name in (*will, *may) if plan.agent(name).join is None]
    took = {name: _took_s(parent, name) for name in asked}
    durations = {name: took.get(name) or 0.0 for name in plan.names}
    return Preview(
        plan=plan,
        edited=tuple(derivation.fact.edited),
        will=will,
        may=may,
        sections_open=any(name in forecast.unknown for name in plan.growth),
        time_s=sum(durations[name] for name in critical_path(plan, durations)),
        tokens=sum(_tokens(parent, name) for name in asked),
        unmeasured=tuple(name for name in asked if took[name] is None),
    )


def _grown(plan: Plan, offered: Iterable[Checkpoint]) -> Plan:
    """The plan as it grows by the outlines on offer."""
    for checkpoint in offered:
        parts = plan.growth_by(checkpoint.agent, checkpoint.output)
        if parts is not None and parts != plan.growth.get(checkpoint.agent):
            plan = plan.grown_by(checkpoint.agent, parts)
    return plan


@dataclass(slots=True)
class _Forecast:
    """One walk over the plan, agents before those that need them.

    `outputs` are what each would hand on; for those that run again, what they handed on before.
    """

    parent: Parent
    derivation: Derivation
    plan: Plan
    outputs: dict[str, AgentOutput] = field(default_factory=dict)
    will: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)
    unsourced: set[str] = field(default_factory=set)

    @property
    def unknown(self) -> set[str]:
        return self.will | self.may

    def look(self) -> None:
        offered = {checkpoint.agent: checkpoint for checkpoint in self.derivation.offered}
        needs = {agent.name: [need.agent for need in agent.needs] for agent in self.plan.agents}
        for name in TopologicalSorter(needs).static_order():
            self._look_at(self.plan.agent(name), offered.get(name))

    def _look_at(self, agent: AgentSpec, checkpoint: Checkpoint | None) -> None:
        self._note_unsourced(agent)
        before = checkpoint or self.parent.checkpoints.get(agent.name)
        if before is not None:
            self.outputs[agent.name] = before.output
        if checkpoint is None:
            if agent.name not in self.derivation.fact.absent:
                self.will.add(agent.name)
            return
        if checkpoint.stands:
            return
        depends = any(need.agent in self.unknown for need in agent.needs)
        changed = self._key(agent) != checkpoint.key
        # each need has a section of its own, so a change in one stays one; but parts share evidence
        if changed and not (depends and (agent.part is not None or agent.join is not None)):
            self.will.add(agent.name)
        elif depends:
            self.may.add(agent.name)

    def _note_unsourced(self, agent: AgentSpec) -> None:
        """As the run does: without any evidence an agent, and those after it, work unsourced."""
        group = [need.agent for need in agent.needs if need.kind == "any"]
        found = [self.outputs[name] for name in group if name in self.outputs]
        if group and all(is_empty(output) for output in found):
            self.unsourced |= {agent.name, *dependants(self.plan, agent.name)}

    def _key(self, agent: AgentSpec) -> str:
        spec = self.derivation.spec
        inputs = {n.agent: self.outputs[n.agent] for n in agent.needs if n.agent in self.outputs}
        if agent.join is not None:
            return join_key(agent, inputs)
        prompt = user_prompt(
            agent,
            spec,
            inputs,
            date=self.derivation.fact.date,
            unsourced=agent.name in self.unsourced,
        )
        model = chosen_model(agent, spec.agent_models, spec.model)
        return checkpoint_key(agent, model, prompt, spec.prompt_instructions.get(agent.name, ""))


def _took_s(parent: Parent, name: str) -> float | None:
    """How long the agent worked before; a part nobody measured works like its siblings."""
    if name in parent.took_s:
        return parent.took_s[name]
    siblings = [s for n, s in parent.took_s.items() if n != name and family(n) == family(name)]
    return mean(siblings) if siblings and family(name) != name else None


def _tokens(parent: Parent, name: str) -> int:
    checkpoint = parent.checkpoints.get(name)
    usage = checkpoint.usage if checkpoint else None
    return (usage.input_tokens or 0) + (usage.output_tokens or 0) if usage else 0
