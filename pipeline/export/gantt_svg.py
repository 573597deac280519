"""The Gantt of a finished run as one static SVG: no script, no font, nothing to load.

Drawn from the same spans as every other figure, in the same words and colours: one lane per agent,
colour is the phase, its strength the kind of time, an outline marks the critical path. A strip above
shows the same calls one after another.
"""

from __future__ import annotations

import math

from pipeline.export.rendering import text
from pipeline.timing import AgentTiming, RunTiming, Span
from pipeline.views.bars import (
    DISCARDED_WORD,
    PHASE_PALETTE,
    SEGMENT_WORDS,
    ChartClock,
    origin_words,
    said_s,
    tool_bars_of,
    tool_result_words,
)

WIDTH = 960
LABEL_WIDTH = 190
LANE = 26
BAR = 16
TOP = 28
AXIS_WORDS = "seconds since the run started, pauses left out"
_PLOT = WIDTH - LABEL_WIDTH - 12


def gantt_svg(timing: RunTiming) -> str:
    """The drawing; empty when the run has no measured time."""
    sequential = sum(agent.service_s for agent in timing.agents)
    clock = ChartClock(timing.gaps)
    horizon = max(clock.at(timing.horizon_s), sequential)
    if horizon <= 0:
        return ""
    scale = _PLOT / horizon
    lanes = [_sequential_strip(timing, scale)] if sequential else []
    lanes += [
        _lane(agent, row, timing, clock, scale)
        for row, agent in enumerate(timing.agents, start=len(lanes))
    ]
    height = TOP + LANE * len(lanes) + 8
    body = _axis(horizon, scale, height) + "".join(lanes) + _pauses(clock, scale, height)
    title = f"Gantt chart: what each agent did when, in {AXIS_WORDS}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(title)}" '
        f'preserveAspectRatio="xMinYMin meet">{body}</svg>'
    )


def ticks(horizon_s: float, most: int = 8) -> list[float]:
    """Round numbers of seconds from 0 to the horizon, at most `most` steps."""
    rough = horizon_s / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    return [round(i * step, 10) for i in range(int(horizon_s / step + 1e-9) + 1)]


def _axis(horizon: float, scale: float, height: int) -> str:
    parts = []
    for second in ticks(horizon):
        x = LABEL_WIDTH + second * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{TOP - 12}">{second:g} s</text>')
    return "".join(parts)


def _pauses(clock: ChartClock, scale: float, height: int) -> str:
    """A line where the run was paused, and for how long."""
    parts = []
    for number, mark in enumerate(clock.marks()):
        x, y = LABEL_WIDTH + mark.at_s * scale, TOP + LANE + 12 * (number % 4)
        parts.append(f'<line class="pause" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height}"/>')
        said = text(f"paused {said_s(mark.duration_s)}")
        parts.append(f'<text class="tick pause" x="{x + 4:.1f}" y="{y}">{said}</text>')
    return "".join(parts)


def _lane(agent: AgentTiming, row: int, timing: RunTiming, clock: ChartClock, scale: float) -> str:
    y = TOP + row * LANE
    on_path = agent.agent in timing.critical
    label = f"{agent.title} ●" if on_path else agent.title
    bars = "".join(
        _bar(span, y, clock, scale, phase_class(timing, agent), critical=on_path)
        for span in agent.spans
    )
    tools = _tools(agent, y, clock, scale, phase_class(timing, agent))
    origin = _origin(agent, y, clock, scale)
    return f'<g data-agent="{text(agent.agent)}">{_label(label, y)}{bars}{tools}{origin}</g>'


def _tools(agent: AgentTiming, y: int, clock: ChartClock, scale: float, phase: str) -> str:
    """Each call of a tool over the tools piece, side by side where they ran so."""
    parts = []
    for bar in tool_bars_of(agent.phase, agent.tools, clock, agent.finished_s or 0.0):
        height = BAR * 0.9 / bar.lanes
        top = y + BAR * 0.05 + height * bar.lane
        classes = " ".join(["tool", phase, *(["failed"] if bar.failed else [])])
        result = tool_result_words(bar.passages, "failed" if bar.failed else "")
        said = f"{bar.tool}: {bar.start_s:.2f} to {bar.end_s:.2f} s, {result}"
        parts.append(
            f'<rect class="{classes}" x="{LABEL_WIDTH + bar.start_s * scale:.2f}" y="{top:.2f}" '
            f'width="{max(bar.duration_s * scale, 0.5):.2f}" height="{height * 0.72:.2f}">'
            f"<title>{text(said)}</title></rect>"
        )
    return "".join(parts)


def _origin(agent: AgentTiming, y: int, clock: ChartClock, scale: float) -> str:
    """Whose an output is that this run's agent did not write."""
    words = origin_words(agent)
    if not words:
        return ""
    x = min(clock.at(agent.finished_s or 0.0) * scale, 0.85 * _PLOT) + LABEL_WIDTH + 6
    return f'<text class="tick origin" x="{x:.1f}" y="{y + BAR - 4}">{text(words)}</text>'


def _bar(span: Span, y: int, clock: ChartClock, scale: float, phase: str, *, critical: bool) -> str:
    kind = span.segment.value
    classes = [f"s-{kind}", phase]
    if not span.used:
        classes.append("void")
    if critical and span.in_service:
        classes.append("critical")
    start_s, end_s = clock.at(span.start_s), clock.at(span.end_s)
    said = f"{SEGMENT_WORDS[span.segment]}: {start_s:.2f} to {end_s:.2f} s"
    if not span.used:
        said += f", {DISCARDED_WORD}"
    return _rect(start_s, end_s - start_s, y, scale, " ".join(classes), said)


def _sequential_strip(timing: RunTiming, scale: float) -> str:
    """The agents' service times end to end: what sequential would have taken."""
    bars, start = [], 0.0
    for agent in timing.agents:
        said = f"{agent.title}: {agent.service_s:.2f} s"
        look = f"strip {phase_class(timing, agent)}"
        bars.append(_rect(start, agent.service_s, TOP, scale, look, said))
        start += agent.service_s
    words = f"one after another ({timing.sequential_kind})"
    return f'<g data-strip="sequential">{_label(words, TOP)}{"".join(bars)}</g>'


def phase_class(timing: RunTiming, agent: AgentTiming) -> str:
    """The style class with the colour of the agent's phase, as in the other charts."""
    phases = [phase.phase for phase in timing.phases]
    return f"p{phases.index(agent.phase) % len(PHASE_PALETTE)}"


def _rect(start: float, length: float, y: int, scale: float, classes: str, said: str) -> str:
    if length <= 0:
        return ""
    return (
        f'<rect class="{classes}" x="{LABEL_WIDTH + start * scale:.2f}" y="{y}" '
        f'width="{max(length * scale, 0.5):.2f}" height="{BAR}"><title>{text(said)}</title></rect>'
    )


def _label(words: str, y: int) -> str:
    return f'<text class="lane" x="0" y="{y + BAR - 4}">{text(words)}</text>'
