"""Measure what a long PDF costs: time, memory of the child, and how long the parent's loop is held up.

    python -m benchmarks.documents [--pages 500]

Makes a PDF of full pages with headings (typst), converts it as an upload is, and cuts it into chunks
on a thread. "Lag" is how much later than asked a task of the same loop wakes up that sleeps 5 ms at a
time; the idle figure is the machine's own. Memory is the highest resident size of the child that was
seen, looked at every 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import typst

from benchmarks.machine import cores
from pipeline.knowledge.chunks import chunks_of
from pipeline.knowledge.convert import convert

TICK_S = 0.005
LOOK_S = 0.01
IDLE_S = 5.0
MB = 1 << 20
SENTENCE = (
    "Sentence {} of page {} says something of heat pumps, and of the buildings they are put into. "
)
SENTENCES_PER_PAGE = 36


@dataclass
class Seen:
    lags_s: list[float] = field(default_factory=list)
    child_bytes: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=500)
    asyncio.run(measure(parser.parse_args().pages))


async def measure(pages: int) -> None:
    async with watched() as idle:
        await asyncio.sleep(IDLE_S)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.pdf"
        path.write_bytes(await asyncio.to_thread(long_pdf, pages))
        size = path.stat().st_size
        async with watched() as converting:
            began = time.perf_counter()
            converted = await convert(path, "long.pdf")
            took_s = time.perf_counter() - began
    async with watched() as cutting:
        began = time.perf_counter()
        chunks = await asyncio.to_thread(chunks_of, converted.pages)
        cut_s = time.perf_counter() - began
    print(f"{len(converted.pages)} pages, {size / 1e6:.1f} MB, {len(cores())} cores")
    print(f"{sum(len(p.markdown) for p in converted.pages):,} characters, {len(chunks):,} chunks\n")
    print("| | seconds | child, MB | lag median / 99 % / most, ms |")
    print("| --- | --- | --- | --- |")
    row("idle loop", IDLE_S, idle)
    row("conversion", took_s, converting)
    row("chunks (thread)", cut_s, cutting)


def row(what: str, took_s: float, seen: Seen) -> None:
    lags = sorted(lag * 1_000 for lag in seen.lags_s)
    told = f"{statistics.median(lags):.1f} / {lags[int(len(lags) * 0.99)]:.1f} / {lags[-1]:.1f}"
    child = f"{seen.child_bytes / MB:.0f}" if seen.child_bytes else "–"
    print(f"| {what} | {took_s:.1f} | {child} | {told} |")


def long_pdf(pages: int) -> bytes:
    """Full A4 pages, each a chapter with two sections."""
    source = ['#set page(paper: "a4", numbering: "1")', "#set par(justify: true)"]
    for page in range(1, pages + 1):
        half = SENTENCES_PER_PAGE // 2
        words = [SENTENCE.format(n, page) for n in range(1, SENTENCES_PER_PAGE + 1)]
        source += [f"= Chapter {page}", "".join(words[:half]), f"== More of {page}"]
        source += ["".join(words[half:]), "#pagebreak(weak: true)"]
    return typst.compile("\n".join(source).encode())


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Seen]:
    seen = Seen()
    tasks = [asyncio.create_task(tick(seen)), asyncio.create_task(look(seen))]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def tick(seen: Seen) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(TICK_S)
        seen.lags_s.append(time.perf_counter() - before - TICK_S)


async def look(seen: Seen) -> None:
    """In a thread: asking the system takes time of its own."""
    me = psutil.Process()
    while True:
        seen.child_bytes = max(seen.child_bytes, await asyncio.to_thread(children_bytes, me))
        await asyncio.sleep(LOOK_S)


def children_bytes(me: psutil.Process) -> int:
    found = 0
    for child in me.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += child.memory_info().rss
    return found


if __name__ == "__main__":
    main()
