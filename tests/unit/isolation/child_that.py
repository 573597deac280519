"""A child for the tests: does what its question says."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.isolation.child import FILES_MAX, MB, serve


def answer(question: bytes) -> bytes:
    words = question.decode()
    if words.startswith("connects to "):
        return json.dumps(connects(int(words.removeprefix("connects to ")))).encode()
    match words:
        case "echoes":
            print("a library talks")
            os.write(1, b"and its C code too")
            return question
        case "talks without end":
            return b"x" * 5_000_000
        case "breaks":
            raise ValueError("a defect")
        case "aborts":
            os.abort()
        case "grows":
            kept = []
            while True:
                kept.append(bytearray(os.urandom(MB)))
                time.sleep(0.002)
        case "takes it all at once":
            bytearray(8_000 * MB)
        case "hangs":
            time.sleep(600)
        case "starts others and hangs":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            time.sleep(600)
        case "is killed by the system":
            os.kill(os.getpid(), 9)
        case "holds":
            return json.dumps([[*identity] for identity in held()]).encode()
        case "tells":
            return json.dumps(told()).encode()
    return b""


def held() -> Iterator[tuple[int, int]]:
    """What each open file is: device and inode."""
    for number in range(FILES_MAX):
        with contextlib.suppress(OSError):  # not open
            status = os.fstat(number)
            yield status.st_dev, status.st_ino


def connects(port: int) -> dict[str, bool]:
    """Whether the system kept the network open, and whether a server on `port` is reached."""
    sys.stderr.flush()
    is_open = "keeps the network open" in Path("log").read_text()
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return {"open": is_open, "connected": False}
    return {"open": is_open, "connected": True}


def told() -> dict[str, object]:
    import resource

    return {
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "cpu": resource.getrlimit(resource.RLIMIT_CPU)[0],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "size": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
        "leads": os.getsid(0) == os.getpid(),
        "stdin": sys.stdin.read(),
        "folder": sorted(os.listdir()),  # noqa: PTH208
        "threads": threading.active_count(),
    }


serve(answer)
