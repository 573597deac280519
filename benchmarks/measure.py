"""What is measured: one function per kind of row. Runs inside the adapter's event loop.

Every function warms up, then measures with the same garbage collector settings for all. CPU is
that of the whole client process, its threads included. Where the server's log knows better than
the client's clock, the log decides.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from benchmarks import machine
from benchmarks.adapters import Adapter
from benchmarks.mock_server.control import Server, makespan_s, peak_in_flight
from benchmarks.mock_server.server import Arrival
from benchmarks.workload import AGENTS, PHASES, Pace, Script, fixed_workload, short_workload

WARM_UP_RUNS = 8
SETTLE_S = 0.5  # for what the warm-up left to do
LAG_EVERY_S = 0.005
QUIET_CPU_S = 0.01  # a process that uses less in half a second has nothing left to do

Measure = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


class LagProbe:
    """How late the loop is: a timer every 5 ms, and by how much it was missed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._late_s: list[float] = []
        self._due_s = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> LagProbe:
        self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        # not the loop's own clock: uvloop's stands still while a callback runs
        self._due_s = time.monotonic() + LAG_EVERY_S
        self._handle = self._loop.call_later(LAG_EVERY_S, self._tick)

    def _tick(self) -> None:
        self._late_s.append(time.monotonic() - self._due_s)
        self._arm()

    def p99_ms(self) -> float:
        """Over time, not over ticks: a stall of a second counts as the 200 ticks it swallowed."""
        ticks = sorted(
            late - n * LAG_EVERY_S
            for late in self._late_s
            for n in range(1 + int(max(0.0, late) / LAG_EVERY_S))
        )
        return 1_000 * ticks[min(len(ticks) - 1, int(0.99 * len(ticks)))] if ticks else 0.0


async def warm_up(adapter: Adapter, runs: int = WARM_UP_RUNS) -> None:
    """Let imports, caches and connections be made, then take them out of the collector's way."""
    for _ in range(runs):
        await adapter.pipeline(Script(tag="warm-up"))
    await asyncio.sleep(SETTLE_S)
    gc.collect()
    gc.freeze()


async def cpu_per_call(adapter: Adapter, server: Server, *, runs: int) -> dict[str, Any]:
    """Pipelines one after another, the server answering at once: what a call costs."""
    await warm_up(adapter)
    await asyncio.to_thread(server.reset)
    cpu_s, wall_s = time.process_time(), time.monotonic()
    for n in range(runs):
        await adapter.pipeline(Script(tag=f"run{n}"))
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    calls = len(await asyncio.to_thread(server.log))
    if calls != runs * len(AGENTS):
        raise RuntimeError(f"the server saw {calls} calls, not {runs * len(AGENTS)}")
    return {"cpu_ms_per_call": 1_000 * cpu_s / calls, "wall_ms_per_run": 1_000 * wall_s / runs}


async def cpu_per_chunk(
    adapter: Adapter,
    server: Server,
    *,
    streams: int,
    tokens: int,
    tokens_per_s: float,
    repeat: int,
) -> dict[str, Any]:
    """`streams` answers at once, `repeat` times; net: less what the same calls with one token cost."""
    await warm_up(adapter)
    await adapter.fan(Script(tag="warm-up"), streams)  # opens the connections
    empty_s = await _fans(adapter, Script(Pace(tokens=1), tag="empty"), streams, repeat)
    script = Script(Pace(0.0, tokens, tokens_per_s), tag="full")
    wall_s = time.monotonic()
    with LagProbe() as lag:
        full_s = await _fans(adapter, script, streams, repeat)
    wall_s = time.monotonic() - wall_s
    chunks = streams * tokens * repeat
    return {
        "cpu_us_per_chunk": 1e6 * full_s / chunks,
        "cpu_us_per_chunk_net": 1e6 * (full_s - empty_s) / chunks,
        "chunks_per_s": chunks / wall_s,
        "lag_p99_ms": lag.p99_ms(),
    }


async def _fans(adapter: Adapter, script: Script, streams: int, repeat: int) -> float:
    """CPU seconds of `repeat` fans. Raises when a stream failed."""
    start_s = time.process_time()
    for _ in range(repeat):
        if (succeeded := await adapter.fan(script, streams)) != streams:
            raise RuntimeError(f"{streams - succeeded} of {streams} streams failed")
    return time.process_time() - start_s


