"""Several processes on one PostgreSQL keep one provider's limits together."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import URL

from pipeline.engine.loop_thread import LoopThread
from pipeline.llm.admission import Gate, Lease, SharedLimits, Ticket, lease
from pipeline.llm.admission.team import SharedRow
from pipeline.models import ToldLimit
from pipeline.settings import Settings
from pipeline.store import database_url, migrate
from pipeline.store.shared_limits import ROWS_NOW, PostgresLimits, row_of
from tests.postgres import PostgresServer

KEY = ("http://h/v1", "m")


@pytest.fixture
def url(postgres: PostgresServer) -> URL:
    url = database_url(Settings(database_url=postgres.fresh_database()))
    migrate(url)
    return url


@pytest.fixture
async def pair(url: URL) -> AsyncIterator[tuple[PostgresLimits, PostgresLimits]]:
    """As two processes have them, without limits."""
    pair = PostgresLimits(url), PostgresLimits(url)
    yield pair
    for each in pair:
        await each.aclose()


async def test_what_is_taken_together_is_never_more_than_there_is(url: URL) -> None:
    processes = [PostgresLimits(url, tokens_per_minute=600) for _ in range(4)]

    leases = await asyncio.gather(
        *(each.reserve(KEY, 8, 800.0) for each in processes for _ in range(4))
    )

    granted = sum(each.tokens for each in leases)
    assert 600 <= granted <= 600 + 10 * 5  # full, and what comes back while they ask
    assert all(each.requests == each.tokens / 100 for each in leases)
    waits = [each.wait_s for each in leases if not each.requests]
    assert waits and all(0 < wait_s <= 10.0 for wait_s in waits)
    for each in processes:
        await each.aclose()


async def test_requests_are_spread_evenly_by_the_database_clock(url: URL) -> None:
    limits = PostgresLimits(url, requests_per_minute=60)

    first = await limits.reserve(KEY, 5, 0.0)
    second = await limits.reserve(KEY, 5, 0.0)

    assert (first.requests, second.requests) == (1, 0)
    assert 0.0 < second.wait_s <= 1.0
    await limits.aclose()


async def test_without_a_limit_what_is_asked_is_granted(
    pair: tuple[PostgresLimits, PostgresLimits],
) -> None:
    lease = await pair[0].reserve(KEY, 7, 700.0)

    assert (lease.requests, lease.tokens, lease.wait_s) == (7, 700.0, 0.0)


async def test_a_call_larger_than_the_limit_goes_when_the_bucket_is_full(url: URL) -> None:
    limits = PostgresLimits(url, tokens_per_minute=1_000)

    first = await limits.reserve(KEY, 1, 5_000.0)
    second = await limits.reserve(KEY, 1, 1.0)

    assert (first.requests, first.tokens) == (1, 5_000.0)
    assert 230 < second.wait_s <= 241  # the debt of 4,000 is paid first
    await limits.aclose()


async def test_what_was_not_used_goes_back_to_everybody(url: URL) -> None:
    first, second = (PostgresLimits(url, tokens_per_minute=600) for _ in range(2))
    await first.reserve(KEY, 1, 600.0)
    assert (await second.reserve(KEY, 1, 500.0)).requests == 0

    await first.settle(KEY, 0, 590.0)

    assert (await second.reserve(KEY, 1, 500.0)).requests == 1
    for each in (first, second):
        await each.aclose()


async def test_a_refusal_of_one_cools_the_others_and_the_longest_holds(
    pair: tuple[PostgresLimits, PostgresLimits],
) -> None:
    await pair[0].cool(KEY, 20.0)
    await pair[1].cool(KEY, 5.0)

    lease = await pair[1].reserve(KEY, 1, 0.0)
    other_model = await pair[1].reserve((KEY[0], "other"), 1, 0.0)

    assert lease.requests == 0
    assert 15.0 < lease.wait_s <= 20.0
    assert other_model.requests == 1


async def test_after_a_cool_down_nobody_gets_a_herds_worth(
    pair: tuple[PostgresLimits, PostgresLimits],
) -> None:
    await pair[0].cool(KEY, 0.01)
    while not (lease := await pair[1].reserve(KEY, 32, 0.0)).requests:  # noqa: ASYNC110
        await asyncio.sleep(lease.wait_s)

    assert lease.requests == 1
    while (await pair[1].reserve(KEY, 32, 0.0)).requests != 32:
        pass  # half a second later


async def test_what_a_provider_tells_one_is_known_to_all_but_a_configured_limit_stays(
    url: URL, pair: tuple[PostgresLimits, PostgresLimits]
) -> None:
    first, second = pair
    await first.learned(KEY, (ToldLimit("tokens", 6_000.0, 300.0), ToldLimit("in_flight", 3.0)))
    assert (await second.reserve(KEY, 1, 5_000.0)).requests == 0
    assert (await second.reserve(KEY, 1, 200.0)).requests == 1

    own = ("http://own/v1", "m")
    configured = PostgresLimits(url, tokens_per_minute=100)
    await first.reserve(own, 1, 1.0)
    await configured.reserve(own, 1, 1.0)
    await first.learned(own, (ToldLimit("tokens", 6_000.0, 6_000.0),))
    assert (await configured.reserve(own, 1, 101.0)).requests == 0
    await configured.aclose()


async def test_a_look_at_the_rows_says_what_is_left_and_takes_nothing(
    url: URL, pair: tuple[PostgresLimits, PostgresLimits]
) -> None:
    configured = PostgresLimits(url, requests_per_minute=60, tokens_per_minute=6_000)
    own, told_of = ("http://me:secret@own/v1", "m"), ("http://told/v1", "m")
    await configured.reserve(own, 1, 2_000.0)
    await pair[0].learned(told_of, (ToldLimit("requests", 100.0, 40.0),))
    await pair[1].cool(told_of, 20.0)

    rows = await shown_rows(configured)
    again = await shown_rows(configured)

    assert rows.keys() == again.keys() == {"http://own/v1", "http://told/v1"}
    row = rows["http://own/v1"]
    assert [(x.unit, x.per_minute, x.source) for x in row.limits] == [
        ("requests", 60.0, "configured"),
        ("tokens", 6_000.0, "configured"),
    ]
    requests, tokens = row.limits
    assert requests.available is None  # spread evenly: what is left says nothing
    assert tokens.available is not None and 4_000 <= tokens.available < 5_000
    assert row.cooling_s == 0.0
    (limit,) = rows["http://told/v1"].limits
    assert (limit.per_minute, limit.source) == (100.0, "told")
    assert limit.available is not None and 40 <= limit.available < 60
    assert 15.0 < again["http://told/v1"].cooling_s <= rows["http://told/v1"].cooling_s <= 20.0
    await configured.aclose()


async def shown_rows(limits: PostgresLimits) -> dict[str, SharedRow]:
    pool = await limits._connected()
    rows = [row_of(found) for found in await pool.fetch(ROWS_NOW)]
    return {row.endpoint: row for row in rows}


async def test_limits_by_the_day_are_left_to_each_process(
    pair: tuple[PostgresLimits, PostgresLimits],
) -> None:
    await pair[0].learned(KEY, (ToldLimit("requests", 100.0, 0.0, 3_000.0, None),))
    await pair[0].learned(KEY, (ToldLimit("requests", 100.0, 0.0, None, 86_400.0),))

    assert (await pair[1].reserve(KEY, 3, 0.0)).requests == 3


async def test_a_name_no_database_could_hold_is_a_key_like_others(
    pair: tuple[PostgresLimits, PostgresLimits],
) -> None:
    key = ("http://h/v1" + "x" * 10_000, "m\ud800\x00")

    assert (await pair[0].reserve(key, 2, 0.0)).requests == 2


async def test_an_endpoint_nobody_asked_for_a_week_is_forgotten(
    url: URL, postgres: PostgresServer, pair: tuple[PostgresLimits, PostgresLimits]
) -> None:
    await pair[0].reserve(KEY, 1, 0.0)
    await pair[0].reserve(("http://old/v1", "m"), 1, 0.0)
    name = url.database or ""
    postgres.ask("UPDATE shared_limits SET at = now() - interval '8 days' WHERE model = 'm'", name)

    await pair[1].reserve(("http://new/v1", "m"), 1, 0.0)

    assert [tuple(row) for row in postgres.ask("SELECT endpoint FROM shared_limits", name)] == [
        ("http://new/v1",)
    ]
    assert (await pair[0].reserve(KEY, 1, 0.0)).requests == 1  # made again


async def test_the_last_configured_limit_holds(url: URL) -> None:
    old, new, none = (PostgresLimits(url, tokens_per_minute=t) for t in (100, 1_000, None))

    await old.reserve(KEY, 1, 1.0)
    await new.reserve(KEY, 1, 1.0)
    assert (await old.reserve(KEY, 1, 900.0)).wait_s < 60.0  # 1,000 a minute now
    assert (await none.reserve(KEY, 9, 9_000.0)).requests == 9
    for each in (old, new, none):
        await each.aclose()


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("limits-under-test")
    thread.start()
    yield thread
    assert thread.close(5)


Pair = tuple[list[PostgresLimits], float, float]


@pytest.fixture(scope="module", params=[(120.0, 1e6), (60_000.0, 6_000.0)], ids=["calls", "tokens"])
def limited(
    request: pytest.FixtureRequest, postgres: PostgresServer, loop: LoopThread
) -> Iterator[Pair]:
    """As two processes have them; requests and tokens a minute, one of which is short."""
    url = database_url(Settings(database_url=postgres.migrated_database()))
    two = [PostgresLimits(url, *request.param) for _ in range(2)]
    yield two, *request.param
    for each in two:
        loop.call(each.aclose(), 10)


asked = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 20), st.floats(0, 900)),
        st.tuples(st.just("pass"), st.just(0), st.floats(0, 30)),
        st.tuples(st.just("back"), st.just(0), st.floats(0, 1)),
    ),
    max_size=25,
)


@hypothesis_settings(max_examples=25, deadline=None)
@given(steps=asked)
def test_over_any_stretch_two_processes_take_no_more_than_the_limit_gives(
    loop: LoopThread, limited: Pair, steps: list[tuple[str, int, float]]
) -> None:
    """Time passes by moving the row's own times back; what really passes comes on top."""
    two, rpm, tpm = limited
    key = ("http://h/v1", secrets.token_hex(8))
    passed_s, last = 0.0, Lease(0, 0.0)
    taken: list[tuple[float, float, float]] = []  # asked when; requests, tokens
    for number, (step, count, value) in enumerate(steps):
        process = two[number % 2]
        asked_s = passed_s + time.monotonic()
        if step == "reserve":
            last = loop.call(process.reserve(key, count, count * value), 10)
            taken.append((asked_s, last.requests, last.tokens))
            assert (last.requests == 0) == (last.wait_s > 0.0)
            assert last.requests <= count
        elif step == "pass":
            loop.call(pass_time(process, key, value), 10)
            passed_s += value
        else:  # a call used less than it had reserved
            loop.call(process.settle(key, 0, last.tokens * value), 10)
            taken.append((asked_s, 0.0, -last.tokens * value))
            last = Lease(0, 0.0)

        now_s = passed_s + time.monotonic()
        for first, (since_s, _, _) in enumerate(taken):
            stretch_s = now_s - since_s
            requests = sum(entry[1] for entry in taken[first:])
            tokens = sum(entry[2] for entry in taken[first:])
            assert requests <= max(1.0, rpm / 600) + rpm / 60 * stretch_s + 1e-3
            assert tokens <= tpm + tpm / 60 * stretch_s + 1e-3


