"""The hub: one ticker and one encoding per run, whoever watches."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.web.hub import (
    CLOSE_FAILED,
    CLOSE_FINISHED,
    CLOSE_TOO_SLOW,
    MAX_BACKLOG,
    Hub,
    LiveSource,
    TooManyWatchers,
    Watcher,
)

LIMIT_S = 5.0


class CountingSource:
    """Tells numbers up to `last`; `fails` breaks it on the way."""

    def __init__(self, last: int, *, fails: bool = False) -> None:
        self.last, self.fails, self.told = last, fails, 0

    @property
    def finished(self) -> bool:
        return self.told >= self.last

    def snapshot(self) -> bytes:
        return f"snapshot {self.told}".encode()

    async def aside(self) -> bytes | None:
        return None

    async def advance(self) -> bytes | None:
        if self.fails:
            raise ValueError("a bug in the source")
        self.told += 1
        return str(self.told).encode()


def hub_of(source: LiveSource | None, **options: float) -> Hub:
    async def open_source(_run_id: str) -> LiveSource | None:
        return source

    return Hub(
        open_source,
        tick_s=options.get("tick_s", 0.0),
        max_watchers=int(options.get("max_watchers", 9)),
    )


async def read_all(watcher: Watcher) -> list[str]:
    messages = []
    async with asyncio.timeout(LIMIT_S):
        while (message := await watcher.get()) is not None:
            messages.append(message.decode())
    return messages


async def joined(hub: Hub) -> Watcher:
    watcher = await hub.join("run")
    assert watcher is not None
    return watcher


async def test_two_watchers_get_the_same_and_the_source_is_asked_once() -> None:
    source = CountingSource(3)
    hub = hub_of(source)
    first, second = await joined(hub), await joined(hub)

    told = [await read_all(first), await read_all(second)]

    assert told == [["snapshot 0", "1", "2", "3"]] * 2
    assert source.told == 3
    assert first.code == CLOSE_FINISHED


async def test_an_unknown_run_has_no_watchers() -> None:
    assert await hub_of(None).join("run") is None


async def test_a_run_has_a_limit_of_watchers() -> None:
    hub = hub_of(CountingSource(9), tick_s=60.0, max_watchers=1)
    await joined(hub)

    with pytest.raises(TooManyWatchers):
        await hub.join("run")

    await hub.aclose()


async def test_the_last_to_leave_stops_the_ticker() -> None:
    hub = hub_of(CountingSource(1_000_000), tick_s=60.0)
    watcher = await joined(hub)

    await hub.leave("run", watcher)

    assert [t for t in asyncio.all_tasks() if t.get_name() == "live:run"] == []


async def test_a_watcher_who_reads_nothing_is_let_go_and_may_start_over() -> None:
    hub = hub_of(CountingSource(MAX_BACKLOG * 2))
    slow, quick = await joined(hub), await joined(hub)

    await read_all(quick)
    told = await read_all(slow)

    assert (len(told), slow.code) == (MAX_BACKLOG, CLOSE_TOO_SLOW)
    assert quick.code == CLOSE_FINISHED
    await hub.aclose()


async def test_a_bug_in_a_source_ends_its_watchers_and_nobody_elses() -> None:
    hub = hub_of(CountingSource(3, fails=True))
    watcher = await joined(hub)

    told = await read_all(watcher)

    assert told == ["snapshot 0"]
    assert watcher.code == CLOSE_FAILED
