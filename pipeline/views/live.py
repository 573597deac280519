"""Build what the live view is told: one snapshot, then batches of what is new.

Pure: no clock, no socket. One `LiveReducer` per run serves any number of watchers; a tick costs
as much as the facts and the text that are new. `live_messages.py` holds the shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.events import AnyEvent
from pipeline.journal import LiveText
from pipeline.models import AgentState, RunRecord, RunStatus
from pipeline.plan import Plan, regrown
from pipeline.spans import SpanWalker
from pipeline.timing import service_s, timing_of
from pipeline.views.bars import ChartClock, bars_of, tool_bars_of
from pipeline.views.cards import CIRCUIT, CardNotes, card_of, listed
from pipeline.views.live_messages import (
    Batch,
    CardMessage,
    GanttMessage,
    RowMessage,
    Snapshot,
    TextMessage,
    bar_message,
    card_message,
    plan_message,
    tool_bar_message,
)


def snapshot(
    run: RunRecord,
    plan: Plan,
    events: Iterable[AnyEvent],
    texts: Mapping[str, LiveText],
    now_s: float | None = None,
) -> Snapshot:
    """The whole state of a run as one message; for runs nobody follows step by step."""
    reducer = LiveReducer(plan)
    reducer.apply(events)
    reducer.batch(texts, 0.0)  # reads the texts; the snapshot tells them
    return reducer.snapshot(run, now_s)


@dataclass(slots=True)
class _Reading:
    """How far one agent's text has been told."""

    text: LiveText
    position: int = 0


