"""What is measured: one function per kind of row. Runs inside the adapter's event loop.

Every function warms up, then measures with the same garbage collector settings for all. CPU is
that of the whole client process, its threads included.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.adapters import Adapter
from benchmarks.workload import AGENTS, Pace, Script

WARM_UP_RUNS = 8
SETTLE_S = 0.5  # for what the warm-up left to do
LAG_EVERY_S = 0.005

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
        self._due_s = self._loop.time() + LAG_EVERY_S
        self._handle = self._loop.call_at(self._due_s, self._tick)

    def _tick(self) -> None:
        self._late_s.append(self._loop.time() - self._due_s)
        self._arm()

    def p99_ms(self) -> float:
        late = sorted(self._late_s)
        return 1_000 * late[min(len(late) - 1, int(0.99 * len(late)))] if late else 0.0


async def warm_up(adapter: Adapter, runs: int = WARM_UP_RUNS) -> None:
    """Let imports, caches and connections be made, then take them out of the collector's way."""
    for _ in range(runs):
        await adapter.pipeline(Script(tag="warm-up"))
    await asyncio.sleep(SETTLE_S)
    gc.collect()
    gc.freeze()


async def cpu_per_call(adapter: Adapter, *, runs: int) -> dict[str, Any]:
    """Pipelines one after another, the server answering at once: what a call costs."""
    await warm_up(adapter)
    cpu_s, wall_s = time.process_time(), time.monotonic()
    for n in range(runs):
        await adapter.pipeline(Script(tag=f"run{n}"))
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    calls = runs * len(AGENTS)
    return {"cpu_ms_per_call": 1_000 * cpu_s / calls, "wall_ms_per_run": 1_000 * wall_s / runs}


async def cpu_per_chunk(
    adapter: Adapter, *, streams: int, tokens: int, tokens_per_s: float, repeat: int
) -> dict[str, Any]:
    """`streams` answers at once, `repeat` times, less what the same calls cost with one token."""
    await warm_up(adapter)
    await adapter.fan(Script(Pace(), tag="warm-up"), streams)  # opens the connections
    empty_s = await _fans(adapter, Script(Pace(tokens=1), tag="empty"), streams, repeat)
    with LagProbe() as lag:
        wall_s = time.monotonic()
        script = Script(Pace(0.0, tokens, tokens_per_s), tag="full")
        full_s = await _fans(adapter, script, streams, repeat)
        wall_s = time.monotonic() - wall_s
    chunks = streams * tokens * repeat
    return {
        "cpu_us_per_chunk": 1e6 * (full_s - empty_s) / chunks,
        "cpu_us_per_chunk_gross": 1e6 * full_s / chunks,
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


MEASURES: dict[str, Measure] = {
    "cpu_per_call": cpu_per_call,
    "cpu_per_chunk": cpu_per_chunk,
}
