"""The small Gantt above an article: plain elements, nothing to load, drawn at once.

The same bars, words and colours as the chart with the legend (`views/gantt.py`): one row per agent
under the sequential strip, on one axis. Places are percentages, so it is as wide as it may be; how it
looks is `pages/look.css`'s matter. Every word is escaped, and none is a model's. The downloads keep
their own drawing (`gantt_svg.py`): it prints, and needs no inline style, which they must not hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.export.gantt_svg import ticks
from pipeline.export.rendering import element, text
from pipeline.plan import Plan
from pipeline.timing import AgentTiming, RunTiming
from pipeline.views.bars import (
    DISCARDED_WORD,
    SEGMENT_WORDS,
    Bar,
    ChartClock,
    axis_end_s,
    bars_of,
    gap_lanes,
    origin_words,
    phase_colours,
    row_labels,
    said_s,
    strip_bars,
)

ROOM = 1.02  # of the axis: what stands at its end is not cut
LEFT_OF_LINE = 88.0  # percent; further right words stand left of what they belong to


def gantt_html(plan: Plan, timing: RunTiming, said: str) -> str:
    """The chart. `said` is what it tells, for who does not see it."""
    return element(
        "div",
        _Chart(plan, timing).html(),
        class_="gantt",
        role="img",
        **{"aria-label": said},
    )


class _Chart:
    def __init__(self, plan: Plan, timing: RunTiming) -> None:
        self._timing = timing
        self._clock = ChartClock(timing.gaps)
        self._end_s = axis_end_s(timing) * ROOM
        self._colours, self._labels = phase_colours(plan), row_labels(plan)

    def html(self) -> str:
        rows = "".join(self._row(agent) for agent in self._timing.agents)
        lines = [*self._grid(), *self._pauses()]
        return (
            self._strip()
            + element("div", self._bound(), class_="bound_row")
            + element("div", _line_layer(lines) + rows, class_="rows")
            + element("div", "".join(self._ticks()), class_="axis")
        )

    def _strip(self) -> str:
        """The agents one after another; nothing of a run without a call that was of use."""
        titles = {agent.agent: agent.title for agent in self._timing.agents}
        bars = [
            self._piece(
                bar.start_s,
                bar.duration_s,
                "bar",
                f"{titles[bar.agent]}: {bar.duration_s:.2f} s, one after another",
                self._colours[bar.phase],
            )
            for bar in strip_bars(self._timing)
        ]
        if not bars:
            return ""
        label = element("b", "Sequential") + " " + element("i", text(self._timing.sequential_kind))
        return _lane(label, bars, "strip")

    def _row(self, agent: AgentTiming) -> str:
        pieces = [self._bar(agent, bar) for bar in bars_of(agent.phase, agent.spans, self._clock)]
        end_s = self._clock.at(agent.finished_s or 0.0)
        if agent.agent in self._timing.critical:
            pieces.append(self._mark(end_s, f"On the critical path until {end_s:.2f} s"))
        if words := origin_words(agent):
            pieces.append(self._words(end_s, words))
        for lane, pause in zip(gap_lanes(self._timing), self._clock.marks(), strict=True):
            if lane == agent.agent:
                pieces.append(self._words(pause.at_s, f"paused {said_s(pause.duration_s)}"))
        return _lane(text(self._labels[agent.agent]), pieces)

    def _bar(self, agent: AgentTiming, bar: Bar) -> str:
        kind = SEGMENT_WORDS[bar.segment] + ("" if bar.used else f", {DISCARDED_WORD}")
        said = f"{agent.title}, {kind}: {bar.duration_s:.2f} s, from {bar.start_s:.2f} s"
        look = f"bar {bar.segment.value if bar.used else 'void'}"
        return self._piece(bar.start_s, bar.duration_s, look, said, self._colours[bar.phase])

    def _piece(self, start_s: float, length_s: float, look: str, said: str, colour: str) -> str:
        if length_s <= 0:
            return ""
        place = f"left:{self._at(start_s):.3f}%;width:{self._at(length_s):.3f}%"
        return element("i", "", class_=look, style=f"{place};--phase:{colour}", title=said)

    def _mark(self, at_s: float, said: str) -> str:
        return element("i", "", class_="mark", style=f"left:{self._at(at_s):.3f}%", title=said)

    def _words(self, at_s: float, words: str) -> str:
        at = self._at(at_s)
        look = "words before" if at > LEFT_OF_LINE else "words"
        return element("span", text(words), class_=look, style=f"left:{at:.3f}%")

    def _bound(self) -> str:
        bound_s = self._timing.bound_s
        return self._words(bound_s, f"bound {said_s(bound_s)}") if bound_s else ""

    def _grid(self) -> Iterable[str]:
        for second in ticks(self._end_s):
            yield self._line(second, "grid")
        if self._timing.bound_s:
            yield self._line(self._timing.bound_s, "bound")

    def _pauses(self) -> Iterable[str]:
        return (self._line(pause.at_s, "pause") for pause in self._clock.marks())

    def _line(self, at_s: float, look: str) -> str:
        return element("i", "", class_=look, style=f"left:{self._at(at_s):.3f}%")

    def _ticks(self) -> Iterable[str]:
        for second in ticks(self._end_s):
            yield element("span", f"{second:g} s", style=f"left:{self._at(second):.3f}%")

    def _at(self, at_s: float) -> float:
        """Seconds as a percentage of the axis."""
        return 100 * at_s / self._end_s


def _line_layer(lines: Iterable[str]) -> str:
    return element("div", "".join(lines), class_="lines")


def _lane(label: str, pieces: Iterable[str], look: str = "") -> str:
    track = element("div", "".join(pieces), class_="track")
    return element(
        "div", element("span", label, class_="label") + track, class_=f"lane {look}".strip()
    )
