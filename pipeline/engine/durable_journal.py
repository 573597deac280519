"""A journal whose facts and checkpoints outlive the process.

Reading stays in memory; every fact also goes to the store's writer, a commit returns when the
store has it, and what agents are writing is stored every two seconds. Epochs after the first go on where the wall clock says the run is by now.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.engine.fact_log import log_line
from pipeline.errors import StoreError
from pipeline.events import AnyEvent, Event
from pipeline.journal import Journal
from pipeline.models import Checkpoint, RunRecord
from pipeline.store import Store

logger = logging.getLogger(__name__)


class DurableJournal(Journal):
    def __init__(
        self,
        store: Store,
        record: RunRecord,
        events: list[AnyEvent],
        checkpoints: Mapping[str, Checkpoint],
    ) -> None:
        super().__init__(
            record.id,
            epoch=record.epoch,
            offset_s=_offset_s(record, events),
            events=events,
            checkpoints=checkpoints,
        )
        self._writer = store.writer
        self._writer.follow(self)

    @classmethod
    async def open(cls, store: Store, record: RunRecord) -> DurableJournal:
        """The journal of the epoch that `record` has just begun, with all that came before."""
        if record.epoch == 1:
            return cls(store, record, [], {})
        events = await store.events(record.id, record.owner)
        if events and events[-1].seq != len(events):
            raise StoreError(
                "This run has facts that this version of Gantry does not know.",
                "Update Gantry, then continue the run.",
            )
        return cls(store, record, events, await store.checkpoints(record.id, record.owner))

    def record(self, event_type: type[Event], **fields: Any) -> AnyEvent:
        event = super().record(event_type, **fields)
        self._writer.add_fact(self.run_id, event)
        if line := log_line(event):
            logger.log(line.level, line.message, extra=line.fields)
        return event

    async def commit(self, checkpoint: Checkpoint) -> None:
        await self._writer.commit(self.run_id, self.epoch, checkpoint)
        await super().commit(checkpoint)

    def end_text(self) -> None:
        """Agents write no more. What they wrote last is stored with the next thing that is."""
        self._writer.unfollow(self)

    def close(self) -> None:
        super().close()
        self.end_text()


def _offset_s(record: RunRecord, events: list[AnyEvent]) -> float:
    """Where this epoch begins on the run's own clock; never before what already happened."""
    last_s = events[-1].at_s if events else 0.0
    if record.started_at is None or record.epoch <= 1:
        return last_s
    return max((datetime.now(UTC) - record.started_at).total_seconds(), last_s)
