"""The one account of a run while it happens: facts in order, and the text as it streams.

The pipeline's loop writes; pages and sockets read from other threads without locks, because
readers only use positions in append-only lists. `Journal` itself keeps everything in memory (the
library's use); the engine's subclass makes facts and checkpoints durable as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.events import AnyEvent, Event
from pipeline.models import Checkpoint


@dataclass(slots=True)
class LiveText:
    """What one agent has streamed. A discarded attempt replaces the object, never empties it."""

    generation: int = 0
    parts: list[str] = field(default_factory=list)

    def since(self, position: int) -> str:
        """Text after the first `position` parts."""
        return "".join(self.parts[position:])


class Journal:
    """Facts and text of one epoch of one run.

    `offset_s` is where this epoch begins on the run's own clock (0 for the first),
    `last_seq` and `events` what earlier epochs left.
    """

    is_remote = False  # told by the process that executes the run; see `engine/remote_journal.py`
    was_rewound = False  # facts in it never became part of the run: start over with another

    def __init__(
        self,
        run_id: str,
        *,
        epoch: int = 1,
        offset_s: float = 0.0,
        events: list[AnyEvent] | None = None,
        checkpoints: Mapping[str, Checkpoint] | None = None,
    ) -> None:
        self.run_id = run_id
        self.epoch = epoch
        self.events: list[AnyEvent] = list(events or [])
        self.texts: dict[str, LiveText] = {}
        self.finished = False
        self._checkpoints: dict[str, Checkpoint] = dict(checkpoints or {})
        self._offset_s = offset_s
        self._zero = time.monotonic()
        self._last_at_s = self.events[-1].at_s if self.events else 0.0

    def now_s(self) -> float:
        """Seconds since the run first started."""
        return self._offset_s + time.monotonic() - self._zero

    def start_clock(self) -> None:
        """The run begins now, not when its journal was opened. Only before the first fact."""
        if not self.events:
            self._zero = time.monotonic()

    def record(self, event_type: type[Event], **fields: Any) -> AnyEvent:
        """Append a fact, timed now. Returns it."""
        at_s = max(self.now_s(), self._last_at_s)
        self._last_at_s = at_s
        event: Any = event_type(
            epoch=self.epoch, seq=len(self.events) + 1, at_s=round(at_s, 6), **fields
        )
        self.events.append(event)
        return event  # type: ignore[no-any-return]

    def add_text(self, agent: str, text: str) -> None:
        """Append what `agent` streamed; one call per socket read, not per token."""
        live = self.texts.get(agent)
        if live is None:
            live = self.texts[agent] = LiveText()
        live.parts.append(text)

    def discard_text(self, agent: str) -> None:
        """Forget what `agent` streamed so far: the attempt failed, or a new call begins."""
        live = self.texts.get(agent)
        if live is not None and live.parts:
            self.texts[agent] = LiveText(live.generation + 1)

    def text(self, agent: str) -> str:
        live = self.texts.get(agent)
        return live.since(0) if live else ""

    @property
    def checkpoints(self) -> Mapping[str, Checkpoint]:
        """Finished agents, by name, of this and earlier epochs."""
        return self._checkpoints

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Keep a finished agent. Returns when it can no longer be lost.

        Raises `Superseded` when another executor owns the run (durable journals only).
        """
        self._checkpoints[checkpoint.agent] = checkpoint

    def close(self) -> None:
        """No further fact of this epoch will follow."""
        self.finished = True


def wall_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