@dataclass(slots=True)
class LiveReducer:
    """One run's live state: `apply` takes facts in, `batch` tells what is new, `snapshot` all.

    `position` counts the facts taken in: `reducer.apply(events[reducer.position:])`. Text is read
    when a batch is made, and a snapshot ends where the last batch ended, so the batch after a
    snapshot continues it without a seam.
    """

    plan: Plan
    position: int = 0
    cursor: str = "0:0"
    _walker: SpanWalker = field(init=False)
    _notes: CardNotes = field(init=False, default_factory=CardNotes)
    _after: dict[str, set[str]] = field(init=False)
    _cards: set[str] = field(init=False, default_factory=set)  # changed since the last batch
    _rows: set[str] = field(init=False, default_factory=set)
    _readings: dict[str, _Reading] = field(init=False, default_factory=dict)
    _grown: bool = field(init=False, default=False)  # since the last batch

    def __post_init__(self) -> None:
        self._walker = SpanWalker(self.plan.names)
        self._connect()

    def _connect(self) -> None:
        self._after = {name: set() for name in self.plan.names}
        for before, after in self.plan.order_edges | self.plan.data_edges:
            self._after[before].add(after)

    def _grow(self, event: AnyEvent) -> None:
        """Everybody waits for others now, so everything is told anew, the plan first."""
        self.plan = regrown(self.plan, event)  # type: ignore[arg-type]
        self._walker.follow(self.plan.names)
        self._connect()
        self._grown = True
        self._cards, self._rows = set(self.plan.names), set(self.plan.names)

    @property
    def finished(self) -> bool:
        """True after the last fact of the current epoch."""
        return self._walker.finished is not None

    @property
    def status(self) -> str:
        if self._walker.finished is not None:
            return self._walker.finished.status
        return (RunStatus.RUNNING if self._walker.epoch else RunStatus.QUEUED).value

    def apply(self, events: Iterable[AnyEvent]) -> None:
        """Take in new facts, in order."""
        for event in events:
            if event.kind == "plan_grown":
                self._grow(event)
            self._walker.apply(event)
            self._notes.apply(event)
            self.position += 1
            self.cursor = f"{event.epoch}:{event.seq}"
            self._touch(event)

    def _touch(self, event: AnyEvent) -> None:
        agent: str = getattr(event, "agent", "")
        if agent in self._after:
            self._cards.add(agent)
            self._rows.add(agent)
        if event.kind == "agent_finished":
            self._cards |= self._after.get(agent, set())
        if event.kind in ("run_started", "run_finished"):
            self._cards.update(self.plan.names)
            self._rows.update(self.plan.names)

    def batch(self, texts: Mapping[str, LiveText], now_s: float) -> Batch | None:
        """What is new since the last batch, or None."""
        append = self._read(texts)
        if not (self._cards or self._rows or append):
            return None
        message: Batch = {
            "type": "batch",
            "status": self.status,
            "finished": self.finished,
            "now_s": self._now_s(now_s),
            "cursor": self.cursor,
            "status_line": self.status_line(),
            "cards": self._card_messages(self._cards, now_s),
            "append": append,
            "gantt": self._gantt(self._rows) if self._rows else None,
            "plan": plan_message(self.plan) if self._grown else None,
        }
        self._cards, self._rows, self._grown = set(), set(), False
        return message

    def _read(self, texts: Mapping[str, LiveText]) -> dict[str, TextMessage]:
        """The text that is new, without touching what was read before."""
        new: dict[str, TextMessage] = {}
        for agent, text in list(texts.items()):
            reading = self._readings.get(agent)
            restarted = reading is None or reading.text is not text
            if reading is None or restarted:
                reading = self._readings[agent] = _Reading(text)
            end = len(text.parts)  # read once: the pipeline's thread goes on appending
            if restarted or end > reading.position:
                piece = "".join(text.parts[reading.position : end])
                new[agent] = {"generation": text.generation, "text": piece}
                reading.position = end
        return new

    def snapshot(self, run: RunRecord, now_s: float | None = None) -> Snapshot:
        """All facts taken in, and the text up to the last batch. Changes nothing."""
        status = self.status if self._walker.epoch else run.status.value
        return {
            "type": "snapshot",
            "run_id": run.id,
            "status": status,
            "finished": self.finished or run.status.is_final,
            "now_s": self._now_s(now_s),
            "cursor": self.cursor,
            "status_line": self.status_line(),
            "plan": plan_message(self.plan),
            "cards": self._card_messages(set(self.plan.names), now_s),
            "texts": {
                agent: {
                    "generation": reading.text.generation,
                    "text": "".join(reading.text.parts[: reading.position]),
                }
                for agent, reading in self._readings.items()
            },
            "gantt": self._gantt(set(self.plan.names)),
        }

    def status_line(self) -> str:
        """One sentence for screen readers; without seconds, so that it changes rarely."""
        tracks = self._walker.tracks
        settled = sum(track.state is not None for track in tracks.values())
        count = f"{settled} of {len(tracks)} agents have settled"
        if self._walker.finished is not None:
            return f"{_ENDED.get(self.status, 'The run has stopped')}. {count}."
        if not self._walker.epoch:
            return "The run is queued."
        working = [
            agent.title
            for agent in self.plan.agents
            if tracks[agent.name].ready_s is not None and tracks[agent.name].state is None
        ]
        down = (
            "The endpoint is down; it is tried again and again. " if self._meets_a_circuit else ""
        )
        return f"{down}{count}. {f'Working: {listed(working)}.' if working else ''}".rstrip()

    @property
    def _meets_a_circuit(self) -> bool:
        """True while somebody waits for an endpoint that is down."""
        return any(
            track.status is AgentState.ADMISSION and self._notes[name].reason == CIRCUIT
            for name, track in self._walker.tracks.items()
        )

    def _now_s(self, now_s: float | None) -> float:
        return ChartClock(self._walker.gaps).at(self._walker.horizon_s(now_s))

    def _card_messages(self, names: set[str], now_s: float | None) -> list[CardMessage]:
        return [
            card_message(card_of(self.plan, agent, self._walker, self._notes, now_s))
            for agent in self.plan.agents
            if agent.name in names
        ]

    def _gantt(self, names: set[str]) -> GanttMessage:
        clock = ChartClock(self._walker.gaps)
        ended = timing_of(self.plan, self._walker) if self.finished else None
        return {
            "rows": [self._row(name, clock) for name in self.plan.names if name in names],
            "gaps": [{"at_s": mark.at_s, "duration_s": mark.duration_s} for mark in clock.marks()],
            "bound_s": ended.bound_s if ended else None,
            "critical": list(ended.critical) if ended else [],
        }

    def _row(self, name: str, clock: ChartClock) -> RowMessage:
        track = self._walker.tracks[name]
        spans = track.all_spans(self._walker.horizon_s(), running=False)
        if track.state is None and not self.finished:
            spans = (*track.spans, replace(track.piece(track.since_s), open=True))
        bars = bars_of(self.plan.agent(name).phase, spans, clock)
        growing = next((bar for bar in bars if bar.open and bar.in_service), None)
        return {
            "agent": name,
            "phase": self.plan.agent(name).phase,
            "service_s": service_s(
                track.state, (span for span in spans if not span.open), track.wasted_share
            ),
            "growing_since_s": growing.start_s if growing else None,
            "bars": [bar_message(bar) for bar in bars],
            "tools": [
                tool_bar_message(bar)
                for bar in tool_bars_of(
                    self.plan.agent(name).phase, track.tools, clock, self._walker.horizon_s()
                )
            ],
        }


_ENDED = {
    "done": "The run is done",
    "degraded": "The run is done, with marks",
    "failed": "The run failed",
    "cancelled": "The run was cancelled",
    "waiting_approval": "The outline waits for approval",
}
