"""What runs in a child: limits first, then one question, one answer.

The limits are the system's where it has them. Resident memory, which no system limits, is watched
from inside: an honest library is stopped in time, a program that has taken over the child is not.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

MB = 1 << 20
QUESTION = "question"  # a file in the child's directory
LOG = "log"  # where its standard error goes
EXIT_TOO_BIG = 77
WATCH_EVERY_S = 0.05
# Address space is reserved before it is used, most of it never: libraries map a few hundred MB.
RESERVED_MB = 1_024
# Of each file it may write. kreuzberg unpacks a library of 7 MB before it loads it.
FILE_MAX_BYTES = 32 * MB
FILES_MAX = 64  # open at once
FIRST_NOT_STANDARD = 3

# From <linux/sched.h>: what everybody may make, and what only a user of one's own making may.
_NEW_USER = 0x10000000
_NEW_NETWORK = 0x40000000


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer the question in this directory on standard output. Called once, as the program."""
    memory_mb, cpu_s, parent = map(int, sys.argv[1:4])
    close_inherited()
    # What a library prints must not mix with the answer.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if not leave_network():
        sys.stderr.write("this system keeps the network open\n")
    limit_this_process(memory_mb, cpu_s)
    threading.Thread(target=_watch, args=(memory_mb, parent), daemon=True).start()
    question = Path(QUESTION).read_bytes()
    with out:
        out.write(answer(question))


def close_inherited() -> None:
    """Close all but the standard streams. Call it before anything is opened.

    uvloop, unlike asyncio, hands a child whatever its parent marked as inheritable, and the
    dashboard's server marks the socket it listens on: a child could answer in its place, and would
    keep its port when it is killed.
    """
    if sys.platform != "win32":  # where uvloop does not exist
        os.closerange(FIRST_NOT_STANDARD, os.sysconf("SC_OPEN_MAX"))


def leave_network() -> bool:
    """Move into a network of its own, which has no way out; whether the system lets a process do that.

    Linux does for everybody, unless a container or a setting forbids it. Call it before any thread starts.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    return unshare is not None and unshare(_NEW_USER | _NEW_NETWORK) == 0


def limit_this_process(memory_mb: int, cpu_s: int) -> None:
    """Set the system's limits. Where there is no such limit (Windows, macOS for memory), none is set."""
    if sys.platform == "win32":
        return
    import resource

    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, FILE_MAX_BYTES),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_AS, (memory_mb + RESERVED_MB) * MB),
    ]
    for kind, value in limits:
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            # macOS takes no limit of address space below what is mapped already.
            if kind != resource.RLIMIT_AS:
                raise


def resident_mb() -> int:
    """Memory this process holds now; where the system does not say, the most it ever held."""
    told = Path("/proc/self/statm")
    if told.exists():
        # Not ru_maxrss: on Linux that begins with what the parent held.
        return int(told.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // MB
    if sys.platform == "win32":
        return 0
    import resource

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held // MB if sys.platform == "darwin" else held // 1024


def _watch(memory_mb: int, parent: int) -> None:
    """End this process when it is too big, or when nobody is left to read its answer."""
    while True:
        if resident_mb() > memory_mb:
            os._exit(EXIT_TOO_BIG)
        # On Windows a virtual environment's Python is started by a starter of its own.
        if sys.platform != "win32" and os.getppid() != parent:
            os._exit(1)
        time.sleep(WATCH_EVERY_S)
