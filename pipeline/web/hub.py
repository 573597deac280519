"""Fan one run's live messages out to everybody who watches it.

One ticker and one encoding per run, however many watchers. What the messages say is decided by
the source (`pipeline/views/live.py` through `live_source.py`), how they reach a browser by
`routes.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

TICK_S: Final = 0.05
MAX_WATCHERS_PER_RUN: Final = 200
MAX_BACKLOG: Final = 100  # batches a watcher may be behind (5 s) before it must start over

CLOSE_FINISHED: Final = 1000
CLOSE_FAILED: Final = 1011
CLOSE_UNKNOWN: Final = 4404
CLOSE_TOO_SLOW: Final = 4408
CLOSE_TOO_MANY: Final = 4429

_log = logging.getLogger(__name__)


class LiveSource(Protocol):
    """What the hub needs of one run. Used by one ticker at a time, on the server's loop."""

    @property
    def finished(self) -> bool:
        """True when no further batch will come."""

    def snapshot(self) -> bytes:
        """Everything up to the last batch, as one message."""

    async def advance(self) -> bytes | None:
        """What is new since the last call, as one message; None when nothing is."""

    async def aside(self) -> bytes | None:
        """How things around the run are now, when it is time to say so. Not part of a snapshot."""


class TooManyWatchers(Exception):
    """The run has as many watchers as it may have."""


@dataclass(slots=True, eq=False)
class Watcher:
    """One reader of a run. `get` gives messages until `code` says why there are no more."""

    queue: asyncio.Queue[bytes | None]
    code: int = CLOSE_FINISHED

    async def get(self) -> bytes | None:
        return await self.queue.get()

    def put(self, message: bytes) -> bool:
        """Hand a message over; False when the reader is too far behind and has been let go."""
        if self.queue.qsize() >= MAX_BACKLOG:
            self.end(CLOSE_TOO_SLOW)
            return False
        self.queue.put_nowait(message)
        return True

    def end(self, code: int) -> None:
        self.code = code
        self.queue.put_nowait(None)


@dataclass(slots=True, eq=False)
class _Broadcast:
    source: LiveSource
    watchers: set[Watcher] = field(default_factory=set)
    ticker: asyncio.Task[None] | None = None


class Hub:
    """All runs that are being watched now. Lives on the server's loop."""

    def __init__(
        self,
        open_source: Callable[[str], Awaitable[LiveSource | None]],
        *,
        tick_s: float = TICK_S,
        max_watchers: int = MAX_WATCHERS_PER_RUN,
    ) -> None:
        self._open_source = open_source
        self._tick_s = tick_s
        self._max_watchers = max_watchers
        self._broadcasts: dict[str, _Broadcast] = {}
        self._opening = asyncio.Lock()

    async def join(self, run_id: str) -> Watcher | None:
        """Begin to watch; the first message is the snapshot. None: there is no such run.

        Raises `TooManyWatchers`. Every watcher must be given back with `leave`.
        """
        async with self._opening:
            broadcast = self._broadcasts.get(run_id)
            if broadcast is None:
                source = await self._open_source(run_id)
                if source is None:
                    return None
                broadcast = self._broadcasts[run_id] = _Broadcast(source)
        if len(broadcast.watchers) >= self._max_watchers:
            raise TooManyWatchers(run_id)
        watcher = Watcher(asyncio.Queue())
        watcher.put(broadcast.source.snapshot())
        if broadcast.source.finished:
            self._drop_if_unwatched(run_id, broadcast)
            watcher.end(CLOSE_FINISHED)
            return watcher
        broadcast.watchers.add(watcher)
        if broadcast.ticker is None:
            broadcast.ticker = asyncio.create_task(
                self._tick(run_id, broadcast), name=f"live:{run_id}"
            )
        return watcher

    async def leave(self, run_id: str, watcher: Watcher) -> None:
        """The reader is gone; the last one to leave stops the ticker."""
        broadcast = self._broadcasts.get(run_id)
        if broadcast is None or watcher not in broadcast.watchers:
            return
        broadcast.watchers.discard(watcher)
        if not broadcast.watchers:
            self._drop_if_unwatched(run_id, broadcast)
            await _stop(broadcast)

    async def aclose(self) -> None:
        """Let every watcher go and wait for the tickers."""
        broadcasts = list(self._broadcasts.values())
        self._broadcasts.clear()
        for broadcast in broadcasts:
            for watcher in broadcast.watchers:
                watcher.end(1001)
            await _stop(broadcast)

    async def _tick(self, run_id: str, broadcast: _Broadcast) -> None:
        code = CLOSE_FINISHED
        try:
            while not broadcast.source.finished:
                await asyncio.sleep(self._tick_s)
                for message in (await broadcast.source.advance(), await broadcast.source.aside()):
                    if message is not None:
                        broadcast.watchers -= {w for w in broadcast.watchers if not w.put(message)}
        except Exception:  # noqa: BLE001 - the edge of one run's view; logged, watchers are told
            _log.exception("live view of run %s stopped", run_id)
            code = CLOSE_FAILED
        self._broadcasts.pop(run_id, None)
        for watcher in broadcast.watchers:
            watcher.end(code)

    def _drop_if_unwatched(self, run_id: str, broadcast: _Broadcast) -> None:
        if not broadcast.watchers and self._broadcasts.get(run_id) is broadcast:
            del self._broadcasts[run_id]


async def _stop(broadcast: _Broadcast) -> None:
    if broadcast.ticker is None:
        return
    broadcast.ticker.cancel()
    await asyncio.wait({broadcast.ticker})
