"""Ask a child process one question, and end it: in time, when it is too big, or on cancellation.

The child gets a directory of its own with the question in it, an environment of a few names, and no
standard input; it answers on its standard output. It is the leader of its own session, so that
what it may have started is killed with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.isolation.child import EXIT_TOO_BIG, LOG, QUESTION
from pipeline.isolation.spawning import spawning_alone

PROJECT = Path(__file__).parents[2]  # where `-m pipeline…` works from
START_TIMEOUT_S = 20.0
END_TIMEOUT_S = 10.0
READ_BYTES = 1 << 20
LOG_TAIL_BYTES = 2_000

# The Rust runtime's words when the system gives no more memory; it has no exit status of its own.
_NO_MEMORY = (b"memory allocation of ", b"cannot allocate memory")

_log = logging.getLogger(__name__)

Failure = Literal["timed_out", "out_of_memory", "crashed", "too_much"]


class ChildFailed(Exception):
    """There is no answer. `failure` says why, without a guess at what in the question was to blame."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a child may use."""

    timeout_s: float  # by the clock; it gets as much processor time
    memory_mb: int  # resident
    answer_max_bytes: int


async def ask_child(module: str, question: bytes, allowance: Allowance) -> bytes:
    """What `python -m module` answers to `question`.

    `module` ends in `pipeline.isolation.child.serve`. Raises `ChildFailed`. However this
    ends, the child has ended too, and its directory is gone.
    """
    with tempfile.TemporaryDirectory(prefix="gantry-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        await asyncio.to_thread((place / QUESTION).write_bytes, question)
        try:
            # Not only the reading: a start that hangs would hold the turn of everybody behind.
            async with asyncio.timeout(allowance.timeout_s):
                return await _answer(module, place, allowance)
        except TimeoutError as error:
            raise ChildFailed("timed_out", f"{allowance.timeout_s:g} s") from error


async def _answer(module: str, place: Path, allowance: Allowance) -> bytes:
    with (place / LOG).open("wb") as log:
        async with spawning_alone(START_TIMEOUT_S):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module),
                *(str(allowance.memory_mb), str(int(allowance.timeout_s) + 1), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=place,
                env=_environment(place),
                start_new_session=True,
            )
    try:
        answer = await _read(process, allowance.answer_max_bytes)
        status = await process.wait()
    finally:
        await asyncio.shield(_end(process))
    if status != 0:
        raise _failure(status, place)
    return answer


async def _read(process: asyncio.subprocess.Process, max_bytes: int) -> bytes:
    assert process.stdout is not None
    answer = bytearray()
    while part := await process.stdout.read(READ_BYTES):
        answer += part
        if len(answer) > max_bytes:
            raise ChildFailed("too_much", f"more than {max_bytes} bytes")
    return bytes(answer)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the child with all it started; it has nothing to save."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # PermissionError: macOS says that of a group of which only the ended leader is left.
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            # The end is not seen while something is left to read.
            while process.stdout is not None and await process.stdout.read(READ_BYTES):
                pass
            await process.wait()
    except TimeoutError:
        _log.error("a child process (%d) was killed but does not end", process.pid)


def _failure(status: int, place: Path) -> ChildFailed:
    said = (place / LOG).read_bytes()[-LOG_TAIL_BYTES:]
    _log.debug("a child process ended with %d: %s", status, said.decode(errors="replace"))
    return ChildFailed(_why(status, said), f"exit status {status}")


def _why(status: int, said: bytes) -> Failure:
    if status == EXIT_TOO_BIG or any(words in said for words in _NO_MEMORY):
        return "out_of_memory"
    if sys.platform != "win32" and status == -signal.SIGXCPU:
        return "timed_out"
    if status == -9:  # SIGKILL, and not ours: the system was short of memory
        return "out_of_memory"
    return "crashed"


def _environment(place: Path) -> dict[str, str]:
    """What Python needs to start, and nothing of ours: no key, no database address, no proxy."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    return kept | {
        "HOME": str(place),
        "TMPDIR": str(place),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Address space is limited, and every thread of a library reserves some.
        "MALLOC_ARENA_MAX": "2",
        "TOKIO_WORKER_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
    }
