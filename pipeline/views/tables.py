"""A run's figures as rows and sentences for people; the accessible twin of the Gantt.

Pure. Column heads are the keys of the rows, so any table widget can show them. Numbers stay
numbers, in seconds with two decimals; None is "did not happen" or "not told", never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.costs import RunCost
from pipeline.events import AnyEvent, ModelFellBack
from pipeline.models import AgentState
from pipeline.timing import AgentTiming, PhaseTiming, RunTiming
from pipeline.views.bars import ChartClock, origin_words, said_s

Row = dict[str, str | float | int | None]
Kind = Literal["measured", "replayed", "bound"]

CONTENTION = (
    "Calls that run side by side share the provider, so a parallel run can stretch single calls; "
    "replayed figures take each call as long as it was in this run."
)
DERIVED = "This run began with agents of an earlier run: all figures are of what ran here."
_EXPLAINED: dict[Kind, str] = {
    "measured": "Measured: taken from the clock of this run.",
    "replayed": "Replayed: this run's own calls, laid end to end without the waits.",
    "bound": "Bound: the longest chain of agents that need each other; no schedule is shorter.",
}
_STATE_WORDS = {
    AgentState.DONE: "done",
    AgentState.SUBSTITUTED: "replaced by code",
    AgentState.ABSENT: "left out",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """One number above the chart. `value_s` None: there is none, and `note` says why."""

    key: str
    label: str
    kind: Kind
    value_s: float | None
    share: float | None = None
    note: str = ""


def agent_rows(timing: RunTiming) -> list[Row]:
    """One row per agent, in roster order. The six kinds of time add up to *Total*.

    *Started* is in the run's own time: pauses do not count, as in every other column.
    """
    return [_agent_row(agent, timing) for agent in timing.agents]


def _agent_row(agent: AgentTiming, timing: RunTiming) -> Row:
    segments = agent.segments
    return {
        "Agent": agent.title,
        "Phase": agent.phase,
        "State": state_words(agent, timing),
        "Started (s)": _rounded(ChartClock(timing.gaps).or_none(agent.started_s)),
        "Waited for inputs (s)": _rounded(segments.waiting_s),
        "Admission (s)": _rounded(segments.admission_s),
        "Backoff (s)": _rounded(segments.backoff_s),
        "First token (s)": _rounded(segments.first_token_s),
        "Generation (s)": _rounded(segments.generation_s),
        "Tools (s)": _rounded(segments.tools_s),
        "Total (s)": _rounded(segments.total_s),
        "Service (s)": _rounded(agent.service_s),
        "Input tokens": agent.usage.input_tokens,
        "Output tokens": agent.usage.output_tokens,
        "Attempts": agent.attempts,
        "Critical path": "yes" if agent.agent in timing.critical else "",
    }


def state_words(agent: AgentTiming, timing: RunTiming) -> str:
    """How the agent stands, or how it ended; who never came to work has not been cancelled at it."""
    if not agent.state.is_final and not timing.running:
        return "not started" if agent.ready_s is None else "interrupted"
    words = _STATE_WORDS.get(agent.state, agent.state.value)
    if agent.edited:
        return origin_words(agent)
    return f"{words}, {origin_words(agent) or 'kept'}" if agent.reused else words


def agent_line(agent: AgentTiming, timing: RunTiming) -> str:
    """One agent in a line: how it ended and its service time, where it has one."""
    words = f"{agent.title}: {state_words(agent, timing)}"
    return f"{words}, service time {said_s(agent.service_s)}" if agent.service_s > 0 else words


def speculation_line(timing: RunTiming) -> str:
    """What speculation brought and what it cost, in one sentence; empty without any."""
    agent = next((agent for agent in timing.agents if agent.speculation), None)
    if agent is None or agent.speculation is None:
        return ""
    judged = agent.speculation
    line = (
        f"{agent.title}: {judged.kept} of {judged.findings} findings stand in the final ones, "
        f"{judged.wasted_share:.0%} wasted"
    )
    if judged.wasted_tokens is not None:
        line += f", about {judged.wasted_tokens:,} of {judged.output_tokens:,} output tokens"
    return f"{line} (estimated by the share of findings; it counts as service by the same share)."


def phase_rows(timing: RunTiming) -> list[Row]:
    """One row per phase: the proof of what overlapped."""
    return [
        {
            "Phase": phase.phase,
            "Wall (s)": _rounded(phase.wall_s),
            "Summed (s)": _rounded(phase.summed_s),
            "Overlap (%)": round(100 * phase.overlap_share)
            if _side_by_side(phase, timing)
            else None,
            "Peak in flight": phase.peak_in_flight,
        }
        for phase in timing.phases
    ]


def _side_by_side(phase: PhaseTiming, timing: RunTiming) -> bool:
    """True when there was anything that could have overlapped."""
    return sum(a.service_s > 0 for a in timing.agents if a.phase == phase.phase) > 1


def headlines(timing: RunTiming) -> tuple[Headline, ...]:
    """The four numbers of a run, each with its kind."""
    return (
        Headline("makespan", "This run", "measured", timing.makespan_s, note=_run_note(timing)),
        Headline("sequential", "One after another", timing.sequential_kind, timing.sequential_s),
        Headline(
            "bound",
            "Least possible",
            "bound",
            timing.bound_s,
            note="" if timing.bound_s is not None else "Known when every agent has settled.",
        ),
        Headline(
            "saved",
            "Saved" if timing.saved_s is None or timing.saved_s >= 0 else "Lost",
            timing.sequential_kind,
            None if timing.saved_s is None else abs(timing.saved_s),
            None if timing.saved_share is None else abs(timing.saved_share),
            _saved_note(timing),
        ),
    )


def _run_note(timing: RunTiming) -> str:
    if timing.running:
        return "The run goes on."
    notes = ["Pauses are left out."] if timing.gaps else []
    if timing.derived:
        notes.append("Only what ran here.")
    return " ".join(notes)


def _saved_note(timing: RunTiming) -> str:
    if timing.running:
        return "Known when the run has ended."
    if timing.interrupted:
        return "Not given: the run stood still in between."
    if timing.derived:
        return "Not given: the run began with agents of an earlier run."
    if timing.saved_s is None:
        return "Not given: the run did not come to its end."
    if timing.sequential_kind == "measured":
        return "This run was the sequential one."
    return ""


def figure_help(figure: Headline, timing: RunTiming) -> str:
    """What kind of number this is, and what to keep in mind; for who asks about it."""
    parts = [figure.note, _EXPLAINED[figure.kind]]
    if figure.kind == "replayed":
        parts.append(CONTENTION)
    if timing.derived:
        parts.append(DERIVED)
    return " ".join(part for part in parts if part)


def explanations(timing: RunTiming) -> list[str]:
    """One sentence for each kind of number on the page, and what to keep in mind."""
    here = [DERIVED] if timing.derived else []
    if timing.sequential_kind == "replayed":
        return [
            *here,
            _EXPLAINED["measured"],
            _EXPLAINED["replayed"],
            _EXPLAINED["bound"],
            CONTENTION,
        ]
    return [*here, _EXPLAINED["measured"], _EXPLAINED["bound"]]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def fallback_lines(events: Iterable[AnyEvent]) -> list[str]:
    """One sentence per agent whose model failed for good and was replaced; the last one holds."""
    facts = {e.agent: e for e in events if isinstance(e, ModelFellBack)}
    return [
        f"{e.agent} went on with {e.fallback}, because {e.model} failed: {e.error}"
        for e in facts.values()
    ]


def cost_line(cost: RunCost) -> str:
    """Tokens and money of a run in one sentence, with what it rests on."""
    told = f"{cost.input_tokens:,} tokens in and {cost.output_tokens:,} out, as the provider told."
    line = f"Cost: {cost.cost_text}, at list prices of {cost.priced_on}. {told}"
    if cost.micro_usd is None:
        line = f"Cost: {cost.cost_text}. {told}"
    if cost.discarded:
        attempts = "attempt is" if cost.discarded == 1 else "attempts are"
        line += f" {cost.discarded} discarded {attempts} not counted."
    return line
