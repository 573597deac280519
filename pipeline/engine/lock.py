"""One engine per database file: whoever holds the lock beside it executes runs.

The operating system gives the lock back when its holder dies, however it dies.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import StoreError


class EngineLock:
    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._lock = FileLock(self._path, thread_local=False)

    def acquire(self) -> bool:
        """Take the lock without waiting. False when another process holds it."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as exc:
            raise StoreError(
                f"The lock file {self._path} cannot be used: {exc.strerror}.",
                "Check that you may write there, or set GANTRY_DATA_DIR to another folder.",
            ) from exc
        return True

    def release(self) -> None:
        self._lock.release()
