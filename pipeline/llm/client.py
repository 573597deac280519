"""Make a call to a model: admission, attempts, backoff, and what the endpoint does not take.

One `ModelCaller` per client, shared by all agents that use it. It acts; `retry.py` decides
whether to try again, `capabilities.py` how the request is spelt, `admission/` when it may go,
`attempt.py` carries one attempt out and `hedge.py` a second one beside it.

A call that was refused with a 429 does not sleep: it goes back into the queue with its age kept,
and the gate decides for all calls when the next may try.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from openai import AsyncOpenAI

from pipeline.budgets import OUTPUT_TOKENS, tokens_at_most
from pipeline.errors import (
    BudgetExceeded,
    CallError,
    DeadlineExceeded,
    GantryError,
    ParameterRefused,
    RateLimited,
    ServerFailed,
    Unreachable,
)
from pipeline.estimates import Estimates
from pipeline.llm.admission import NOBODY, Gate, GateRegistry, Grant, Probe, Ticket
from pipeline.llm.admission.limits import limits_from_headers
from pipeline.llm.attempt import Attempt
from pipeline.llm.budget import Budget, Hold
from pipeline.llm.call import AttemptObserver, CallObserver, CallRequest, Deadlines, ModelReply
from pipeline.llm.capabilities import Capabilities, Spelling, spell
from pipeline.llm.hedge import Answered, Race
from pipeline.llm.retry import (
    RETRY_AFTER_MAX_S,
    GiveUp,
    after_broken_call,
    after_failure,
    after_refusal,
    broke,
)
from pipeline.llm.wire import make_client
from pipeline.models import Usage

__all__ = ["ModelCaller", "make_client"]

DEFAULT_MAX_IN_FLIGHT = 16
RATE_PATIENCE_S = 60.0  # a call may be refused by rate limits for so long, however often
CHARS_PER_TOKEN = 4.0

_logger = logging.getLogger(__name__)
Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class _Call:
    """One call on its way. `since_s` is when it first asked for admission."""

    request: CallRequest
    observer: CallObserver
    gate: Gate
    ticket: Ticket
    since_s: float
    attempts: int = 0
    failures: int = 0
    has_broken: bool = False  # a reply to it did not come whole
    refusals: int = 0
    refused_s: float | None = None  # first time
    budget: Budget | None = None

    def next_number(self) -> int:
        self.attempts += 1
        return self.attempts


class ModelCaller:
    """Calls models through one client. Close it before the client; it belongs to one loop.

    `gates` and `estimates` are shared by callers that should share limits and experience;
    `hedge` false never sends a second request for a late first token.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        gates: GateRegistry | None = None,
        deadlines: Deadlines | None = None,
        capabilities: Capabilities | None = None,
        estimates: Estimates | None = None,
        hedge: bool = True,
        rate_patience_s: float = RATE_PATIENCE_S,
        rng: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self.base_url = str(client.base_url)  # kept: the SDK builds it anew every time
        self._gates = gates or GateRegistry(DEFAULT_MAX_IN_FLIGHT)
        self._deadlines = deadlines or Deadlines()
        self._capabilities = capabilities or Capabilities()
        self._estimates = estimates or Estimates()
        self._hedge = hedge
        self._rate_patience_s = rate_patience_s
        self._rng = rng or random.Random()
        self._sleep = sleep
        self._drains: set[asyncio.Task[None]] = set()

    def supports_tools(self, model: str) -> bool:
        """False once `model` has refused tools at this endpoint."""
        return self._capabilities.supports_tools(self.base_url, model)

    async def call(
        self,
        request: CallRequest,
        observer: CallObserver,
        *,
        ticket: Ticket = NOBODY,
        budget: Budget | None = None,
    ) -> ModelReply:
        """Return a complete reply, or raise the `CallError` of the last attempt.

        At most three attempts fail; a request repeated because a parameter was refused is none
        of them, and one refused by a rate limit is none while that has lasted for less than a
        minute. Raises `ParameterRefused` for `tools` as soon as the model is known not to take
        them. `ticket` says whose call it is; it decides who goes first. `budget` is asked before
        each attempt; raises `BudgetExceeded` when it does not allow one. With a budget nothing is
        asked a second time beside a late first token: that would cost twice.
        """
        gate = self._gates.gate_for(self.base_url, request.model)
        call = _Call(request, observer, gate, ticket, _now(), budget=budget)
        while True:
            self._refuse_tools_if_known(request)
            spelling = self._capabilities.spelling(self.base_url, request.model)
            outcome = await self._attempt(call, spelling)
            if isinstance(outcome, ModelReply):
                self._capabilities.worked(self.base_url, request, spelling)
                return outcome
            if self._is_spelt_anew(request, spelling, outcome, observer):
                continue
            await self._before_next(call, spelling, outcome)

    async def before_new_call(
        self, model: str, observer: CallObserver, attempt: int, error: CallError
    ) -> bool:
        """True when a call of `model` that failed with `error` is worth making anew; waits first.

        `observer` is that of the call, `attempt` its last.
        """
        is_flaky = self._gates.gate_for(self.base_url, model).is_flaky
        decision = after_broken_call(error, is_flaky=is_flaky, rng=self._rng)
        if isinstance(decision, GiveUp):
            return False
        observer.backoff(attempt, decision.delay_s, error)
        await self._sleep(decision.delay_s)
        return True

    async def aclose(self) -> None:
        """Wait for usage still on its way; each wait is limited to two seconds."""
        while self._drains:  # one that ends may begin another: it settles what it learnt
            await asyncio.wait(self._drains)

    async def _attempt(self, call: _Call, spelling: Spelling) -> ModelReply | CallError:
        """The reply, or why there is none. Cancelling marks the attempt discarded."""
        number, gate, observer = call.next_number(), call.gate, call.observer
        try:
            grant, probe, hold = await self._admitted_and_paid(call, number)
        except asyncio.CancelledError:
            observer.discarded(number, None)
            raise
        except CallError as error:
            observer.discarded(number, error)
            return error
        try:
            observer.admitted(number, hold.reserved if hold is not None else None)
            if probe is not None:
                gate.breaker.probe_sent(probe)
            outcome = await self._run(call, spelling, number, grant, probe, hold)
            if isinstance(outcome, CallError):
                return outcome
            self._finished(call, outcome)
            return outcome.reply
        finally:
            gate.release(grant)
            if probe is not None:
                gate.breaker.probe_over(probe)

    async def _admitted_and_paid(
        self, call: _Call, number: int
    ) -> tuple[Grant, Probe | None, Hold | None]:
        """Admission, and what the attempt may cost reserved. No slot is held while it waits."""
        budget = call.budget
        while True:
            grant, probe = await self._admitted(call, number)
            if budget is None:
                return grant, probe, None
            model, most = call.request.model, _most_tokens(call.request)
            try:
                hold = await budget.reserve(model, *most)
            except BaseException as error:
                self._give_back(call, grant, probe)
                self._pay_beside(budget.drop_unsure())
                if isinstance(error, BudgetExceeded):
                    call.observer.refused(number, budget.charge(model, *most), error)
                raise
            if hold is not None:
                return grant, probe, hold
            self._give_back(call, grant, probe)
            call.observer.queued(number, "budget")
            await budget.room()

    def _give_back(self, call: _Call, grant: Grant, probe: Probe | None) -> None:
        call.gate.release(grant)
        if probe is not None:
            call.gate.breaker.probe_over(probe)

    async def _admitted(self, call: _Call, number: int) -> tuple[Grant, Probe | None]:
        """The endpoint's circuit lets the call pass, and the gate has a slot for it."""
        gate, breaker, observer = call.gate, call.gate.breaker, call.observer
        tokens = self._tokens_of(call) if gate.counts_tokens else 0.0
        while True:
            probe = None
            if breaker.is_open:
                observer.queued(number, "circuit", breaker.expected_s())
                probe = await breaker.turn(call.request.model, call.failures)
            grant = gate.try_acquire(call.ticket, tokens)
            if grant is not None:
                observer.queued(number, "")
                return grant, probe
            observer.queued(number, gate.wait_reason(tokens) or "queue", gate.expected_s(tokens))
            try:
                grant = await gate.acquire(call.ticket, tokens, since_s=call.since_s)
            except BaseException:
                if probe is not None:
                    breaker.probe_over(probe)
                raise
            if probe is not None or not breaker.is_open:
                return grant, probe
            gate.release(grant)  # the endpoint went down while this call was in line

    async def _run(
        self,
        call: _Call,
        spelling: Spelling,
        number: int,
        grant: Grant,
        probe: Probe | None,
        hold: Hold | None,
    ) -> Answered | CallError:
        """One attempt, or two when the first token is late. All that happened has been told."""
        body = spell(call.request, spelling)

        def make(number: int, grant: Grant, observer: AttemptObserver) -> Attempt:
            def heard(headers: Mapping[str, str]) -> None:
                call.gate.heard(grant, limits_from_headers(headers))

            alive = call.gate.breaker.alive
            return Attempt(self._client, body, self._deadlines, observer, number, heard, alive)

        report = partial(_report_failure, call)
        may_hedge = self._hedge and probe is None and hold is None
        deadline_s = call.gate.first_tokens.deadline_s() if may_hedge else None
        if deadline_s is not None and deadline_s < self._deadlines.first_token_s:
            return await Race(
                call.gate,
                grant,
                call.observer,
                number,
                make,
                call.next_number,
                deadline_s,
                report,
            ).run()
        attempt = make(number, grant, call.observer)
        try:
            answered = Answered(await attempt.run(), attempt, grant, number, hold)
        except asyncio.CancelledError:
            call.observer.discarded(number, None)
            self._pay(call, number, hold, _lost_usage(hold, attempt))
            raise
        except CallError as error:
            call.observer.discarded(number, error)
            was_free = isinstance(error, Unreachable) or (error.status or 200) >= 400
            used = _FREE if was_free else _lost_usage(hold, attempt)
            self._pay(call, number, hold, used, told=was_free)
            report(grant, error)
            return error
        return answered

    def _finished(self, call: _Call, answered: Answered) -> None:
        attempt, gate = answered.attempt, call.gate
        gate.good(answered.grant)
        if call.has_broken:
            gate.mended()
        gate.breaker.alive()
        if attempt.first_token_s is not None:
            gate.first_tokens.add(attempt.first_token_s - attempt.sent_s)
        call.observer.finished(answered.number, answered.reply)
        self._settle(call, answered, answered.reply.usage)
        if attempt.is_over:
            self._pay_for(call, answered)
            return
        drain = asyncio.create_task(self._drain(call, answered), name="drain a reply's end")
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)

    async def _drain(self, call: _Call, answered: Answered) -> None:
        await answered.attempt.drain()
        self._settle(call, answered, answered.attempt.usage)
        self._pay_for(call, answered)

    def _pay_for(self, call: _Call, answered: Answered) -> None:
        """Settle with the budget; where the provider told no usage, by the text's length."""
        usage = answered.attempt.usage
        told = usage.input_tokens is not None and usage.output_tokens is not None
        guess = _lost_usage(answered.hold, answered.attempt)
        used = Usage(
            guess.input_tokens if usage.input_tokens is None else usage.input_tokens,
            guess.output_tokens if usage.output_tokens is None else usage.output_tokens,
        )
        self._pay(call, answered.number, answered.hold, used, told=told)

    def _pay(
        self, call: _Call, number: int, hold: Hold | None, used: Usage, *, told: bool = False
    ) -> None:
        """Settle beside the call, also of one that is being cancelled; `aclose` waits for it.

        Tokens that are None count as none.
        """
        if hold is None or call.budget is None:
            return
        charge = call.budget.charge(hold.model, used.input_tokens or 0, used.output_tokens or 0)
        call.observer.settled(number, charge, estimated=not told)
        self._pay_beside(call.budget.settle(hold, charge, estimated=not told))

    def _pay_beside(self, paying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._paid(paying), name="settle a budget")
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _paid(self, paying: Coroutine[Any, Any, None]) -> None:
        try:
            await paying
        except GantryError as error:
            # what was reserved stays counted meanwhile: too much rather than too little
            _logger.warning("what a call used could not be stored yet: %s", error)

    def _settle(self, call: _Call, answered: Answered, usage: Usage) -> None:
        """Replace the estimate of tokens by what was used, as soon as that is told."""
        if answered.grant.settled or usage.output_tokens is None:
            return
        used = (usage.input_tokens or 0) + usage.output_tokens
        call.gate.settle(answered.grant, float(used))
        self._estimates.learn_tokens(call.ticket.agent, call.request.model, usage.output_tokens)

    def _tokens_of(self, call: _Call) -> float:
        """An estimate of what the call will be counted as, prompt and answer."""
        request = call.request
        chars = sum(len(str(message.get("content") or "")) for message in request.messages)
        if request.tools:
            chars += len(str(request.tools))
        answer = self._estimates.output_tokens(
            call.ticket.agent, request.model, request.max_output_tokens
        )
        return chars / CHARS_PER_TOKEN + answer

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

    async def _before_next(self, call: _Call, spelling: Spelling, error: CallError) -> None:
        """Wait before the next attempt, or raise `error` when there is none."""
        weaker = self._capabilities.failed(self.base_url, call.request, spelling, error)
        if isinstance(error, RateLimited):
            call.refusals += 1
            call.refused_s = _now() if call.refused_s is None else call.refused_s
            lasted_s = _now() - call.refused_s
            decision = after_refusal(error, call.refusals, lasted_s, self._rate_patience_s)
        else:
            call.failures += 1
            call.has_broken = call.has_broken or broke(error)
            decision = after_failure(error, call.failures, self._rng)
        if isinstance(decision, GiveUp):
            raise error
        if weaker is not None:
            call.observer.parameter_dropped(weaker)
        if isinstance(error, RateLimited):
            delay_s = max(decision.delay_s, call.gate.expected_s() or 0.0)
            call.observer.backoff(call.attempts, delay_s, error)
            return  # the gate makes it wait, in the queue, with all others
        call.observer.backoff(call.attempts, decision.delay_s, error)
        await self._sleep(decision.delay_s)


