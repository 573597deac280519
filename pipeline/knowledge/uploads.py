"""Files on their way into the knowledge base: taken at once, read one after another, watched by pages.

Owned by the pipeline's loop, so that an upload goes on when its tab is closed. What is under way when
the process ends is not taken up again: the file is still its owner's.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from pipeline.errors import GantryError, SpecError
from pipeline.knowledge.reading import read_document
from pipeline.knowledge.service import Knowledge
from pipeline.redaction import redact

MAX_WAITING: Final = 200  # files of one owner that are not read yet
KEPT: Final = 200  # states of one owner that are remembered

logger = logging.getLogger(__name__)


class UploadState(StrEnum):
    WAITING = "waiting"  # for the files before it
    READING = "reading"
    STORED = "stored"
    KNOWN = "known"  # the same file was there already
    REFUSED = "refused"  # `problem` says why, and what to do


@dataclass(frozen=True, slots=True)
class Upload:
    """One file. `seconds` is what reading took; `passages` what it became."""

    number: int
    name: str
    size: int
    state: UploadState
    problem: str = ""
    warnings: tuple[str, ...] = ()
    passages: int = 0
    seconds: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.state not in (UploadState.WAITING, UploadState.READING)


class Uploads:
    """Files of all owners. Every method is called in the loop."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._folder: Path | None = None  # made with the first file
        self._turn = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._states: dict[str, dict[int, Upload]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Stop reading and forget the files."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def take(self, owner: str, name: str, content: bytes) -> Upload:
        """Have the file read; returns at once. Raises `SpecError` when too many wait, or the disk is full."""
        waiting = sum(not one.is_over for one in self._states.get(owner, {}).values())
        if waiting >= MAX_WAITING:
            raise SpecError(
                f"{waiting} files are waiting to be read already.", "Add the rest when those are."
            )
        upload = Upload(next(self._numbers), name, len(content), UploadState.WAITING)
        path = await self._kept(upload, content)
        self._note(owner, upload)  # not before: what cannot be kept would wait for ever
        task = asyncio.create_task(self._read(owner, upload, path), name="read a document")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return upload

    async def _kept(self, upload: Upload, content: bytes) -> Path:
        """The file, until it has been read; under a number, never under its owner's name for it."""
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="gantry-uploads-"))
            path = self._folder / str(upload.number)
            await asyncio.to_thread(path.write_bytes, content)
        except OSError as error:
            raise SpecError(
                f"“{upload.name}” cannot be kept until it is read: {error.strerror}.",
                "Make room for temporary files, then add it again.",
            ) from error
        return path

    def states(self, owner: str) -> tuple[Upload, ...]:
        """In the order in which they were taken."""
        return tuple(self._states.get(owner, {}).values())

    def clear(self, owner: str) -> None:
        """Forget what is over."""
        left = {n: one for n, one in self._states.get(owner, {}).items() if not one.is_over}
        self._states[owner] = left

    def _note(self, owner: str, upload: Upload) -> None:
        states = self._states.setdefault(owner, {})
        states[upload.number] = upload
        over = [number for number, one in states.items() if one.is_over]
        for number in over[: max(0, len(states) - KEPT)]:
            del states[number]

    async def _read(self, owner: str, upload: Upload, path: Path) -> None:
        try:
            async with self._turn:
                begun_s = time.monotonic()
                self._note(owner, replace(upload, state=UploadState.READING))
                ended = await self._ended(owner, upload, path)
                self._note(owner, replace(ended, seconds=time.monotonic() - begun_s))
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _ended(self, owner: str, upload: Upload, path: Path) -> Upload:
        try:
            document, parts = await read_document(path, upload.name)
            stored = await self._knowledge.documents.add(owner, document, parts)
        except GantryError as error:
            return replace(upload, state=UploadState.REFUSED, problem=str(error))
        except Exception:  # the edge of one file: told, and the next one is read
            logger.exception("Reading a document failed: %s", redact(upload.name))
            problem = "Gantry has a defect that this file shows. Its log says more."
            return replace(upload, state=UploadState.REFUSED, problem=problem)
        self._knowledge.fill(owner)
        is_new = stored.id == document.id
        return replace(
            upload,
            state=UploadState.STORED if is_new else UploadState.KNOWN,
            warnings=stored.warnings,
            passages=stored.chunk_count,
        )
