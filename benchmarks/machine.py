"""The machine under the benchmark: cores, clocks, memory, and what to say about it."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

PRIORITY = -10  # "nice" of the processes that are measured
PACKAGES = ("openai", "httpx2", "aiohttp", "msgspec", "pydantic", "sqlalchemy", "uvloop")


def cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(core: int | None) -> None:
    """Stay on one core; does nothing where the system cannot."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def claim(core: int | None) -> bool:
    """Stay on `core` and go before what else runs here; False when the system does not allow it.

    Other programs on the machine then change the wall-clock figures less. A process should be
    alone in its session: Linux shares the processor out between sessions first.
    """
    pin(core)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        group = Path("/proc/self/autogroup")
        if group.exists():
            group.write_text(str(PRIORITY))
    except OSError:
        return False
    return True


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def rss_bytes() -> int:
    """Memory this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Open file descriptors of this process (Linux)."""
    return len(list(Path("/proc/self/fd").iterdir()))


def fsync_ms(folder: Path, times: int = 40) -> list[float]:
    """How long a write that cannot be lost takes, sorted."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(b"x" * 4_096)
            file.flush()
            start_s = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1_000 * (time.perf_counter() - start_s))
    return sorted(took)


def describe() -> dict[str, object]:
    fsync = fsync_ms(Path(tempfile.gettempdir()))
    return {
        "fsync_p50_ms": fsync[len(fsync) // 2],
        "fsync_p95_ms": fsync[int(0.95 * len(fsync))],
        "cores": len(cores()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
    }


def versions(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if sys.platform != "linux" or not info.exists():
        return platform.processor()
    lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return lines[0].partition(":")[2].strip() if lines else ""