async def many_pipelines(
    adapter: Adapter, server: Server, *, runs: int, scale: float = 1.0, fixed: bool = False
) -> dict[str, Any]:
    """`runs` pipelines started together: what each takes against the same run alone.

    `fixed` takes the fixed workload instead of the short one; `scale` shortens it.
    """
    script = (fixed_workload() if fixed else short_workload()).scaled(scale)
    await warm_up(adapter)
    await asyncio.to_thread(server.reset)
    start_s, cpu_s, server_s = time.monotonic(), time.process_time(), server.cpu_s()
    with LagProbe() as lag:
        times_s = await asyncio.gather(
            *(_timed(adapter, script.tagged(f"run{n}"), start_s) for n in range(runs))
        )
    wall_s, cpu_s = time.monotonic() - start_s, time.process_time() - cpu_s
    log = await asyncio.to_thread(server.log)
    ideal_s = script.phases_s
    return {
        "ideal_s": ideal_s,
        "pipelines_per_s": runs / wall_s,
        "stretch_mean": statistics.fmean(times_s) / ideal_s,
        "stretch_p95": sorted(times_s)[int(0.95 * (runs - 1))] / ideal_s,
        "run_mean_s": statistics.fmean(times_s),
        "total_s": wall_s,
        "lag_p99_ms": lag.p99_ms(),
        "cpu_ms_per_run": 1_000 * cpu_s / runs,
        "server_busy": (server.cpu_s() - server_s) / wall_s,
        "server_peak_in_flight": peak_in_flight(log),
    }


async def _timed(adapter: Adapter, script: Script, start_s: float) -> float:
    await adapter.pipeline(script)
    return time.monotonic() - start_s


async def lone_run(
    adapter: Adapter, server: Server, *, runs: int, scale: float = 1.0, fixed: bool = False
) -> dict[str, Any]:
    """One run at a time, nothing else going on: its makespan, and how far above the least.

    The least is the critical path of the very same answers, as long as the server took for them.
    """
    script = (fixed_workload() if fixed else short_workload()).scaled(scale)
    await warm_up(adapter)
    walls_s, above_s, seen_s, cpus_s, calls = [], [], [], [], []
    for n in range(runs):
        await asyncio.to_thread(server.reset)
        wall_s, cpu_s = time.monotonic(), time.process_time()
        await adapter.pipeline(script.tagged(f"run{n}"))
        walls_s.append(time.monotonic() - wall_s)
        cpus_s.append(time.process_time() - cpu_s)
        log = await asyncio.to_thread(server.log)
        above_s.append(walls_s[-1] - critical_path_s(log))
        seen_s.append(makespan_s(log))
        calls.append(len(log))
    return {
        "phases_s": script.phases_s,
        "sequential_s": script.sequential_s,
        "makespan_s": statistics.median(walls_s),
        "makespan_seen_by_server_s": statistics.median(seen_s),
        "above_critical_path_ms": 1_000 * statistics.median(above_s),
        "cpu_ms_per_run": 1_000 * statistics.median(cpus_s),
        "calls": statistics.median(calls),
    }


def critical_path_s(log: Sequence[Arrival]) -> float:
    """The longest answer of every phase, one after another: what barriers cannot beat."""
    took = {a.agent: a.ended_s - a.arrived_s for a in log}
    return sum(max(took.get(agent, 0.0) for agent in phase) for phase in PHASES)


async def fan_out(adapter: Adapter, server: Server, *, agents: int) -> dict[str, Any]:
    """`agents` independent agents of one second each, started together."""
    await warm_up(adapter)
    await asyncio.to_thread(server.reset)
    wall_s, cpu_s = time.monotonic(), time.process_time()
    succeeded = await adapter.fan(Script(Pace(0.6, 20, 50.0), tag="fan"), agents)
    wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
    log = await asyncio.to_thread(server.log)
    return {
        "wall_s": wall_s,
        "failed": agents - succeeded,
        "cpu_ms_per_agent": 1_000 * cpu_s / agents,
        "makespan_seen_by_server_s": makespan_s(log),
        "server_peak_in_flight": peak_in_flight(log),
    }


async def hidden_limit(
    adapter: Adapter,
    server: Server,
    *,
    per_minute: float,
    burst: float,
    calls: int,
    warm_up_s: float,
) -> dict[str, Any]:
    """`calls` calls wait, the server takes so many a minute and does not say so."""
    await warm_up(adapter)
    await asyncio.to_thread(lambda: server.reset(per_s=per_minute / 60.0, burst=burst))
    succeeded = await adapter.fan(Script(Pace(0.4, 20, 50.0), tag="limit"), calls)
    log = await asyncio.to_thread(server.log)
    return {
        "failed": calls - succeeded,
        "requests": len(log),
        **limit_use(log, per_minute / 60.0, warm_up_s),
    }


def limit_use(log: Sequence[Arrival], per_s: float, warm_up_s: float) -> dict[str, Any]:
    """How much of the limit was used, and how often it was run into, after the warm-up.

    The window ends with the last accepted request, because then nothing waits any more, but is
    at least ten seconds: who gave up before has used nothing of it.
    """
    first_s = min(a.arrived_s for a in log)
    accepted = [a.arrived_s - first_s for a in log if a.status != 429]
    refused = [a.arrived_s - first_s for a in log if a.status == 429]
    end_s = max(warm_up_s + 10.0, *accepted)
    used = sum(at_s > warm_up_s for at_s in accepted)
    against = sum(warm_up_s < at_s <= end_s for at_s in refused)
    return {
        "share_of_rate": used / ((end_s - warm_up_s) * per_s),
        "share_of_429": against / (used + against) if used + against else 0.0,
        "all_429": len(refused),
        "window_s": end_s - warm_up_s,
    }


