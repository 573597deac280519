"""One engine per database file: whoever holds the lock beside it executes runs.

The operating system gives the lock back when its holder dies, however it dies. A note beside it says
who that is; the note of a dead holder stays, and means nothing while nobody holds the lock.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from pipeline.errors import StoreError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that is the engine. `since` is ISO 8601, UTC."""

    pid: int
    host: str
    since: str


class EngineLock:
    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._note = database.with_name(database.name + ".engine")
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
        self._leave_note()
        return True

    def release(self) -> None:
        if self._lock.is_locked:
            self._note.unlink(missing_ok=True)
        self._lock.release()

    def is_free(self) -> bool:
        """Whether nobody held the lock just now. Leaves no lock file behind, and no note."""
        if not self._path.exists():
            return True
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        self._lock.release()
        return True

    def holder(self) -> Holder | None:
        """Who said last that it holds the lock; None when nobody did, or in words we cannot read."""
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return None

    def _leave_note(self) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self._note.write_bytes(
                msgspec.json.encode(Holder(os.getpid(), socket.gethostname(), since))
            )
        except OSError as error:  # only people read it
            logger.warning("Nobody can look up who the engine is: %s", error)
