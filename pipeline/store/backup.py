"""Copy a SQLite database while runs execute, into one file that is whole or not there.

SQLite's own backup takes one consistent state in a single step, and writers go on meanwhile. Put in
the place of the database, the copy is one: unfinished runs continue from it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from pipeline.errors import StoreError
from pipeline.store.database import is_postgresql
from pipeline.store.sqlite import BUSY_TIMEOUT_MS, database_file, translated

PRIVATE = 0o600  # prompts and articles are nobody else's matter


@dataclass(frozen=True, slots=True)
class Backup:
    """What a finished backup holds; `size` in bytes."""

    file: Path
    size: int
    runs: int
    unfinished: int


def back_up(url: URL, target: Path) -> Backup:
    """Write the backup to `target`, which must not exist. Raises `StoreError` with what to do."""
    if is_postgresql(url):
        raise StoreError(
            "Gantry backs up SQLite only.", "Use pg_dump for PostgreSQL: docs/operations.md."
        )
    source = database_file(url)
    if not source.is_file():
        raise StoreError(
            f"There is no database at {source}.", "Check GANTRY_DATA_DIR or DATABASE_URL."
        )
    if target.exists() or target.is_symlink():
        raise _taken(target)
    unfinished_copy = target.with_name(f".{target.name}.part")
    try:
        _make(unfinished_copy)
        try:
            counts = _copy(url, source, unfinished_copy)
            _appear(unfinished_copy, target)
        finally:
            with suppress(FileNotFoundError):
                unfinished_copy.unlink()
    except OSError as error:
        raise StoreError(
            f"The backup {target} cannot be written: {error.strerror}.",
            "Name a file in a folder you may write to, on a disk with room.",
        ) from error
    return Backup(target, target.stat().st_size, *counts)


def _make(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()  # of a backup that was killed
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))


def _copy(url: URL, source: Path, copy: Path) -> tuple[int, int]:
    """Fill `copy`, check it, and say how many runs it has and how many of them are unfinished."""
    with (
        translated(url),
        closing(sqlite3.connect(source, timeout=BUSY_TIMEOUT_MS / 1000)) as live,
        closing(sqlite3.connect(copy)) as made,
    ):
        live.backup(made, pages=-1)
        made.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        (verdict,) = made.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(
                f"The database {source} is damaged: {verdict}.",
                "Restore an earlier backup; this one was not kept.",
            )
        try:
            (runs, unfinished) = made.execute(
                "SELECT count(*), count(*) FILTER (WHERE status IN ('queued', 'running')) FROM runs"
            ).fetchone()
        except sqlite3.OperationalError as error:
            raise StoreError(f"{source} is not a Gantry database: {error}.") from error
    return int(runs), int(unfinished)


def _appear(copy: Path, target: Path) -> None:
    """Give the copy its name, on disk for good, without ever replacing another file."""
    _to_disk(copy, os.O_RDWR)
    try:
        os.link(copy, target)
    except FileExistsError as error:
        raise _taken(target) from error
    with suppress(PermissionError):  # Windows opens no folders
        _to_disk(target.absolute().parent, os.O_RDONLY)


def _to_disk(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _taken(target: Path) -> StoreError:
    return StoreError(f"{target} exists and is not replaced.", "Name another file.")
