"""Turn a run's timing into bars: what is drawn where. `gantt.py` draws them with Plotly.

Pure. Bars are in the run's own time: seconds since it started, without the pauses between its
epochs, so that a run continued the next morning can still be read and chart, clock, cards and
tables agree. The live view draws the same bars from the same functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.plan import Plan
from pipeline.spans import Gap, Segment, Span, ToolSpan
from pipeline.timing import AgentTiming, RunTiming

LABEL_CHARS = 17

# One colour per phase, in order; told apart on white and on near black. None is red: red is what
# failed or was discarded.
PHASE_PALETTE = (
    "#6E6ADE",  # indigo
    "#12A594",  # teal
    "#8A6040",  # brown
    "#E5A000",  # amber
    "#0091FF",  # blue
    "#C252C6",  # magenta
    "#6BA539",  # green
    "#B9745A",  # clay
    "#7C8AA5",  # slate
)


# What each kind of time is called, in every chart: live (gantt.js), finished and exported.
SEGMENT_WORDS: Mapping[Segment, str] = {
    Segment.WAITING: "waiting for inputs",
    Segment.ADMISSION: "waiting for admission",
    Segment.BACKOFF: "backing off",
    Segment.FIRST_TOKEN: "time to first token",
    Segment.GENERATION: "generation",
    Segment.TOOLS: "tools",
}
DISCARDED_WORD = "discarded"


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of one agent's row. `used` is false for discarded work, `open` while it grows."""

    agent: str
    phase: str
    segment: Segment
    start_s: float
    end_s: float
    call: int = 0
    attempt: int = 0
    used: bool = True
    open: bool = False
    in_service: bool = False

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class ToolBar:
    """One call of a tool, over the tools piece of its agent's row.

    Calls that ran side by side share the row's height: `lane` counts from 0, of `lanes`.
    """

    agent: str
    phase: str
    number: int
    tool: str
    start_s: float
    end_s: float
    lane: int
    lanes: int
    open: bool = False
    used: bool = True
    failed: bool = False
    passages: int = 0

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class StripBar:
    """An agent's share of the sequential strip."""

    agent: str
    phase: str
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class GapMark:
    """Where a pause is marked in the run's own time, and how long it was."""

    at_s: float
    duration_s: float


class ChartClock:
    """From seconds since the run first started to the run's own time, in which pauses do not count."""

    def __init__(self, gaps: Iterable[Gap] = ()) -> None:
        self._gaps = tuple(gaps)

    def at(self, at_s: float) -> float:
        """The run's own time at `at_s`. During a pause it stands still."""
        return at_s - sum(max(0.0, min(at_s, g.end_s) - g.start_s) for g in self._gaps)

    def or_none(self, at_s: float | None) -> float | None:
        return None if at_s is None else self.at(at_s)

    @property
    def paused_s(self) -> float:
        """All pauses together."""
        return sum(gap.duration_s for gap in self._gaps)

    def marks(self) -> tuple[GapMark, ...]:
        return tuple(GapMark(self.at(gap.start_s), gap.duration_s) for gap in self._gaps)


def bars_of(phase: str, spans: Iterable[Span], clock: ChartClock) -> list[Bar]:
    """One agent's spans as bars."""
    return [
        Bar(
            agent=span.agent,
            phase=phase,
            segment=span.segment,
            start_s=clock.at(span.start_s),
            end_s=clock.at(span.end_s),
            call=span.call,
            attempt=span.attempt,
            used=span.used,
            open=span.open,
            in_service=span.in_service,
        )
        for span in spans
    ]


def gantt_bars(timing: RunTiming) -> list[Bar]:
    """All bars of a run, agent by agent in roster order, each agent's in order of time."""
    clock = ChartClock(timing.gaps)
    return [bar for agent in timing.agents for bar in bars_of(agent.phase, agent.spans, clock)]


def tool_bars(timing: RunTiming) -> list[ToolBar]:
    """All calls of tools in a run, agent by agent."""
    clock = ChartClock(timing.gaps)
    return [
        bar
        for agent in timing.agents
        for bar in tool_bars_of(agent.phase, agent.tools, clock, timing.horizon_s)
    ]


