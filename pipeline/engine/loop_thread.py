"""A thread with an event loop of its own, and the one way into it from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from pipeline.errors import GantryError, NoAnswer

T = TypeVar("T")


class LoopThread:
    """A daemon thread, so that a process that forgets to close it can still exit."""

    def __init__(self, name: str) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()

    def call(self, coroutine: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run `coroutine` in the loop and return its result.

        Raises `NoAnswer` when it takes longer (it is cancelled then), `GantryError` when the loop
        is closed. Not for use inside the loop: it would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("Called from inside the loop; await the coroutine instead.")
        loop = self._loop
        if loop is None or loop.is_closed():
            coroutine.close()
            raise _closed()
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(timeout_s)
        except TimeoutError as exc:
            if future.done():
                raise  # the coroutine's own
            raise NoAnswer(
                f"Gantry did not answer within {timeout_s:g} s.",
                "The machine or the disk of the data folder is overloaded. Look whether it was "
                "done after all, then try again.",
            ) from exc
        except concurrent.futures.CancelledError as exc:
            raise _closed() from exc
        finally:
            future.cancel()  # no-op unless the time ran out

    def post(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have `callback` called in the loop soon; nothing happens when it is closed."""
        with suppress(RuntimeError):  # closed between the question and the call
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *arguments)

    def close(self, timeout_s: float) -> bool:
        """Stop the loop. False when something in it did not let go in time."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.set()
        await self._stop.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed (not on Windows): a socket read costs it half as much."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _closed() -> GantryError:
    return GantryError("Gantry is closing.", "Start it again.")
