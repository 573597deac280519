"""What the tests of model calls share: an observer that writes down, a sleep that does not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.budgets import Charge
from pipeline.errors import BudgetExceeded, CallError
from pipeline.llm.admission import GateRegistry
from pipeline.llm.call import CallRequest, Deadlines, ModelReply
from pipeline.llm.capabilities import Capabilities
from pipeline.llm.client import ModelCaller, make_client
from pipeline.models import Endpoint, Usage

ASK = CallRequest("m", [{"role": "user", "content": "hello"}])


@dataclass(slots=True)
class Log:
    """A `CallObserver` that keeps everything, in order."""

    steps: list[tuple[Any, ...]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def _add(self, step: tuple[Any, ...]) -> None:
        self.steps.append(step)
        self.changed.set()

    async def seen(self, name: str, *values: Any) -> None:
        """Wait for a step that begins like this."""
        async with asyncio.timeout(5):
            while not any(step[: len(values) + 1] == (name, *values) for step in self.steps):
                self.changed.clear()
                await self.changed.wait()

    def queued(self, attempt: int, reason: str, expected_s: float | None = None) -> None:
        self._add(("queued", attempt, reason))

    def admitted(self, attempt: int, reserved: Charge | None = None) -> None:
        self._add(("admitted", attempt))

    def settled(self, attempt: int, used: Charge, *, estimated: bool) -> None:
        self._add(("settled", attempt, used, estimated))

    def refused(self, attempt: int, wanted: Charge, error: BudgetExceeded) -> None:
        self._add(("refused", attempt, wanted))

    def sent(self, attempt: int, request_model: str) -> None:
        self._add(("sent", attempt, request_model))

    def first_token(self, attempt: int) -> None:
        self._add(("first_token", attempt))

    def text(self, text: str) -> None:
        self._add(("text", text))

    def finished(self, attempt: int, reply: ModelReply) -> None:
        self._add(("finished", attempt, reply))

    def discarded(self, attempt: int, error: CallError | None) -> None:
        self._add(("discarded", attempt, error))

    def hedged(self, attempt: int, of: int, waited_s: float) -> None:
        self._add(("hedged", attempt, of))

    def outrun(self, attempt: int) -> None:
        self._add(("outrun", attempt))

    def backoff(self, attempt: int, delay_s: float, error: CallError) -> None:
        self._add(("backoff", attempt, delay_s, error))

    def parameter_dropped(self, parameter: str) -> None:
        self._add(("parameter_dropped", parameter))

    def usage(self, usage: Usage) -> None:
        self._add(("usage", usage))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [step[1:] for step in self.steps if step[0] == name]

    @property
    def names(self) -> list[str]:
        return [step[0] for step in self.steps]

    @property
    def shown(self) -> str:
        """The text on the screen: what was streamed and not discarded."""
        text = ""
        for name, *values in self.steps:
            text = "" if name == "discarded" else text + values[0] if name == "text" else text
        return text


@dataclass(slots=True)
class Sleeps:
    """Notes how long a backoff would have been and goes on at once."""

    slept_s: list[float] = field(default_factory=list)

    async def __call__(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        await asyncio.sleep(0)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


OpenCaller = Callable[..., AbstractAsyncContextManager[ModelCaller]]


@pytest.fixture
def open_caller(sleeps: Sleeps) -> OpenCaller:
    """Opens a `ModelCaller` with a real client, and closes both."""

    @asynccontextmanager
    async def open_(
        endpoint: Endpoint,
        *,
        deadlines: Deadlines | None = None,
        capabilities: Capabilities | None = None,
        gates: GateRegistry | None = None,
        rate_patience_s: float = 0.0,
        hedge: bool = True,
    ) -> AsyncIterator[ModelCaller]:
        async with make_client(endpoint) as client:
            caller = ModelCaller(
                client,
                gates=gates,
                deadlines=deadlines,
                capabilities=capabilities,
                rate_patience_s=rate_patience_s,
                hedge=hedge,
                rng=random.Random(1),
                sleep=sleeps,
            )
            try:
                yield caller
            finally:
                await caller.aclose()

    return open_
