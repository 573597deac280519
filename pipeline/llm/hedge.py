"""Run an attempt and, when its first token is far too late, a second one beside it.

The first of the two to give content is the call's; the other is cancelled and its socket closed.
Nothing of an attempt is told before it has won, so text is never doubled. When the deadline is
`admission/hedging.py`'s decision, and a second request takes admission like any other, but never
ahead of a call that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import CallError
from pipeline.llm.admission.gate import Gate, Grant
from pipeline.llm.attempt import Attempt
from pipeline.llm.budget import Hold
from pipeline.llm.call import AttemptObserver, CallObserver, ModelReply
from pipeline.models import Usage

LOOKS = 4  # how often a late call looks whether a second request may go

MakeAttempt = Callable[[int, Grant, AttemptObserver], Attempt]
OnFailure = Callable[[Grant, CallError], None]


class Lane:
    """The observer of one of the two attempts: passes on what the winner says."""

    def __init__(self, race: Race, observer: CallObserver, number: int) -> None:
        self._race = race
        self._observer = observer
        self._number = number

    def sent(self, attempt: int, request_model: str) -> None:
        self._observer.sent(attempt, request_model)

    def first_token(self, attempt: int) -> None:
        if self._race.claim(self._number):
            self._observer.first_token(attempt)

    def text(self, text: str) -> None:
        if self._race.winner == self._number:
            self._observer.text(text)

    def usage(self, usage: Usage) -> None:
        if self._race.winner == self._number:
            self._observer.usage(usage)


@dataclass(frozen=True, slots=True)
class Answered:
    """How a race ended well: the reply and the attempt it came from, to be drained."""

    reply: ModelReply
    attempt: Attempt
    grant: Grant
    number: int
    hold: Hold | None = None  # of its budget


class Race:
    """One attempt, at most two. Use once; all that happens to either is told to the observer.

    `on_failure` is told of each failed attempt once, where it fails, whoever wins.
    """

    def __init__(
        self,
        gate: Gate,
        grant: Grant,
        observer: CallObserver,
        number: int,
        make_attempt: MakeAttempt,
        next_number: Callable[[], int],
        deadline_s: float,
        on_failure: OnFailure,
    ) -> None:
        self.winner: int | None = None
        self._gate = gate
        self._grant = grant
        self._observer = observer
        self._number = number
        self._make_attempt = make_attempt
        self._next_number = next_number
        self._deadline_s = deadline_s
        self._on_failure = on_failure
        self._looks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._second: asyncio.Task[Answered | CallError] | None = None
        self._first_task: asyncio.Task[Any] | None = None
        self._is_outrun = False

    def claim(self, number: int) -> bool:
        """`number` has content. True when it is the first to, or was."""
        if self.winner is None:
            self.winner = number
            self._cancel_timer()
            if number == self._number:
                if self._second is not None:
                    self._second.cancel()
            elif self._first_task is not None:
                self._is_outrun = True
                self._first_task.cancel()
        return self.winner == number

    async def run(self) -> Answered | CallError:
        """The first answer, or the error of the attempt that failed last."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._deadline_s, self._look)
        first = self._make_attempt(
            self._number, self._grant, Lane(self, self._observer, self._number)
        )
        self._first_task = task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        try:
            reply = await first.run()
            self._first_task = None
            self.claim(self._number)
        except asyncio.CancelledError:
            self._first_task = None
            if not self._is_outrun or task.uncancel() > cancels:
                self._observer.discarded(self._number, None)
                await self._stop_second()
                raise
            self._lost(first)
            return await self._second_alone()
        except CallError as error:
            self._first_task = None
            self._failed(self._number, self._grant, error)
            if self._second is None or self._second.done() or self.winner == self._number:
                await self._stop_second()
                return error  # the later one, if the second failed before
            self._gate.release(self._grant)
            return await self._second_alone()
        finally:
            self._cancel_timer()
        await self._stop_second()
        return Answered(reply, first, self._grant, self._number)

    def _look(self) -> None:
        """The first token is late: send a second request if there is room for one."""
        self._timer = None
        times = self._gate.first_tokens
        if not times.may_send():
            return
        grant = self._gate.try_acquire(self._grant.ticket, self._grant.tokens)
        if grant is None:
            self._looks += 1
            if self._looks < LOOKS:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._deadline_s / 2.0, self._look)
            return
        times.sent()
        number = self._next_number()
        waited_s = asyncio.get_running_loop().time() - self._grant.at_s
        self._observer.hedged(number, self._number, waited_s)
        self._observer.admitted(number)
        self._second = asyncio.create_task(self._run_second(number, grant), name="second request")
        self._second.add_done_callback(lambda task: self._second_ended(task, number, grant))

    async def _run_second(self, number: int, grant: Grant) -> Answered | CallError:
        attempt = self._make_attempt(number, grant, Lane(self, self._observer, number))
        try:
            reply = await attempt.run()
            self.claim(number)
            return Answered(reply, attempt, grant, number)
        except CallError as error:
            self._failed(number, grant, error)
            return error

    def _second_ended(self, task: asyncio.Task[Any], number: int, grant: Grant) -> None:
        """Outside the task: one that is cancelled before its first step runs no `finally`."""
        if task.cancelled():
            if self.winner is None or self.winner == number:  # the whole call was cancelled
                self._observer.discarded(number, None)
            else:
                self._observer.outrun(number)
        self._gate.first_tokens.ended(won=self.winner == number)
        self._gate.release(grant)

    def _failed(self, number: int, grant: Grant, error: CallError) -> None:
        self._observer.discarded(number, error)
        self._on_failure(grant, error)

    def _lost(self, first: Attempt) -> None:
        """The second was faster. How long the first has taken is the least it would have."""
        self._observer.outrun(self._number)
        self._gate.first_tokens.add(asyncio.get_running_loop().time() - first.sent_s)
        self._gate.release(self._grant)

    async def _second_alone(self) -> Answered | CallError:
        assert self._second is not None
        try:
            await asyncio.wait({self._second})
        except asyncio.CancelledError:
            await self._stop_second()
            raise
        return self._second.result()

    async def _stop_second(self) -> None:
        """Cancel the second attempt, if any, and wait until its socket is closed."""
        if self._second is None:
            return
        self._second.cancel()
        await asyncio.wait({self._second})

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