_FREE = Usage(0, 0)


def _most_tokens(request: CallRequest) -> tuple[int, int]:
    """What the prompt and the answer may take at most, by the prompt's bytes and its own limit."""
    texts = [str(message) for message in request.messages]
    texts += [str(tool) for tool in request.tools]
    if request.output_schema is not None:
        texts.append(str(request.output_schema.schema))
    return tokens_at_most(*texts), request.max_output_tokens or OUTPUT_TOKENS


def _lost_usage(hold: Hold | None, attempt: Attempt) -> Usage:
    """An estimate of what an attempt cost that told nothing: its prompt, and the text that came."""
    if hold is None:
        return _FREE
    return Usage(hold.input_tokens, tokens_at_most(attempt.written))


def _report_failure(call: _Call, grant: Grant, error: CallError) -> None:
    """Let circuit and gate know what a failed attempt means for the calls of others."""
    gate = call.gate
    gate.breaker.failed(call.request.model, error)
    if isinstance(error, RateLimited):
        gate.refused(grant, error)
    elif isinstance(error, ServerFailed) or (
        isinstance(error, DeadlineExceeded) and not error.began  # a stalled reply stalls alone
    ):
        gate.overloaded()
        asked_s = error.retry_after_s or 0.0 if isinstance(error, ServerFailed) else 0.0
        if 0.0 < asked_s <= RETRY_AFTER_MAX_S:
            gate.cool(asked_s)


def _now() -> float:
    return asyncio.get_running_loop().time()
