"""Say what a plan becomes under the run's options, and when an outline settles.

Two changes, both declared in the roster and pure here. A *forerunner* joins before the run starts
(`Speculation`): an early researcher that works while the plan is made. *Parts* join while it runs
(`Expansion`): one agent per outline section in front of their join, which keeps the expanded
agent's name, so that nobody who needs its text has to know. `plan.py` draws the edges of what comes
out; when to grow is `chat_orchestrator.py`'s step, and what was grown is a fact (`PlanGrown`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import PlanError
from pipeline.models import (
    AgentOutput,
    AgentSpec,
    Expansion,
    Importance,
    Join,
    Need,
    OnFailure,
    Part,
    RunOptions,
    Speculation,
    part_name,
)

MIN_PARTS, MAX_PARTS = 3, 8
OUTLINE = "outline"  # the field of an agent's output that holds the sections
EARLY = "early"

Parts = tuple[tuple[int, ...], ...]  # for each part, the positions of its sections
SPECIMEN: Parts = ((0,), (1,), (2,))  # the smallest growth: enough to check what may come


def with_forerunners(roster: Iterable[AgentSpec], options: RunOptions) -> tuple[AgentSpec, ...]:
    """The roster under `options`: a forerunner stands last in its phase."""
    agents = list(roster)
    for agent in tuple(agents):
        speculation = agent.speculation
        if speculation is None or not _is_on(speculation.option, agent, options):
            continue
        early = _forerunner(agent, speculation)
        agents[agents.index(agent)] = replace(
            agent,
            prompt_file=speculation.top_up_prompt_file,
            needs=(*agent.needs, Need(early.name, "optional")),
            forerunner=early.name,
        )
        last = max((i for i, a in enumerate(agents) if a.phase == early.phase), default=-1)
        if last < 0:
            raise PlanError(
                f"The forerunner of `{agent.name}` belongs to phase `{early.phase}`, which no "
                "agent has.",
                "Name a phase of the roster.",
            )
        agents.insert(last + 1, early)
    return tuple(agents)


def _forerunner(agent: AgentSpec, speculation: Speculation) -> AgentSpec:
    return replace(
        agent,
        name=part_name(agent.name, EARLY),
        title=speculation.title,
        phase=speculation.phase,
        importance=Importance.OPTIONAL,
        on_failure=OnFailure.ABSENT,
        prompt_file=speculation.prompt_file,
        needs=(),
        model_setting=agent.model_setting or agent.name,
        expansion=None,
        speculation=None,
        forerunner_of=agent.name,
    )


def expanding(roster: Iterable[AgentSpec], options: RunOptions) -> tuple[AgentSpec, ...]:
    """The agents that `options` let expand, in roster order."""
    return tuple(
        agent
        for agent in roster
        if agent.expansion is not None and _is_on(agent.expansion.option, agent, options)
    )


def _is_on(option: str, agent: AgentSpec, options: RunOptions) -> bool:
    if option not in RunOptions.model_fields:
        raise PlanError(
            f"Agent `{agent.name}` names the option `{option}`, which does not exist.",
            f"Options: {', '.join(RunOptions.model_fields)}.",
        )
    return bool(getattr(options, option))


def parts_of(output: AgentOutput) -> Parts:
    """Which sections of its outline go together: each alone, joined to neighbours above eight.

    Empty for an outline of fewer than three sections, which one call writes as well. Joined are
    the neighbours with the least to write.
    """
    sections = (output.data or {}).get(OUTLINE)
    if not isinstance(sections, list) or len(sections) < MIN_PARTS:
        return ()
    parts: list[tuple[int, ...]] = [(position,) for position in range(len(sections))]
    words = [_words(section) for section in sections]
    while len(parts) > MAX_PARTS:
        at = min(range(len(parts) - 1), key=lambda i: words[i] + words[i + 1])
        parts[at : at + 2] = [(*parts[at], *parts[at + 1])]
        words[at : at + 2] = [words[at] + words[at + 1]]
    return tuple(parts)


def _words(section: Any) -> int:
    budget = section.get("word_budget") if isinstance(section, dict) else None
    return budget if isinstance(budget, int) else 0


def expanded(
    roster: Sequence[AgentSpec], options: RunOptions, growth: Mapping[str, Parts]
) -> tuple[AgentSpec, ...]:
    """The roster with everything that has grown: parts stand before their join."""
    grown: list[AgentSpec] = []
    may = {agent.name for agent in expanding(roster, options)}
    for agent in roster:
        expansion = agent.expansion
        positions = growth.get(expansion.by, ()) if expansion and agent.name in may else ()
        if expansion is None or not positions:
            grown.append(agent)
            continue
        parts = [_part(agent, expansion, positions, n) for n in range(1, len(positions) + 1)]
        grown += [*parts, _join(agent, expansion, parts)]
    return tuple(grown)


def _part(agent: AgentSpec, expansion: Expansion, positions: Parts, number: int) -> AgentSpec:
    count = len(positions)
    return replace(
        agent,
        name=part_name(agent.name, number),
        title=expansion.title.format(number=number),
        prompt_file=expansion.prompt_file,
        needs=tuple(
            need for raw in expansion.needs if (need := _numbered(raw, number, count)) is not None
        ),
        facts=("section",),
        max_output_tokens=expansion.max_output_tokens,
        model_setting=agent.model_setting or agent.name,
        expansion=None,
        part=Part(
            of=agent.name,
            by=expansion.by,
            kind=expansion.kind,
            number=number,
            split=positions,
        ),
    )


def _numbered(need: Need, number: int, count: int) -> Need | None:
    """The need of one part; None for a neighbour beyond the first or the last."""
    beyond = ("{before}" in need.agent and number == 1) or (
        "{after}" in need.agent and number == count
    )
    name = need.agent.format(number=number, before=number - 1, after=number + 1)
    return None if beyond else Need(name, need.kind)


def _join(agent: AgentSpec, expansion: Expansion, parts: Sequence[AgentSpec]) -> AgentSpec:
    """The expanded agent as code: it needs its parts, and what they and it cannot do without."""
    required = [need for spec in (agent, *parts) for need in spec.needs if need.kind == "required"]
    own = [raw for raw in expansion.needs if "{number}" in raw.agent]
    drafts = [raw.agent.format(number=n) for raw in own for n in range(1, len(parts) + 1)]
    return replace(
        agent,
        prompt_file="",
        needs=tuple(dict.fromkeys([*required, *(Need(part.name) for part in parts)])),
        tools=(),
        facts=(),
        expansion=None,
        join=Join(
            by=expansion.by,
            parts=tuple(part.part for part in parts if part.part is not None),
            drafts=tuple(drafts),
        ),
    )