async def pass_time(limits: PostgresLimits, key: tuple[str, str], seconds: float) -> None:
    pool = await limits._connected()
    await pool.execute(
        "UPDATE shared_limits SET at = at - make_interval(secs => $2) WHERE model = $1",
        key[1],
        seconds,
    )


TAKE_ALL = """
import asyncio, sys
from sqlalchemy import make_url
from pipeline.store.shared_limits import PostgresLimits

async def main():
    limits = PostgresLimits(make_url(sys.argv[1]), tokens_per_minute=12_000)
    print((await limits.reserve(("http://h/v1", "m"), 1, 12_000.0)).requests, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_what_a_dead_process_had_taken_is_void_after_its_time(url: URL) -> None:
    child = subprocess.Popen(  # noqa: ASYNC220 - starting it takes no time
        [sys.executable, "-c", TAKE_ALL, url.render_as_string(hide_password=False)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == "1\n"
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    child.stdout.close()
    limits = PostgresLimits(url, tokens_per_minute=12_000)

    async with asyncio.timeout(30):
        while not (lease := await limits.reserve(KEY, 1, 400.0)).requests:
            assert lease.wait_s <= 2.0  # 400 of 200 a second
            await asyncio.sleep(lease.wait_s)
    await limits.aclose()


async def test_without_the_database_a_gate_goes_on_by_itself_says_so_and_comes_back(
    url: URL,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lease, "DOWN_S", 0.05)
    port = PostgresLimits(url)
    shared: SharedLimits = port
    gate = Gate(4, key=KEY, shared=shared)
    async with gate.admit(Ticket("r")):
        pass
    await asyncio.to_thread(postgres.stop)
    try:
        for _ in range(50):  # what was left of the lease, and then more
            async with asyncio.timeout(20), gate.admit(Ticket("r")):
                pass
    finally:
        await asyncio.to_thread(postgres.start)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert sum("own limits hold" in message for message in said) == 1

    other = PostgresLimits(url)
    await other.cool(KEY, 60.0)
    async with asyncio.timeout(20):
        while not gate.wait_reason():
            async with gate.admit(Ticket("r")):
                await asyncio.sleep(0)
    assert gate.wait_reason() == "shared"
    await gate.aclose()
    for each in (port, other):
        await each.aclose()


WORK = """
import asyncio, sys, time
from sqlalchemy import make_url
from pipeline.llm.admission import Gate, Ticket
from pipeline.store.shared_limits import PostgresLimits

async def main():
    limits = PostgresLimits(make_url(sys.argv[1]), requests_per_minute=1_200)
    gate = Gate(64, key=("http://h/v1", "m"), shared=limits)
    async def work():
        async with gate.admit(Ticket("r")):
            print(time.monotonic(), flush=True)
    print("ready", flush=True)
    sys.stdin.readline()
    async with asyncio.TaskGroup() as group:
        for _ in range(int(sys.argv[2])):
            group.create_task(work())
    await gate.aclose()
    await limits.aclose()

asyncio.run(main())
"""


@pytest.mark.slow
def test_three_processes_together_keep_to_the_limit_and_use_it(url: URL, tmp_path: Path) -> None:
    calls, per_s, jitter_s = 40, 20.0, 0.5
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, url.render_as_string(hide_password=False), str(calls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60)[0] for child in children]

    starts = sorted(float(line) for lines in said for line in lines.split())
    assert len(starts) == 3 * calls
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            passed_s = starts[last] - starts[first]
            assert last - first + 1 <= 2 + per_s * (passed_s + jitter_s)
    assert starts[-1] - starts[0] < 2 * len(starts) / per_s
