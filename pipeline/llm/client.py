"""Make a call to a model: admission, attempts, backoff, and what the endpoint does not take.

One `ModelCaller` per client, shared by all agents that use it. It acts; `retry.py` decides
whether to try again, `capabilities.py` how the request is spelt, `admission.py` when it may go,
`attempt.py` carries one attempt out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from openai import AsyncOpenAI

from pipeline.errors import CallError, ParameterRefused, RateLimited
from pipeline.llm.admission import Gate, GateRegistry, Priority
from pipeline.llm.attempt import Attempt
from pipeline.llm.call import CallObserver, CallRequest, Deadlines, ModelReply
from pipeline.llm.capabilities import Capabilities, Spelling, spell
from pipeline.llm.retry import RETRY_AFTER_MAX_S, GiveUp, after_failure, retry_after_of
from pipeline.llm.wire import make_client

__all__ = ["ModelCaller", "make_client"]

DEFAULT_MAX_IN_FLIGHT = 16

Sleep = Callable[[float], Awaitable[None]]


class ModelCaller:
    """Calls models through one client. Close it before the client; it belongs to one loop."""

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        gates: GateRegistry | None = None,
        deadlines: Deadlines | None = None,
        capabilities: Capabilities | None = None,
        rng: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self._gates = gates or GateRegistry(DEFAULT_MAX_IN_FLIGHT)
        self._deadlines = deadlines or Deadlines()
        self._capabilities = capabilities or Capabilities()
        self._rng = rng or random.Random()
        self._sleep = sleep
        self._drains: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        return str(self._client.base_url)

    def supports_tools(self, model: str) -> bool:
        """False once `model` has refused tools at this endpoint."""
        return self._capabilities.supports_tools(self.base_url, model)

    async def call(
        self, request: CallRequest, observer: CallObserver, *, priority: Priority = ()
    ) -> ModelReply:
        """Return a complete reply, or raise the `CallError` of the last attempt.

        At most three attempts fail; a request repeated because a parameter was refused is none
        of them. Raises `ParameterRefused` for `tools` as soon as the model is known not to take
        them. A lower `priority` goes first.
        """
        gate = self._gates.gate_for(self.base_url, request.model)
        attempt = failures = 0
        while True:
            self._refuse_tools_if_known(request)
            attempt += 1
            spelling = self._capabilities.spelling(self.base_url, request.model)
            error = await self._attempt(request, spelling, observer, attempt, gate, priority)
            if isinstance(error, ModelReply):
                self._capabilities.worked(self.base_url, request, spelling)
                return error
            if self._is_spelt_anew(request, spelling, error, observer):
                continue
            failures += 1
            await self._back_off(request, spelling, error, observer, attempt, failures, gate)

    async def aclose(self) -> None:
        """Wait for usage still on its way; each wait is limited to two seconds."""
        if self._drains:
            await asyncio.wait(self._drains)

    async def _attempt(
        self,
        request: CallRequest,
        spelling: Spelling,
        observer: CallObserver,
        number: int,
        gate: Gate,
        priority: Priority,
    ) -> ModelReply | CallError:
        """The reply, or why there is none. Cancelling marks the attempt discarded."""
        observer.queued(number, gate.wait_reason())
        attempt = Attempt(self._client, spell(request, spelling), self._deadlines, observer, number)
        try:
            async with gate.admit(priority):
                observer.admitted(number)
                reply = await attempt.run()
        except asyncio.CancelledError:
            observer.discarded(number, None)
            raise
        except CallError as error:
            observer.discarded(number, error)
            return error
        observer.finished(number, reply)
        if attempt.is_over:
            return reply
        drain = asyncio.create_task(attempt.drain(), name="drain a reply's end")
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)
        return reply

    def _refuse_tools_if_known(self, request: CallRequest) -> None:
        if request.tools and not self.supports_tools(request.model):
            raise ParameterRefused(
                f"The model `{request.model}` does not take tools.",
                "Choose a model that does.",
                parameter="tools",
            )

    def _is_spelt_anew(
        self,
        request: CallRequest,
        spelling: Spelling,
        error: CallError,
        observer: CallObserver,
    ) -> bool:
        """True when the endpoint refused a parameter that the next attempt will not send."""
        if not isinstance(error, ParameterRefused):
            return False
        dropped = self._capabilities.refused(self.base_url, request, spelling, error)
        if dropped is None:
            raise error
        observer.parameter_dropped(dropped)
        if dropped == "tools":
            raise error
        return True

    async def _back_off(
        self,
        request: CallRequest,
        spelling: Spelling,
        error: CallError,
        observer: CallObserver,
        attempt: int,
        failures: int,
        gate: Gate,
    ) -> None:
        """Wait before the next attempt, or raise `error` when there is none."""
        weaker = self._capabilities.failed(self.base_url, request, spelling, error)
        if isinstance(error, RateLimited) and retry_after_of(error) <= RETRY_AFTER_MAX_S:
            gate.cool(retry_after_of(error))
        decision = after_failure(error, failures, self._rng)
        if isinstance(decision, GiveUp):
            raise error
        if weaker is not None:
            observer.parameter_dropped(weaker)
        observer.backoff(attempt, decision.delay_s, error)
        await self._sleep(decision.delay_s)
