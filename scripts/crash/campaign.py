"""Carry a campaign out: keep runs in work, kill at random moments, start again, see all of them end."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.events import CallSent
from pipeline.journal import Journal
from pipeline.llm.client import make_client
from pipeline.models import LOCAL_OWNER, Endpoint, Mode, RunOptions, RunSpec, RunStatus
from pipeline.store import Store
from pipeline.store.database import Database, open_database
from pipeline.store.tables import checkpoints
from pipeline.tools.samples import sample_research
from scripts.crash.judge import KeptText, RunSeen, Verdict, judge
from scripts.crash.provider import RecordingProvider
from scripts.crash.targets import Target

TOPICS = ("Heat pumps in old buildings", "Beekeeping for beginners", "Code review that helps")
MODEL, REFERENCE_MODEL = "gantry-demo-fast", "gantry-demo-instant"
END_TIMEOUT_S = 180.0
CALL_TIMEOUT_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """How much to do. A process lives between 0 and `longest_s` seconds; `at_once` runs are unfinished.

    With `is_aimed` its life counts from its first call: on a slow machine too every kill hits work.
    """

    kills: int
    seed: int = 1
    at_once: int = 4
    longest_s: float = 5.0
    is_aimed: bool = False


@dataclass(slots=True)
class Campaign:
    order: Order
    target: Target
    provider: RecordingProvider
    say: Callable[[str], None]
    specs: dict[str, RunSpec] = field(default_factory=dict)  # by run id
    kills: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    poisoned: int = 0  # five epochs without a checkpoint by chance; continued, as a person would

    async def run(self) -> Verdict:
        rng = random.Random(self.order.seed)
        await self.target.open()
        database = await open_database(self.target.database)
        store = Store(database)
        store.writer.start()
        try:
            for number in range(self.order.kills):
                await self._top_up(store, rng)
                await self._start()
                if self.order.is_aimed:
                    await self._until_called()
                await asyncio.sleep(rng.uniform(0, self.order.longest_s))
                self.kills.append(time.time())
                await self.target.kill(rng)
                self.say(f"{number + 1} of {self.order.kills} kills, {len(self.specs)} runs")
            await self._start()
            await self._until_all_ended(store)
            requests = list(self.provider.requests)  # before those of the undisturbed runs
            seen = [await self._seen(store, database, run_id) for run_id in self.specs]
        finally:
            await store.aclose()
        return judge(seen, requests, self.kills, self.starts, kills_all=self.target.kills_all)

    async def _start(self) -> None:
        self.starts.append(time.time())
        await self.target.start()

    async def _until_called(self) -> None:
        known = len(self.provider.requests)
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while len(self.provider.requests) == known:  # noqa: ASYNC110 - the provider's handler
                await asyncio.sleep(POLL_S)

    async def _top_up(self, store: Store, rng: random.Random) -> None:
        await self._continue_poisoned(store)
        unfinished = {run.id for run in await store.unfinished_runs()}
        for _ in range(self.order.at_once - len(unfinished)):
            spec = self._spec(len(self.specs) + 1, rng)
            self.specs[await self.target.submit(spec)] = spec

    def _spec(self, seed: int, rng: random.Random) -> RunSpec:
        return RunSpec(
            topic=rng.choice(TOPICS),
            mode=rng.choice(list(Mode)),
            options=RunOptions(section_writing=rng.random() < 0.25),
            provider="openai",
            base_url=self.provider.endpoint.base_url,
            key_source="configured",
            model=MODEL,
            seed=seed,
        )

    async def _continue_poisoned(self, store: Store) -> None:
        for run_id, spec in self.specs.items():
            record = await store.find_run(run_id)
            if record is not None and record.error_code == "poison":
                self.poisoned += 1
                await self.target.resume(run_id, spec)

    async def _until_all_ended(self, store: Store) -> None:
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._continue_poisoned(store)
                while await store.unfinished_runs():  # noqa: ASYNC110 - another process ends them
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            self.say(f"some runs have not ended within {END_TIMEOUT_S:g} s")

    async def _seen(self, store: Store, database: Database, run_id: str) -> RunSeen:
        record = await store.find_run(run_id)
        if record is None:
            raise RuntimeError(f"Run {run_id} is lost.")
        kept = await store.checkpoints(run_id, LOCAL_OWNER)
        times = await database.read(lambda connection: _committed_at(connection, run_id))
        ended = record.status in (RunStatus.DONE, RunStatus.DEGRADED)
        expected, calls = (
            await undisturbed(record.spec, self.provider.endpoint) if ended else ({}, {})
        )
        return RunSeen(
            seed=record.spec.seed,
            status=record.status.value,
            error=record.error,
            epochs=record.epoch,
            seqs=[fact.seq for fact in await store.events(run_id, LOCAL_OWNER)],
            kept={name: KeptText(one.output.text, times[name]) for name, one in kept.items()},
            expected=expected,
            expected_calls=calls,
        )


def _committed_at(connection: Connection, run_id: str) -> dict[str, float]:
    query = select(checkpoints.c.agent, checkpoints.c.at).where(checkpoints.c.run_id == run_id)
    return {row.agent: row.at.timestamp() for row in connection.execute(query)}


async def undisturbed(
    spec: RunSpec, endpoint: Endpoint
) -> tuple[Mapping[str, str], Mapping[str, int]]:
    """What every agent of `spec` writes when nothing happens, and how many calls it makes."""
    journal = Journal("reference")
    async with make_client(endpoint) as client:
        plain = spec.model_copy(update={"model": REFERENCE_MODEL})
        await ChatOrchestrator(client, research=sample_research()).carry_out(plain, journal)
    texts = {name: checkpoint.output.text for name, checkpoint in journal.checkpoints.items()}
    return texts, Counter(e.agent for e in journal.events if isinstance(e, CallSent))