def tool_bars_of(
    phase: str, tools: Iterable[ToolSpan], clock: ChartClock, now_s: float
) -> list[ToolBar]:
    """One agent's calls of tools as bars; what still runs reaches `now_s`.

    Each goes into the first lane that is free when it begins (interval partitioning); calls that
    touch one another, directly or through others, share one number of lanes.
    """
    bars: list[ToolBar] = []
    together: list[ToolBar] = []
    free_s: list[float] = []  # when each lane is free again
    for tool in sorted(tools, key=lambda one: (one.start_s, one.number)):
        if together and tool.start_s >= max(free_s):
            bars += [replace(bar, lanes=len(free_s)) for bar in together]
            together, free_s = [], []
        end_s = max(tool.start_s, now_s if tool.end_s is None else tool.end_s)
        lane = next((n for n, at in enumerate(free_s) if at <= tool.start_s), len(free_s))
        free_s[lane : lane + 1] = [end_s]
        together.append(
            ToolBar(
                agent=tool.agent,
                phase=phase,
                number=tool.number,
                tool=tool.tool,
                start_s=clock.at(tool.start_s),
                end_s=clock.at(end_s),
                lane=lane,
                lanes=1,
                open=tool.end_s is None,
                used=tool.used,
                failed=bool(tool.error),
                passages=tool.passages,
            )
        )
    return bars + [replace(bar, lanes=len(free_s)) for bar in together]


def tool_result_words(passages: int, error: str) -> str:
    """What a call of a tool brought, e.g. `5 passages`."""
    if error:
        return "failed"
    return f"{passages} {'passage' if passages == 1 else 'passages'}"


def strip_bars(timing: RunTiming) -> list[StripBar]:
    """The agents one after another: replayed end to end, or as they ran when that was measured."""
    bars: list[StripBar] = []
    end_s = 0.0
    for agent in timing.agents:
        if timing.sequential_kind == "measured":
            settled_s = end_s if agent.finished_s is None else agent.finished_s
            length_s = settled_s - end_s
        else:
            length_s = agent.service_s
        if length_s > 0:
            bars.append(StripBar(agent.agent, agent.phase, end_s, length_s))
            end_s += length_s
    return bars


def phase_colours(plan: Plan) -> dict[str, str]:
    """Phase → colour, in the order of the plan; colours repeat when there are many phases."""
    return {phase: PHASE_PALETTE[i % len(PHASE_PALETTE)] for i, phase in enumerate(plan.phases)}


def row_labels(plan: Plan) -> dict[str, str]:
    """Agent → a label that fits beside a row on a phone: its title, or its name when shorter."""
    return {agent.name: _label(agent.name, agent.title) for agent in plan.agents}


def _label(name: str, title: str) -> str:
    spoken = _spoken(name)
    label = min((title, spoken), key=len) if len(title) > LABEL_CHARS else title
    return label if len(label) <= LABEL_CHARS else f"{label[: LABEL_CHARS - 1].rstrip()}…"


def _spoken(name: str) -> str:
    """`kb_researcher` → `KB researcher`."""
    first, *rest = name.split("_")
    return " ".join([first.upper() if len(first) <= 2 else first.capitalize(), *rest])


def axis_end_s(timing: RunTiming) -> float:
    """How far the axis must reach: the run, the strip and the bound, whichever is longest."""
    drawn_s = ChartClock(timing.gaps).at(timing.horizon_s)
    return max(drawn_s, timing.sequential_s, timing.bound_s or 0.0, 0.001)


def gap_lanes(timing: RunTiming) -> list[str]:
    """For each pause the agent in whose row its label stands: right of the pause, clear of bars.

    That is an agent which had finished by then, the first without another pause's label; else the one
    whose work is farthest from the label.
    """
    bars = [bar for bar in gantt_bars(timing) if bar.segment is not Segment.WAITING]
    lanes: list[str] = []
    for mark in ChartClock(timing.gaps).marks():
        names = [agent.agent for agent in timing.agents]
        free = [name for name in names if name not in lanes] or names
        room = {name: _room_right_of(mark.at_s, name, bars) for name in free}
        lanes.append(max(free, key=room.__getitem__))
    return lanes


def _room_right_of(at_s: float, agent: str, bars: Iterable[Bar]) -> float:
    """Seconds from `at_s` to the agent's next work; without end when there is none."""
    later = (bar for bar in bars if bar.agent == agent and bar.end_s > at_s)
    return min((max(0.0, bar.start_s - at_s) for bar in later), default=float("inf"))


def legend_segments(bars: Sequence[Bar]) -> list[Segment]:
    """The kinds of time that occur, in the order in which an agent goes through them."""
    present = {bar.segment for bar in bars if bar.duration_s > 0}
    return [segment for segment in Segment if segment in present]


def origin_words(agent: AgentTiming) -> str:
    """Whose an output is that this run's agent did not write; empty for the others."""
    return "edited by you" if agent.edited else "taken over" if agent.taken_over else ""


def said_s(seconds: float) -> str:
    """`0.4 s`, `12.3 s`, `2 min 05 s`, `7 h 58 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
