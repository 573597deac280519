"""Feed the hub from a runtime: where the facts and the text of one run come from.

A run that executes in this process is read from its journal's memory; so is a worker's run in a team,
whose journal is told to this process while it is watched. One that executes anywhere else (another
process has the engine) is read from the store, less often. What the messages say is
`pipeline/views/live.py`'s decision.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from pipeline.agents.roster import ROSTER
from pipeline.base_url import address
from pipeline.engine.runtime import Runtime
from pipeline.export.public import without_address
from pipeline.journal import Journal, LiveText
from pipeline.llm.admission.snapshot import GateSnapshot
from pipeline.llm.admission.team import TeamGate
from pipeline.llm.demo.wire import DEMO_MODEL
from pipeline.models import RunRecord, RunSpec, RunStatus
from pipeline.plan import grown_plan
from pipeline.views.admission_panel import (
    AdmissionMessage,
    OnThePage,
    admission_message,
    team_message,
)
from pipeline.views.live import LiveReducer

STORE_EVERY_S: Final = 0.5  # how often a run without a journal here is looked up
ADMISSION_EVERY_S: Final = 0.5
WATCH_EVERY_S: Final = 2.0  # how often it is said that somebody watches
_STRANGERS: Final = "/shared"  # no run's id holds a slash
_encode = msgspec.json.Encoder().encode


def strangers_view(run_id: str) -> str:
    """The run as those see it who have no more than a link: for `open_run_source` and the hub."""
    return run_id + _STRANGERS


class RunSource:
    """One run as a `LiveSource`. Every wait on the runtime happens off the server's loop.

    Strangers get neither the endpoint's address nor the gates, which other runs share.
    """

    def __init__(self, runtime: Runtime, run: RunRecord, *, for_strangers: bool = False) -> None:
        self._runtime = runtime
        self._run = run
        self._for_strangers = for_strangers
        self._reducer = LiveReducer(grown_plan(ROSTER, run.spec))  # grows with the facts
        self._journal: Journal | None = None  # the last one seen
        self._watched_at = -WATCH_EVERY_S
        self._looked_at = -STORE_EVERY_S
        self._caught_up: int | None = None  # facts there were when the first watcher came
        self._aside_at = -ADMISSION_EVERY_S
        self._aside: AdmissionMessage | None = None
        self._anchor: tuple[float, float] | None = None  # clock and run's time at the last fact
        self._texts: dict[str, LiveText] = {}  # of a run without a journal here, as stored

    @property
    def finished(self) -> bool:
        """True when the run has ended or waits for a person.

        The last fact counts only when it came while somebody watched: in a run that was just
        continued, the end of the epoch before is still the last fact for a moment.
        """
        news = self._caught_up is not None and self._reducer.position > self._caught_up
        return _is_over(self._run) or (self._reducer.finished and news)

    def snapshot(self) -> bytes:
        return self._written(self._reducer.snapshot(self._run, self._now_s()))

    async def advance(self) -> bytes | None:
        self._say_watching()
        journal = self._runtime.journal(self._run.id)
        before, self._journal = self._journal, journal
        if before is not None and journal is not before and before.was_rewound:
            return await self._start_over(journal)
        if journal is not None:  # facts before text: an agent's last words come with its end
            self._reducer.apply(journal.events[self._reducer.position :])
        if self._reducer.finished or journal is None or journal.is_remote:
            await self._take_stored(journal)
        if self._caught_up is None:
            self._caught_up = self._reducer.position
        texts = journal.texts if journal else self._texts
        message = self._reducer.batch(texts, self._now_s())
        return None if message is None else self._written(message)

    def _say_watching(self) -> None:
        now = time.monotonic()
        if now - self._watched_at >= WATCH_EVERY_S:
            self._watched_at = now
            self._runtime.watch(self._run.id)

    async def _start_over(self, journal: Journal | None) -> bytes:
        """What was told last never became part of the run: tell everything anew."""
        self._reducer = LiveReducer(grown_plan(ROSTER, self._run.spec))
        self._looked_at = -STORE_EVERY_S
        await self._take_stored(None)
        if journal is not None:
            self._reducer.apply(journal.events[self._reducer.position :])
            self._reducer.batch(journal.texts, self._now_s())  # reads the texts
        return self.snapshot()

    async def aside(self) -> bytes | None:
        """The gates, twice a second, while they have changed: the team's, or those of this process."""
        now = time.monotonic()
        if self._for_strangers or self.finished or now - self._aside_at < ADMISSION_EVERY_S:
            return None
        self._aside_at = now
        message = await self._admission(self._runtime.journal(self._run.id))
        if message is None or message == self._aside:
            return None
        self._aside = message
        return _encode(message)

    async def _admission(self, journal: Journal | None) -> AdmissionMessage | None:
        """None when there is nothing to show, as before the first call of a run."""
        spending = None if journal is None else journal.spending
        team = await asyncio.to_thread(self._runtime.team, self._run.owner)
        if team is not None:
            return team_message(team, spending, self._on_the_page())
        if journal is None:
            return None
        gates = await asyncio.to_thread(self._runtime.admission, self._run.owner)
        message = admission_message(gates, spending, self._on_the_page())
        return message if message.gates else None

    def _on_the_page(self) -> OnThePage:
        spec, configured = self._run.spec, self._runtime.settings.openai_base_url
        titles = {agent.name: agent.title for agent in self._reducer.plan.agents}
        return OnThePage(self._run.id, partial(uses, spec, configured), titles)

    async def _take_stored(self, journal: Journal | None) -> None:
        """The run's row, and its facts unless `journal` has them first."""
        now = time.monotonic()
        if now - self._looked_at < STORE_EVERY_S:
            return
        self._looked_at = now
        run = await asyncio.to_thread(self._runtime.find, self._run.id)
        if run is None:  # deleted; nothing more will come
            self._run = replace(self._run, status=RunStatus.CANCELLED)
            return
        self._run = run
        if journal is not None and not self._reducer.finished:
            return
        events = await asyncio.to_thread(self._runtime.events, self._run.id, self._run.owner)
        new = events[self._reducer.position :]
        if new:
            self._anchor = (time.monotonic(), new[-1].at_s)
        self._reducer.apply(new)
        if self._runtime.journal(self._run.id) is None:
            self._take_texts(await asyncio.to_thread(self._runtime.texts, self._run.id))

    def _take_texts(self, stored: Mapping[str, str]) -> None:
        """Go on where the text that was told ends, or begin anew where it is another."""
        for agent, text in stored.items():
            live = self._texts.get(agent)
            told = "" if live is None else live.since(0)
            if live is None or not text.startswith(told):
                generation = 0 if live is None else live.generation + 1
                self._texts[agent] = LiveText(generation, [text])
            elif len(text) > len(told):
                live.parts.append(text[len(told) :])

    def _written(self, message: object) -> bytes:
        written = _encode(message)
        return without_address(written, self._run.spec) if self._for_strangers else written

    def _now_s(self) -> float:
        """The run's clock, for everything that grows."""
        journal = self._runtime.journal(self._run.id)
        if journal is not None:
            return journal.now_s()
        if self._anchor is None:
            return 0.0
        read_at, at_s = self._anchor
        return at_s + time.monotonic() - read_at


def uses(spec: RunSpec, configured: str | None, gate: GateSnapshot | TeamGate) -> bool:
    """True when the run's calls go to that gate's endpoint. `configured`: the base URL that is set."""
    if spec.is_demo:  # its server is known by its models: the port is another one every time
        return gate.model.startswith(DEMO_MODEL)
    return address(gate.endpoint) == address(spec.base_url or configured)


def _is_over(run: RunRecord) -> bool:
    return run.status.is_final or run.status in (RunStatus.NEEDS_KEY, RunStatus.WAITING_APPROVAL)


async def open_run_source(runtime: Runtime, view: str) -> RunSource | None:
    """A source that has caught up with its run; None when there is no such run.

    `view` is a run's id, or `strangers_view` of it. Whether somebody may see either is decided
    before (`access.py`).
    """
    run_id = view.removesuffix(_STRANGERS)
    run = await asyncio.to_thread(runtime.find, run_id)
    if run is None:
        return None
    source = RunSource(runtime, run, for_strangers=view != run_id)
    await source.advance()
    return source
