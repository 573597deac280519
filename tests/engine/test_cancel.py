"""Cancel, seen from the endpoint: sockets close, nothing more is asked, and it stays so."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.agents.edited_output import edited_output
from pipeline.agents.roster import ROSTER
from pipeline.assembly import build_runtime
from pipeline.derived import Edit
from pipeline.engine.embedded import WATCH_S
from pipeline.engine.loop_thread import LoopThread
from pipeline.events import RunFinished
from pipeline.models import Mode, RunSpec, RunStatus
from pipeline.settings import Settings
from tests.engine.cancelling import settings_for, spec_for
from tests.fault_server import FaultServer, Repeat, stream, text
from tests.faulty_demo import TOKEN, FaultyDemo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIMIT_S = 20.0
ENDLESS = stream(text("Half a sentence"), Repeat(text(" and more"), 0.02))


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("endpoint")
    thread.start()
    yield thread
    thread.close(10)


@pytest.fixture
def server(loop: LoopThread) -> Iterator[FaultServer]:
    """An endpoint whose answers never end."""
    server = FaultServer(default=ENDLESS)
    loop.call(server.__aenter__(), 10)
    yield server
    loop.call(server.__aexit__(None, None, None), 10)


@pytest.fixture
def demo(loop: LoopThread) -> Iterator[FaultyDemo]:
    demo = FaultyDemo()
    loop.call(demo.__aenter__(), 10)
    yield demo
    loop.call(demo.__aexit__(None, None, None), 10)


async def within(event: asyncio.Event) -> None:
    async with asyncio.timeout(LIMIT_S):
        await event.wait()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110 - asks another thread
            await asyncio.sleep(0.01)


def asking(demo: FaultyDemo, folder: Path) -> tuple[Settings, RunSpec]:
    """Settings and a run that use the demo as a configured endpoint."""
    url, model = str(demo.client.base_url), "gantry-demo-instant"
    settings = Settings(
        data_dir=folder,
        database_url=None,
        openai_api_key=TOKEN,
        openai_base_url=url,
        openai_model=model,
    )
    spec = RunSpec(
        topic="Heat pumps in old buildings",
        provider="openai",
        model=model,
        base_url=url,
        key_source="configured",
        allow_unsourced=True,
    )
    return settings, spec


def test_cancel_closes_the_sockets_and_keeps_what_was_written(
    tmp_path: Path, loop: LoopThread, server: FaultServer
) -> None:
    url = server.endpoint.base_url
    with build_runtime(settings_for(tmp_path, url)) as runtime:
        run_id = runtime.submit(spec_for(url).model_copy(update={"mode": Mode.DATAFLOW}))
        loop.call(until(lambda: len(server.requests) == 2), LIMIT_S)  # planner and kb researcher
        loop.call(until(lambda: len(runtime.texts(run_id)) == 2), LIMIT_S)

        assert runtime.cancel(run_id)

        for request in server.requests:
            loop.call(within(request.hung_up), LIMIT_S)
        record = runtime.wait(run_id, LIMIT_S)
        assert record is not None and record.status is RunStatus.CANCELLED
        kept = runtime.texts(run_id)
        assert set(kept) == {"topic_planner", "kb_researcher"}
        assert all(written.startswith("Half a sentence") for written in kept.values())
        assert len(server.requests) == 2
        last = runtime.events(run_id)[-1]
        assert isinstance(last, RunFinished) and last.status == "cancelled"


def test_finished_agents_are_kept_and_continuing_asks_only_the_rest(
    tmp_path: Path, loop: LoopThread, demo: FaultyDemo
) -> None:
    settings, spec = asking(demo, tmp_path)
    demo.hold["content_writer"] = asyncio.Event()
    with build_runtime(settings) as runtime:
        run_id = runtime.submit(spec)
        loop.call(within(demo.arrived["content_writer"]), LIMIT_S)
        assert runtime.cancel(run_id)
        loop.call(within(demo.dropped["content_writer"]), LIMIT_S)
        runtime.wait(run_id, LIMIT_S)
        finished = set(runtime.checkpoints(run_id))
        before = demo.requests.copy()
        demo.hold.clear()

        runtime.resume(run_id)

        record = runtime.wait(run_id, LIMIT_S)
        assert record is not None and record.status in (RunStatus.DONE, RunStatus.DEGRADED)
    assert finished == {"topic_planner", "web_researcher", "kb_researcher"}
    assert not finished & set(demo.requests - before)


@pytest.mark.parametrize("streams", [False, True], ids=["just submitted", "streaming"])
def test_a_run_cancelled_right_before_kill_9_never_resumes(
    tmp_path: Path, loop: LoopThread, server: FaultServer, streams: bool
) -> None:
    url = str(server.endpoint.base_url)
    command = [sys.executable, "-m", "tests.engine.cancelling", str(tmp_path), url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            run_id = process.stdout.readline().strip()
            assert run_id, "the child did not start"
            if streams:
                loop.call(within(server.arrived), LIMIT_S)
            process.stdin.write("cancel\n")
            process.stdin.flush()
            assert process.wait(LIMIT_S) == -signal.SIGKILL
        finally:
            process.kill()
    for request in server.requests:
        loop.call(within(request.hung_up), LIMIT_S)
    asked = len(server.requests)

    with build_runtime(settings_for(tmp_path, url)) as runtime:
        other = runtime.submit(spec_for(url))  # its turn comes after that of an unfinished run
        loop.call(until(lambda: len(server.requests) > asked), LIMIT_S)
        record = runtime.wait(run_id, WATCH_S)
        runtime.cancel(other)
        runtime.wait(other, LIMIT_S)
        starts = {e.epoch for e in runtime.events(run_id)}

    assert record is not None
    assert record.status is RunStatus.CANCELLED
    assert record.epoch in ({1} if streams else {0, 1})  # it may not have begun
    assert starts <= {1}


def account(folder: Path) -> tuple[set[tuple[int, int]], dict[str, int]]:
    """Tokens and the part that is an estimate, of run and day; and what each hold reserves."""
    with closing(sqlite3.connect(folder / "gantry.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN")  # one state for both
        sums = database.execute("SELECT tokens, estimated_tokens FROM spending").fetchall()
        held = database.execute("SELECT id, tokens FROM holds").fetchall()
    assert len(sums) == 2
    return set(sums), dict(held)


def test_what_calls_had_reserved_at_kill_9_is_settled_once_as_an_estimate(
    tmp_path: Path, loop: LoopThread, server: FaultServer
) -> None:
    url = str(server.endpoint.base_url)
    command = [sys.executable, "-m", "tests.engine.cancelling", str(tmp_path), url, "900000"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        try:
            loop.call(within(server.arrived), LIMIT_S)
        finally:
            process.kill()
    sums, left = account(tmp_path)
    assert left
    assert sums == {(sum(left.values()), 0)}

    for _ in range(2):  # the first start settles what the crash left; the second finds it done
        asked = len(server.requests)
        expected = sum(left.values()) + next(estimate for _, estimate in sums)
        with build_runtime(settings_for(tmp_path, url)):
            loop.call(until(lambda n=asked: len(server.requests) > n), LIMIT_S)  # type: ignore[misc]
            sums, held = account(tmp_path)
        assert held and not set(held) & set(left)
        assert sums == {(expected + sum(held.values()), expected)}
        sums, left = account(tmp_path)
        assert not left  # a stop in good order settles its calls itself


def test_a_derived_run_that_was_cut_off_goes_on_with_what_it_may_take_over(
    tmp_path: Path, loop: LoopThread, demo: FaultyDemo
) -> None:
    settings, spec = asking(demo, tmp_path)
    with build_runtime(settings) as runtime:
        parent = runtime.submit(spec)
        runtime.wait(parent, LIMIT_S)
        before = runtime.checkpoints(parent)["editor"].output
        edited = edited_output(ROSTER[4], before, f"{before.text}\n\nAmended.")
        demo.hold["publisher"] = asyncio.Event()
        demo.arrived["publisher"].clear()
        demo.requests.clear()
        run_id = runtime.rerun(parent, {"editor": Edit(output=edited)})
        loop.call(within(demo.arrived["publisher"]), LIMIT_S)
    with build_runtime(settings) as runtime:  # closed and started again in the middle
        loop.call(until(lambda: demo.requests["publisher"] == 2), LIMIT_S)
        assert runtime.cancel(run_id)
        runtime.wait(run_id, LIMIT_S)
        shown = set(runtime.checkpoints(run_id))
        demo.hold.clear()
        runtime.resume(run_id, model="gantry-demo-fast")  # for what is left, and for nothing else
        record = runtime.wait(run_id, LIMIT_S)
        outputs = runtime.checkpoints(run_id)

    assert record is not None
    assert (record.status, record.parent_id) == (RunStatus.DONE, parent)
    # the parent's publisher, summary and posts were made from the other text: they are not shown
    assert not shown & {"publisher", "summary_writer", "social_promoter"}
    assert shown >= {"topic_planner", "content_writer", "editor", "seo_specialist"}
    assert demo.requests == {
        "seo_specialist": 1,
        "metrics_analyzer": 1,
        "publisher": 3,
        "summary_writer": 1,
        "social_promoter": 1,
    }
    assert outputs["editor"].edited and outputs["editor"].output == edited
