"""`plan`: what would run after what, without running it."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from pipeline.agents.roster import ROSTER
from pipeline.cli.brief import run_options, switches_of
from pipeline.cli.console import BAD_USAGE, settings_and_logging, stop
from pipeline.cli.options import (
    ApproveOutline,
    PlanMode,
    SectionEditing,
    SectionWriting,
    SequentialPhases,
    SpeculativeResearch,
)
from pipeline.errors import PlanError, SpecError
from pipeline.models import Mode, RunOptions
from pipeline.plan import Plan, make_plan


def plan(
    mode: PlanMode = Mode.PHASES,
    sequential_phase: SequentialPhases = None,
    section_writing: SectionWriting = False,
    section_editing: SectionEditing = False,
    speculative_research: SpeculativeResearch = False,
    approve_outline: ApproveOutline = False,
) -> None:
    """Print phases, groups, edges, what is off, and what may grow."""
    settings = settings_and_logging()
    try:
        options = run_options(
            section_writing, section_editing, speculative_research, approve_outline
        )
        switches = switches_of(settings, sequential_phase or [], options)
        made = make_plan(ROSTER, mode, switches, options)
    except (SpecError, PlanError) as error:
        stop(error, BAD_USAGE)
    for line in _lines(made, options):
        typer.echo(line)


def _lines(plan: Plan, options: RunOptions) -> Iterator[str]:
    yield f"mode: {plan.mode.value}"
    yield f"options: {', '.join(options.on) or 'none'}"
    for number, phase in enumerate(plan.phases, 1):
        yield f"{number} {phase}: {_members(plan, phase)}"
    yield "data edges:"
    for agent in plan.agents:
        for need in agent.needs:
            yield f"  {need.agent} → {agent.name} ({need.kind})"
    yield "order edges:"
    place = {name: number for number, name in enumerate(plan.names)}
    for before, after in sorted(plan.order_edges, key=lambda e: (place[e[0]], place[e[1]])):
        yield f"  {before} → {after}"
    for agent in plan.agents:
        if agent.expansion and getattr(options, agent.expansion.option):
            yield f"grows: {agent.name} by the outline of {agent.expansion.by}, 3 to 8 parts"
    off = [phase for phase, on in plan.switches.items() if not on]
    yield f"off: {', '.join(off) or 'nothing'}"


def _members(plan: Plan, phase: str) -> str:
    """The agents of a phase, and how they run when there are several."""
    names = [agent.name for agent in plan.in_phase(phase)]
    parallel = plan.switches.get(phase)
    if parallel is None:
        return " → ".join(names)
    if parallel:
        return " ∥ ".join(names) + "   parallel"
    return " → ".join(names) + "   off (one after another)"
