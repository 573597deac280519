"""How long a checkpoint's commit takes, on SQLite and on PostgreSQL, one run alone and many at once.

Real databases on this machine's disk, both told to survive a power cut (SQLite `synchronous=FULL`,
PostgreSQL with `fsync` and `synchronous_commit` on). A commit holds the checkpoint, its facts and the
fence. `python -m benchmarks.store_commits [--url postgresql+asyncpg://…]`; without a URL it starts the
PostgreSQL of the tests, with their settings except that `fsync` is on. Beside it: how long a process
waits for a lease of shared limits.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import describe
from pipeline.events import AgentStarted
from pipeline.models import AgentOutput, Checkpoint, RunSpec, Usage
from pipeline.settings import Settings
from pipeline.store import Store, database_url
from pipeline.store.shared_limits import PostgresLimits
from tests import postgres

OUTPUT_CHARS = 6_000  # an article's draft
FACTS = 4  # of an agent: started, call started, first token, call finished
ROUNDS = 200  # commits of each run; those of one round may share a group


async def measure(settings: Settings, runs: int) -> list[float]:
    """Milliseconds of each commit, `runs` at once, sorted."""
    store = await Store.open(database_url(settings))
    run_ids = [f"bench-{runs}-{n}" for n in range(runs)]
    took_ms: list[float] = []
    output = AgentOutput("word " * (OUTPUT_CHARS // 5))

    async def work(run_id: str) -> None:
        await store.insert_run(run_id, "ann", RunSpec(topic="Tidal power"))
        record = await store.begin(run_id)
        assert record is not None
        for number in range(ROUNDS):
            for fact in range(FACTS):
                seq = number * FACTS + fact + 1
                store.writer.add_fact(
                    run_id,
                    AgentStarted(epoch=record.epoch, seq=seq, at_s=0.0, agent=f"a{number % 10}"),
                )
            checkpoint = Checkpoint(f"a{number % 10}", "k", record.epoch, output, Usage(1, 2))
            began_s = time.perf_counter()
            await store.writer.commit(run_id, record.epoch, checkpoint)
            took_ms.append((time.perf_counter() - began_s) * 1_000)

    await asyncio.gather(*(work(run_id) for run_id in run_ids))
    await store.aclose()
    return sorted(took_ms)


async def measure_leases(url: str, askers: int) -> list[float]:
    """Milliseconds of each question for a lease, from processes' worth of `askers`, sorted."""
    took_ms: list[float] = []
    limits = [PostgresLimits(database_url(Settings(database_url=url))) for _ in range(askers)]

    async def ask(one: PostgresLimits) -> None:
        await one.reserve(("http://endpoint/v1", "model"), 1, 1_000.0)  # connects
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            await one.reserve(("http://endpoint/v1", "model"), 1, 1_000.0)
            took_ms.append((time.perf_counter() - began_s) * 1_000)

    await asyncio.gather(*(ask(one) for one in limits))
    for one in limits:
        await one.aclose()
    return sorted(took_ms)


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


@contextmanager
def server(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    postgres.SETTINGS["fsync"] = "on"
    started = postgres.PostgresServer()
    try:
        started.start()
        yield started.fresh_database()
    finally:
        started.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", help="an empty database; default: a server of its own")
    arguments = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder, server(arguments.url) as url:
        for name, settings in (
            ("SQLite", Settings(data_dir=Path(folder), database_url=None)),
            ("PostgreSQL", Settings(data_dir=Path(folder), database_url=url)),
        ):
            for runs in (1, 20, 100):
                took_ms = asyncio.run(measure(settings, runs))
                print(
                    f"{name:10}  {runs:3} runs  p50 {percentile(took_ms, 0.5):6.2f} ms  "
                    f"p95 {percentile(took_ms, 0.95):6.2f} ms"
                )
        for askers in (1, 8):
            took_ms = asyncio.run(measure_leases(url, askers))
            print(
                f"lease       {askers:3} at once  p50 {percentile(took_ms, 0.5):6.2f} ms  "
                f"p95 {percentile(took_ms, 0.95):6.2f} ms"
            )


if __name__ == "__main__":
    main()
