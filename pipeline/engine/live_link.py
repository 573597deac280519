"""What runs do, told from the process that executes them to those that show them.

One connection per process, over LISTEN/NOTIFY. Whoever shows a run says so every two seconds;
only then does its executor tell, every 75 ms what is new. Text is told at most once: what gets lost
is asked for again, and the final text is in the checkpoint. What a message holds is
`remote_journal.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import URL

from pipeline.engine.remote_journal import (
    LiveMessage,
    RemoteJournal,
    Telling,
    messages_of,
    payloads,
)
from pipeline.engine.steady_connection import SteadyConnection
from pipeline.errors import StoreError
from pipeline.journal import Journal
from pipeline.store import Store

NEWS_CHANNEL = "gantry_live"
WATCH_CHANNEL = "gantry_watch"
TELL_EVERY_S = 0.075
SAY_EVERY_S = 2.0  # that a run is being watched
FORGET_AFTER_S = 10.0  # a run nobody has asked for since
FILL_EVERY_S = 0.25  # while facts are missing; they are stored within 50 ms
MAX_PAYLOADS = 200  # told in one statement

logger = logging.getLogger(__name__)


class Watch(msgspec.Struct):
    """`run_id` is being watched. `is_new`: by somebody who has none of its text yet."""

    run_id: str
    is_new: bool = False


_encode = msgspec.json.Encoder().encode
_decode_watch = msgspec.json.Decoder(Watch).decode


@dataclass(slots=True)
class _Watched:
    """A run that is shown here and executes elsewhere."""

    until: float
    said_at: float = 0.0
    needs_text: bool = True
    journal: RemoteJournal | None = None
    early: list[LiveMessage] = field(default_factory=list)  # that came before the stored facts
    filled_at: float = 0.0


class LiveLink:
    """Owned by one loop, except `journal`, which any thread may call."""

    def __init__(self, url: URL, store: Store, executing: Callable[[str], Journal | None]) -> None:
        self.connection = SteadyConnection(url, "live")
        self._store = store
        self._executing = executing
        self._asked: dict[str, float] = {}  # runs others watch → until when
        self._tellings: dict[str, Telling] = {}
        self._watched: dict[str, _Watched] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._something = asyncio.Event()

    async def start(self) -> None:
        await self.connection.add_listener(WATCH_CHANNEL, self._hear_watch)
        await self.connection.add_listener(NEWS_CHANNEL, self._hear_news)
        self._tasks = [
            asyncio.create_task(self._tell_on(), name="live-tell"),
            asyncio.create_task(self._follow_on(), name="live-follow"),
        ]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.connection.aclose()

    # Showing

    def watch(self, run_id: str) -> None:
        """Have the run's journal here for the next ten seconds, wherever it executes."""
        watched = self._watched.get(run_id)
        if watched is None:
            watched = self._watched[run_id] = _Watched(0.0)
            self._something.set()
        watched.until = time.monotonic() + FORGET_AFTER_S

    def journal(self, run_id: str) -> Journal | None:
        watched = self._watched.get(run_id)
        return None if watched is None else watched.journal

    def _hear_news(self, payload: str | bytes | bytearray) -> None:
        try:
            messages = messages_of(payload)
        except msgspec.MsgspecError as error:
            logger.warning("A live message cannot be read: %s", error)
            return
        for message in messages:
            watched = self._watched.get(message.run_id)
            if watched is None:
                continue
            if watched.journal is None:
                watched.early.append(message)
                self._something.set()
            else:
                self._take(watched, watched.journal, message)

    def _take(self, watched: _Watched, journal: RemoteJournal, message: LiveMessage) -> None:
        journal.take(message)
        if journal.is_missing_text:
            journal.is_missing_text, watched.needs_text = False, True
        if journal.was_rewound:
            watched.journal = None  # read again from the store
        if journal.is_missing_facts or journal.was_rewound or watched.needs_text:
            self._something.set()

    async def _follow_on(self) -> None:
        failing = False
        while True:
            try:
                for run_id, watched in list(self._watched.items()):
                    await self._follow(run_id, watched)
                failing = False
            except StoreError as error:
                if not failing:
                    logger.error("Runs of other processes cannot be followed: %s", error)
                failing = True
            try:
                async with asyncio.timeout(FILL_EVERY_S if self._is_incomplete() else SAY_EVERY_S):
                    await self._something.wait()
            except TimeoutError:
                continue
            self._something.clear()
            await asyncio.sleep(TELL_EVERY_S)  # never a busy loop, whatever is missing

    def _is_incomplete(self) -> bool:
        return any(
            one.journal is not None and one.journal.is_missing_facts
            for one in self._watched.values()
        )

    async def _follow(self, run_id: str, watched: _Watched) -> None:
        now = time.monotonic()
        if now > watched.until:
            del self._watched[run_id]
            return
        if self._executing(run_id) is not None:
            watched.journal = None  # it came here
            return
        if watched.needs_text or now - watched.said_at >= SAY_EVERY_S:
            said = Watch(run_id, is_new=watched.needs_text)
            watched.said_at, watched.needs_text = now, False
            await self.connection.notify(WATCH_CHANNEL, _encode(said).decode())
        if watched.journal is None and watched.early:
            await self._begin_journal(run_id, watched)
        journal, is_due = watched.journal, now - watched.filled_at >= FILL_EVERY_S
        if journal is not None and journal.is_missing_facts and is_due:
            watched.filled_at = now
            await self._fill(run_id, journal)

    async def _begin_journal(self, run_id: str, watched: _Watched) -> None:
        record = await self._store.find_run(run_id)
        if record is None:
            watched.early.clear()
            return
        journal = RemoteJournal(run_id, await self._store.events(run_id, record.owner))
        early, watched.early = watched.early, []
        for message in early:
            self._take(watched, journal, message)
        watched.journal = journal

    async def _fill(self, run_id: str, journal: RemoteJournal) -> None:
        record = await self._store.find_run(run_id)
        if record is not None:
            journal.fill(await self._store.events(run_id, record.owner))

    # Executing

    def _hear_watch(self, payload: str | bytes | bytearray) -> None:
        try:
            watch = _decode_watch(payload)
        except msgspec.MsgspecError as error:
            logger.warning("A live message cannot be read: %s", error)
            return
        self._asked[watch.run_id] = time.monotonic() + FORGET_AFTER_S
        telling = self._tellings.get(watch.run_id)
        if telling is not None and watch.is_new:
            telling.again()

    async def _tell_on(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            try:
                await self._tell()
                failing = False
            except StoreError as error:
                if not failing:
                    logger.error("Runs executing here cannot be told to others: %s", error)
                failing = True

    async def _tell(self) -> None:
        now = time.monotonic()
        news: list[LiveMessage] = []
        for run_id, until in list(self._asked.items()):
            journal = self._executing(run_id)
            telling = self._tellings.get(run_id)
            if now > until or (journal is None and telling is None):
                if now > until:
                    del self._asked[run_id]
                    self._tellings.pop(run_id, None)
                continue
            if telling is None or (journal is not None and telling.journal is not journal):
                assert journal is not None
                telling = self._tellings[run_id] = Telling(journal)
            news.extend(telling.news())
        packed = list(payloads(news))
        for start in range(0, len(packed), MAX_PAYLOADS):
            await self.connection.execute(
                "SELECT pg_notify($1, one) FROM unnest($2::text[]) AS one",
                NEWS_CHANNEL,
                packed[start : start + MAX_PAYLOADS],
            )
