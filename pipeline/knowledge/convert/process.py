"""Convert one document at a time, in a child process; say in plain words what went wrong.

The child is `__main__.py` beside this. What it answers is checked like anything from outside: a
document may have taken it over.
"""

from __future__ import annotations

import asyncio
import weakref
from pathlib import Path

import msgspec

from pipeline.errors import DocumentError
from pipeline.isolation.parent import Allowance, ChildFailed, ask_child
from pipeline.knowledge.convert.model import LIMITS, Answer, Converted, Limits, Question
from pipeline.knowledge.convert.text import bounded, clean, too_much_text

CHILD = "pipeline.knowledge.convert"
BYTES_PER_CHAR = 4  # UTF-8; escapes in JSON are shorter than that on average
ANSWER_SPARE_BYTES = 1_000_000
MESSAGE_MAX_CHARS = 500

# Of each event loop: a process has one that converts.
_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
    weakref.WeakKeyDictionary()
)


async def convert(path: Path, name: str, limits: Limits = LIMITS) -> Converted:
    """The text of the document at `path`; `name` is what its owner calls it, and only that.

    Several may ask at once; one at a time is converted, in the order asked. Raises `DocumentError`,
    whose `reason` says what was wrong. Cancelled, it kills the child first.
    """
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(1)):
        question = Question(str(await asyncio.to_thread(path.resolve)), clean(name), limits)
        try:
            answer = await ask_child(CHILD, msgspec.json.encode(question), _allowance(limits))
        except ChildFailed as error:
            raise _document_error(error, limits) from error
    return _checked(answer, limits)


def _allowance(limits: Limits) -> Allowance:
    return Allowance(
        timeout_s=limits.timeout_s,
        memory_mb=limits.memory_mb,
        answer_max_bytes=limits.max_text_chars * BYTES_PER_CHAR + ANSWER_SPARE_BYTES,
    )


def _checked(answer: bytes, limits: Limits) -> Converted:
    """The child's answer, if it is one. Raises `DocumentError`: its own, or for an odd answer."""
    try:
        read = msgspec.json.decode(answer, type=Answer)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _crashed() from error
    if read.error is not None:
        told = read.error
        raise DocumentError(
            told.reason, told.message[:MESSAGE_MAX_CHARS], told.hint[:MESSAGE_MAX_CHARS]
        )
    if read.converted is None or len(read.converted.pages) > limits.max_pages:
        raise _crashed()
    bounded(read.converted.pages, limits)
    return read.converted


def _document_error(error: ChildFailed, limits: Limits) -> DocumentError:
    if error.failure == "timed_out":
        return DocumentError(
            "timed_out",
            f"The document took longer than {limits.timeout_s:g} seconds to read.",
            "Split it, or save it again from the program it was made with.",
        )
    if error.failure == "out_of_memory":
        return DocumentError(
            "out_of_memory",
            f"Reading the document took more than {limits.memory_mb} MB of memory.",
            "Split it, or upload only the part you need.",
        )
    if error.failure == "too_much":
        return too_much_text(limits)
    return _crashed()


def _crashed() -> DocumentError:
    return DocumentError(
        "broken",
        "The program that reads documents broke on this file.",
        "Save it again from the program it was made with, or upload it in another format.",
    )
