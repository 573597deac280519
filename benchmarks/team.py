"""Measure team mode: `python -m benchmarks.team`. A real PostgreSQL, real worker processes.

* submit → agent starts: one run at a time, from the call of `Runtime.submit` in one process to the
  first agent's start in another.
* token → page: 20 runs × 50 tokens a second in a worker, each token marked with its time, to the
  moment the page's socket is handed the message that holds it.
* two workers against one: 200 queued runs of three calls that only wait, eight at once per worker.

Times of different processes are compared by the machine's monotonic clock, which they share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.machine import claim, describe
from pipeline.engine import RunContext, RunOutcome, Runtime
from pipeline.engine.worker import work
from pipeline.events import AgentFinished, AgentStarted, RunFinished, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.models import AgentOutput, AgentState, Checkpoint, RunSpec, RunStatus, Usage
from pipeline.settings import Settings, load_settings
from pipeline.web.hub import Hub
from pipeline.web.live_source import open_run_source
from scripts.local_postgres import LocalPostgres

NAMES = ("starts", "one", "two", "live")
AGENTS = ("topic_planner", "content_writer", "editor")
STARTS, QUEUED_RUNS, AT_ONCE = 200, 200, 8
CALL_S = 0.3
LIVE_RUNS, TOKENS_PER_S, LIVE_S = 20, 50, 15.0


@dataclass(frozen=True)
class TimedPipeline:
    """Three agents, one after another; the topic says what they do: `start`, `wait` or `stream`."""

    log: Path

    async def __call__(self, spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
        if spec.topic.startswith("start"):
            line = json.dumps([journal.run_id, time.monotonic()]) + "\n"
            with self.log.open("a") as log:
                log.write(line)
        journal.record(RunStarted, wall_at=wall_now())
        for agent in AGENTS:
            await self._work(spec.topic.split()[0], agent, journal)
        journal.record(RunFinished, status="done")
        return RunOutcome(RunStatus.DONE, makespan_s=1.0)

    async def _work(self, what: str, agent: str, journal: Journal) -> None:
        journal.record(AgentStarted, agent=agent)
        if what == "wait":
            await asyncio.sleep(CALL_S)
        elif what == "stream":
            ends_at = time.monotonic() + LIVE_S / len(AGENTS)
            while (now := time.monotonic()) < ends_at:
                journal.add_text(agent, f"{now:.4f} ")
                await asyncio.sleep(1 / TOKENS_PER_S)
        output = AgentOutput(agent)
        await journal.commit(Checkpoint(agent, "key", journal.epoch, output, Usage(1, 1)))
        journal.record(AgentFinished, agent=agent, state=AgentState.DONE.value)


async def nobody(spec: RunSpec, journal: Journal, context: RunContext) -> RunOutcome:
    raise AssertionError("this process only submits")


@contextmanager
def workers(count: int, concurrency: int, log: Path, settings: Settings) -> Iterator[None]:
    """Worker processes that have started."""
    command = [sys.executable, "-m", "benchmarks.team", "--worker", str(log), str(concurrency)]
    environment = os.environ | {"DATABASE_URL": str(settings.database_url)}
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield


def measure_starts(settings: Settings, log: Path) -> list[float]:
    """Seconds from submitting to the first agent's start, one per run."""
    submitted: dict[str, float] = {}
    with workers(1, AT_ONCE, log, settings), Runtime(settings, nobody) as web:
        for number in range(STARTS):
            began = time.monotonic()
            run_id = web.submit(RunSpec(topic=f"start {number}"))
            submitted[run_id] = began
            web.wait(run_id, 30)
    started = dict(json.loads(line) for line in log.read_text().splitlines())
    return [started[run_id] - began for run_id, began in submitted.items()]


def measure_throughput(settings: Settings, log: Path, count: int) -> float:
    """Seconds for all queued runs with `count` workers, from the first start to the last end."""
    with Runtime(settings, nobody) as web:
        run_ids = [web.submit(RunSpec(topic="wait")) for _ in range(QUEUED_RUNS)]
        with workers(count, AT_ONCE, log, settings):
            for run_id in run_ids:
                record = web.wait(run_id, 120)
                assert record is not None
                assert record.status is RunStatus.DONE
        runs = [run for run in map(web.run, run_ids) if run is not None]
    first = min(run.started_at for run in runs if run.started_at is not None)
    last = max(run.finished_at for run in runs if run.finished_at is not None)
    return (last - first).total_seconds()


def measure_live(settings: Settings, log: Path) -> list[float]:
    """Seconds from a token to the page's socket, one per token."""
    with workers(1, LIVE_RUNS, log, settings), Runtime(settings, nobody) as web:
        run_ids = [web.submit(RunSpec(topic="stream")) for _ in range(LIVE_RUNS)]
        return asyncio.run(_watch_all(web, run_ids))


async def _watch_all(web: Runtime, run_ids: Sequence[str]) -> list[float]:
    hub = Hub(lambda run_id: open_run_source(web, run_id))
    delays: list[float] = []
    async with asyncio.TaskGroup() as group:
        for run_id in run_ids:
            group.create_task(_watch(hub, run_id, delays))
    await hub.aclose()
    return delays


async def _watch(hub: Hub, run_id: str, delays: list[float]) -> None:
    watcher = await hub.join(run_id)
    assert watcher is not None
    left: dict[str, str] = {}
    await watcher.get()  # the snapshot holds what came before anybody looked
    while (message := await watcher.get()) is not None:
        now = time.monotonic()
        for agent, text in json.loads(message).get("append", {}).items():
            whole, _, left[agent] = (left.get(agent, "") + text["text"]).rpartition(" ")
            delays.extend(now - float(token) for token in whole.split())


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worker", nargs=2, metavar=("LOG", "CONCURRENCY"))
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; default: all")
    options = parser.parse_args()
    if options.worker:
        log, concurrency = options.worker
        runtime = Runtime(load_settings(), TimedPipeline(Path(log)), concurrency=int(concurrency))
        work(runtime, on_alive=lambda: print("ready", flush=True))
        return
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        _measure(Path(folder), options.names or NAMES)


def _measure(folder: Path, names: Sequence[str]) -> None:
    folder.chmod(0o711)
    goes_first = claim(None)  # the server and the workers too: they inherit it
    postgres = LocalPostgres(folder / "postgres")
    postgres.start()
    try:
        load = os.getloadavg()[0]
        print(json.dumps({"machine": describe(), "load": load, "goes_first": goes_first}))
        results = {}
        for name in names:
            postgres.create(name)
            log = folder / f"{name}.log"
            log.touch()
            settings = Settings(data_dir=folder, database_url=postgres.url(name))
            if name == "starts":
                starts = measure_starts(settings, log)
                p50, p95 = (1000 * value for value in (median(starts), percentile(starts, 0.95)))
                print(
                    f"submit → agent starts: p50 {p50:.0f} ms, p95 {p95:.0f} ms ({len(starts)} runs)"
                )
            elif name == "live":
                delays = measure_live(settings, log)
                p50, p95 = (1000 * value for value in (median(delays), percentile(delays, 0.95)))
                print(f"token → page: p50 {p50:.0f} ms, p95 {p95:.0f} ms ({len(delays)} tokens)")
            else:
                results[name] = measure_throughput(settings, log, 1 if name == "one" else 2)
        if len(results) == 2:
            one, two = results["one"], results["two"]
            print(f"{QUEUED_RUNS} runs: one worker {one:.2f} s, two {two:.2f} s, {one / two:.2f} ×")
        print(f"load at the end {os.getloadavg()[0]:.1f}")
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
