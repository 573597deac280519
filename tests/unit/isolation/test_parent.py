"""A child is asked, bounded and ended; nothing of it is left, however it goes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import uvloop

from pipeline.isolation.child import FILE_MAX_BYTES, FILES_MAX
from pipeline.isolation.parent import Allowance, ChildFailed, ask_child
from tests.children import isolated_children

pytestmark = pytest.mark.slow

CHILD = "tests.unit.isolation.child_that"
ALLOWANCE = Allowance(timeout_s=60.0, memory_mb=120, answer_max_bytes=1_000_000)
ROOT = Path(__file__).parents[3]


async def failure(question: str, allowance: Allowance = ALLOWANCE) -> str:
    with pytest.raises(ChildFailed) as failed:
        await ask_child(CHILD, question.encode(), allowance)
    assert isolated_children() == []
    return failed.value.failure


async def test_the_answer_is_what_the_child_returns_whatever_libraries_print() -> None:
    assert await ask_child(CHILD, b"echoes", ALLOWANCE) == b"echoes"


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("talks without end", "too_much"),
        ("breaks", "crashed"),
        ("aborts", "crashed"),
        ("is killed by the system", "out_of_memory"),
        ("grows", "out_of_memory"),
    ],
)
async def test_a_child_that_fails_is_told_by_how_it_ended(question: str, wanted: str) -> None:
    assert await failure(question) == wanted


async def test_memory_taken_at_once_is_refused_where_the_system_can_or_seen_at_once() -> None:
    wanted = "crashed" if sys.platform == "linux" else "out_of_memory"  # a MemoryError on Linux

    assert await failure("takes it all at once") == wanted


async def test_a_child_that_hangs_is_killed_with_all_it_started() -> None:
    before = {process.pid for process in psutil.process_iter()}

    told = await failure("starts others and hangs", Allowance(3.0, 120, 100))

    left = [p for p in psutil.process_iter() if p.pid not in before and "sleep(600)" in _line(p)]
    assert told == "timed_out"
    assert left == []


async def test_cancelling_kills_the_child() -> None:
    asking = asyncio.create_task(ask_child(CHILD, b"hangs", ALLOWANCE))
    while not isolated_children():  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0.005)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert isolated_children() == []


async def test_the_child_has_limits_a_session_and_a_folder_of_its_own_and_no_input() -> None:
    told = json.loads(await ask_child(CHILD, b"tells", ALLOWANCE))

    assert told.pop("threads") == 2  # its own and the one that watches
    assert told == {
        "core": 0,
        "cpu": 61,
        "files": FILES_MAX,
        "size": FILE_MAX_BYTES,
        "leads": True,
        "stdin": "",
        "folder": ["log", "question"],
    }


async def test_the_child_reaches_no_server_where_the_system_can_cut_it_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        question = f"connects to {server.getsockname()[1]}"

        told = json.loads(await ask_child(CHILD, question.encode(), ALLOWANCE))

    assert told["connected"] is told["open"]


def test_a_child_ends_when_its_parent_is_killed() -> None:
    program = (
        "import asyncio; from pipeline.isolation.parent import *;"
        f"asyncio.run(ask_child({CHILD!r}, b'hangs', Allowance(60.0, 120, 100)))"
    )
    parent = psutil.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (children := parent.children()):
        os.sched_yield()

    parent.kill()
    parent.wait()

    gone, left = psutil.wait_procs(children, timeout=20)
    assert (len(gone), left) == (1, [])


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.parametrize("question", ["echoes", "talks without end", "hangs"])
def test_it_is_the_same_in_the_loop_that_runs_the_pipeline(question: str) -> None:
    async def ask() -> str:
        try:
            return (await ask_child(CHILD, question.encode(), Allowance(2.0, 120, 1_000))).decode()
        except ChildFailed as error:
            return error.failure

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(ask())

    wanted = {"echoes": "echoes", "talks without end": "too_much", "hangs": "timed_out"}
    assert told == wanted[question]
    assert isolated_children() == []


def test_the_socket_the_dashboard_listens_on_does_not_reach_the_child() -> None:
    """uvloop hands on what is inheritable, as Streamlit makes its server's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            answer = runner.run(ask_child(CHILD, b"holds", ALLOWANCE))
        status = os.fstat(listening.fileno())

    held = json.loads(answer)
    assert len(held) >= 3  # the standard streams
    assert [status.st_dev, status.st_ino] not in held