async def idle_memory(adapter: Adapter, _server: Server, *, runs: int) -> dict[str, Any]:
    """Memory of runs that wait for admission behind one that takes its time (cap 1)."""
    await warm_up(adapter)
    blocker = Script(Pace(120.0), tag="blocker")
    waiting = [asyncio.create_task(adapter.pipeline(blocker))]
    await _quiet()
    gc.collect()
    before = machine.rss_bytes()
    waiting += [asyncio.create_task(adapter.pipeline(Script(tag=f"run{n}"))) for n in range(runs)]
    await _quiet()
    gc.collect()
    after = machine.rss_bytes()
    done = sum(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    if done:
        raise RuntimeError(f"{done} runs did not wait")
    return {"kb_per_run": (after - before) / runs / 1_000}


async def _quiet() -> None:
    """Return when the process has nothing more to do than wait; at most after a minute."""
    async with asyncio.timeout(60.0):
        while True:
            used_s = time.process_time()
            await asyncio.sleep(0.5)
            # an engine that looks for work twice a second is quiet, too
            if time.process_time() - used_s < QUIET_CPU_S:
                return


async def leftovers(
    adapter: Adapter, _server: Server, *, runs: int, at_once: int
) -> dict[str, Any]:
    """What is still there after many runs that was there neither before nor after a tenth.

    The queue's and the pool's own timers come and go, so that one look would find one too many.
    """
    await warm_up(adapter)
    gc.unfreeze()  # what is frozen cannot be counted
    await adapter.fan(Script(Pace(0.2), tag="warm-up"), 2 * at_once)  # all connections there are
    await _pipelines(adapter, 2 * at_once, at_once)
    first = await _inventory()
    await _pipelines(adapter, runs // 10, at_once)
    early = await _inventory()
    await _pipelines(adapter, runs - runs // 10, at_once)
    after = await _inventory()
    left = {name: after[name] - max(first[name], early[name]) for name in after}
    return {f"left_{name}": value for name, value in left.items()} | {
        "kb_per_run": left["rss"] / runs / 1_000
    }


async def _pipelines(adapter: Adapter, runs: int, at_once: int) -> None:
    slot = asyncio.Semaphore(at_once)

    async def one(n: int) -> None:
        async with slot:
            await adapter.pipeline(Script(Pace(tokens=5), tag=f"run{n}"))

    async with asyncio.TaskGroup() as group:
        for n in range(runs):
            group.create_task(one(n))


async def _inventory() -> dict[str, int]:
    """The least of several looks: what comes and goes by itself is not left behind."""
    await asyncio.sleep(2.5)  # drains have a limit of two seconds
    looks = []
    for _ in range(10):
        await asyncio.sleep(0.07)
        gc.collect()
        timers = [o for o in gc.get_objects() if type(o).__name__ == "TimerHandle"]
        looks.append(
            {
                "tasks": len(asyncio.all_tasks()),
                "sockets_and_files": machine.open_files(),
                "timers": sum(not timer.cancelled() for timer in timers),
                "threads": threading.active_count(),
                "rss": machine.rss_bytes(),
            }
        )
    return {name: min(look[name] for look in looks) for name in looks[0]}


async def faults(
    adapter: Adapter, server: Server, *, fault: str, runs: int, limit_s: float
) -> dict[str, Any]:
    """Every agent's first answer is spoiled; how many were asked again and then answered whole."""
    await warm_up(adapter)
    await asyncio.to_thread(server.reset)

    async def one(n: int) -> bool:
        try:
            async with asyncio.timeout(limit_s):
                await adapter.pipeline(Script(tag=f"run{n}", fault=fault))
        except Exception:  # noqa: BLE001 - whatever it is, the run did not come to its end
            return False
        return True

    start_s = time.monotonic()
    finished = await asyncio.gather(*(one(n) for n in range(runs)))
    took_s = time.monotonic() - start_s
    log = await asyncio.to_thread(server.log)
    return {"runs_finished": sum(finished), "took_s": took_s, **recoveries(log)}


def recoveries(log: Sequence[Arrival]) -> dict[str, Any]:
    """Of the calls that were answered badly, how many got a whole answer later."""
    spoiled = {(a.tag, a.agent) for a in log if a.fault}
    whole = Counter((a.tag, a.agent) for a in log if not a.fault and a.status == 200)
    recovered = sum(1 for call in spoiled if whole[call])
    return {
        "spoiled": len(spoiled),
        "recovered": recovered,
        "recovered_share": recovered / len(spoiled) if spoiled else 0.0,
    }


MEASURES: dict[str, Measure] = {
    "cpu_per_call": cpu_per_call,
    "cpu_per_chunk": cpu_per_chunk,
    "many_pipelines": many_pipelines,
    "lone_run": lone_run,
    "fan_out": fan_out,
    "hidden_limit": hidden_limit,
    "idle_memory": idle_memory,
    "leftovers": leftovers,
    "faults": faults,
}
