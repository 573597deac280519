"""Write what an agent does into the run's journal: one fact per step, text as it streams."""

from __future__ import annotations

from pipeline.budgets import Charge
from pipeline.errors import BudgetExceeded, CallError
from pipeline.events import (
    AdmissionQueued,
    BackoffStarted,
    BudgetRefused,
    BudgetSettled,
    CallAdmitted,
    CallFinished,
    CallHedged,
    CallSent,
    FirstToken,
    ModelFellBack,
    ParameterDropped,
    RemarksMade,
    RepairRequested,
    ToolCallFinished,
    ToolCallStarted,
    ToolsFinished,
    ToolsStarted,
    UsageUpdated,
)
from pipeline.journal import Journal
from pipeline.llm.call import ModelReply
from pipeline.models import Usage


class CallReporter:
    """The `CallObserver` of one call of one agent; `failed` is the last attempt that did."""

    def __init__(self, journal: Journal, agent: str, call: int) -> None:
        self._journal = journal
        self._agent = agent
        self._call = call
        self.failed = 0

    def queued(self, attempt: int, reason: str, expected_s: float | None = None) -> None:
        self._journal.record(
            AdmissionQueued,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            reason=reason,
            expected_s=expected_s,
        )

    def admitted(self, attempt: int, reserved: Charge | None = None) -> None:
        self._journal.record(
            CallAdmitted,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            reserved_tokens=reserved.tokens if reserved else None,
            reserved_micro_usd=reserved.micro_usd if reserved else None,
        )

    def settled(self, attempt: int, used: Charge, *, estimated: bool) -> None:
        self._journal.record(
            BudgetSettled,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            tokens=used.tokens,
            micro_usd=used.micro_usd,
            estimated=estimated,
        )

    def refused(self, attempt: int, wanted: Charge, error: BudgetExceeded) -> None:
        self._journal.record(
            BudgetRefused,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            tokens=wanted.tokens,
            micro_usd=wanted.micro_usd,
            error=error.message,
        )

    def sent(self, attempt: int, request_model: str) -> None:
        self._journal.record(
            CallSent,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            request_model=request_model,
        )

    def first_token(self, attempt: int) -> None:
        self._journal.record(FirstToken, agent=self._agent, call=self._call, attempt=attempt)

    def text(self, text: str) -> None:
        self._journal.add_text(self._agent, text)

    def finished(self, attempt: int, reply: ModelReply) -> None:
        self._journal.record(
            CallFinished,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            outcome="used",
            finish_reason=reply.finish_reason,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            response_model=reply.response_model,
        )

    def discarded(self, attempt: int, error: CallError | None) -> None:
        self.failed = attempt
        if error is not None:  # a cancelled call keeps its text on screen
            self._journal.discard_text(self._agent)
        self._journal.record(
            CallFinished,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            outcome="discarded",
            error=error.message if error else "cancelled",
            error_code=error.code if error else "cancelled",
            status=error.status if error else None,
        )

    def hedged(self, attempt: int, of: int, waited_s: float) -> None:
        self._journal.record(
            CallHedged,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            of=of,
            waited_s=round(waited_s, 3),
        )

    def outrun(self, attempt: int) -> None:
        self._journal.record(
            CallFinished,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            outcome="discarded",
            error="Another request for the same answer was faster.",
            error_code="hedged",
        )

    def backoff(self, attempt: int, delay_s: float, error: CallError) -> None:
        self._journal.record(
            BackoffStarted,
            agent=self._agent,
            call=self._call,
            attempt=attempt,
            delay_s=round(delay_s, 3),
            error=error.message,
            error_code=error.code,
        )

    def parameter_dropped(self, parameter: str) -> None:
        self._journal.record(ParameterDropped, agent=self._agent, parameter=parameter)

    def usage(self, usage: Usage) -> None:
        self._journal.record(
            UsageUpdated,
            agent=self._agent,
            call=self._call,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )


class AgentReporter:
    """The steps between calls, and a `CallReporter` for each call."""

    def __init__(self, journal: Journal, agent: str) -> None:
        self._journal = journal
        self._agent = agent

    def call(self, call: int) -> CallReporter:
        """Begin a call; what an earlier call of this agent streamed leaves the screen."""
        self._journal.discard_text(self._agent)
        return CallReporter(self._journal, self._agent, call)

    def tools_started(self, calls: list[str]) -> None:
        self._journal.record(ToolsStarted, agent=self._agent, calls=calls)

    def tool_call_started(self, number: int, tool: str, about: str) -> None:
        self._journal.record(
            ToolCallStarted, agent=self._agent, number=number, tool=tool, about=about
        )

    def tool_call_finished(self, number: int, passages: int, error: str) -> None:
        self._journal.record(
            ToolCallFinished, agent=self._agent, number=number, passages=passages, error=error
        )

    def tools_finished(self, failed: list[str]) -> None:
        self._journal.record(ToolsFinished, agent=self._agent, failed=failed)

    def fell_back(self, call: int, model: str, fallback: str, error: CallError) -> None:
        self._journal.record(
            ModelFellBack,
            agent=self._agent,
            call=call,
            model=model,
            fallback=fallback,
            error=error.message,
            error_code=error.code,
        )

    def repair_requested(self, repair: int, problem: str) -> None:
        self._journal.record(RepairRequested, agent=self._agent, repair=repair, problem=problem)

    def remarks_made(self, turn: int, remarks: str) -> None:
        self._journal.record(RemarksMade, agent=self._agent, turn=turn, remarks=remarks)

    def kept(self, text: str) -> None:
        """An earlier answer stands: it is on the screen again, not the last one streamed."""
        self._journal.discard_text(self._agent)
        self._journal.add_text(self._agent, text)
