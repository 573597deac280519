"""How much of what a run's agents are writing is stored already. No I/O; `writer.py` stores it.

A checkpoint replaces an agent's partial text; what an agent had written when its run was
cancelled, failed or lost its process stays, for people to read and never as anybody's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.journal import Journal, LiveText
from pipeline.store.codec import text_bytes


@dataclass(frozen=True, slots=True)
class PartialText:
    """What one agent had written, in which epoch and attempt, and when that was stored."""

    text: str
    epoch: int
    generation: int
    at: datetime


class Following:
    """One journal whose text is stored now and then."""

    def __init__(self, journal: Journal) -> None:
        self.run_id = journal.run_id
        self.epoch = journal.epoch
        self._journal = journal
        self._stored: dict[str, tuple[LiveText, int]] = {}  # and how many of its parts
        self._settled: set[str] = set()

    def news(self) -> list[dict[str, Any]]:
        """A row for every agent that has written since the last call, whole."""
        rows = []
        for agent, live in self._journal.texts.items():
            end = len(live.parts)
            if agent in self._settled or self._is_stored(agent, live, end):
                continue
            self._stored[agent] = (live, end)
            rows.append(
                {
                    "run_id": self.run_id,
                    "agent": agent,
                    "epoch": self.epoch,
                    "generation": live.generation,
                    "text": text_bytes("".join(live.parts[:end])),
                    "at": datetime.now(UTC),
                }
            )
        return rows

    def _is_stored(self, agent: str, live: LiveText, end: int) -> bool:
        if agent not in self._stored:
            return not end  # nothing to tell yet
        told, told_end = self._stored[agent]
        return told is live and told_end == end

    def forget(self) -> None:
        """What was told last may not have been stored: tell all of it again."""
        for agent in self._stored:
            self._stored[agent] = (_NOTHING, -1)

    def settle(self, agent: str) -> None:
        """Its checkpoint is stored: its partial text is of no more use."""
        self._settled.add(agent)

    def may_have_stored(self, agent: str) -> bool:
        """False when there is certainly no row of the agent: no epoch before, nothing told."""
        return self.epoch > 1 or agent in self._stored


_NOTHING = LiveText()
