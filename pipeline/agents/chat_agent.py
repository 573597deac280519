"""One agent at work: calls to a model, the tools it asks for, the check of its answer.

`llm` carries out a single call with its retries; this module decides what the next call is:
tool results go back, an answer that does not fit its schema gets at most two repair turns, one that
fits but has faults the turns of `remark_turns`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel

from pipeline.agents.outputs import Findings
from pipeline.agents.prompting import instructions, section
from pipeline.agents.remark_turns import Answer, NoAnswer, beside_the_loop, best_answer
from pipeline.agents.reply_check import Checked, check_reply
from pipeline.agents.reporter import AgentReporter, CallReporter
from pipeline.agents.reviews import finish_of, review_of
from pipeline.content.citation_review import Finish, Finished, finish_findings
from pipeline.content.remarks import Review, Reviewed
from pipeline.errors import BudgetExceeded, CallError, OutputInvalid, ParameterRefused
from pipeline.foreign_json import read_json
from pipeline.journal import Journal
from pipeline.llm.admission import Ticket
from pipeline.llm.budget import Budget
from pipeline.llm.call import CallRequest, ModelReply, OutputSchema, ToolCall
from pipeline.llm.client import ModelCaller
from pipeline.llm.endings import Ending, ending_of
from pipeline.llm.retry import worth_another_model
from pipeline.models import AgentOutput, AgentSpec, Source, Usage
from pipeline.tools import (
    ToolContext,
    ToolError,
    available_tools,
    run_tool,
    tool_definitions,
)
from pipeline.voice import Voice

MAX_REPAIRS = 2
MAX_TOOL_CALLS = 12  # per agent
TOOL_MAX_CHARS, ABOUT_MAX_CHARS = 64, 80  # of a call, as people see it
MAX_CALLS = 10  # requests per agent, repairs included; retries of one request count once


@dataclass(frozen=True, slots=True)
class AgentReply:
    """What `ChatAgent.run_async` returns: the output and the tokens it took."""

    output: AgentOutput
    usage: Usage

    @property
    def text(self) -> str:
        return self.output.text


@dataclass(frozen=True, slots=True)
class ChatAgent:
    """An agent as a library user sees it: instructions, a model, tools, an output type.

    `prefetch` are the tool calls made by code when the endpoint takes no tools:
    `(tool name, arguments)`. `sources` are passages that its prompt holds already.
    `fallback_model` takes over for good when a call on `model` failed for good. `review` says what
    an answer that fits should have done better; `finish` mends and flags the one that is kept.
    """

    name: str
    instructions: str
    model: str
    tools: tuple[str, ...] = ()
    output: type[BaseModel] | None = None
    max_output_tokens: int | None = None
    seed: int | None = None
    prefetch: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    sources: tuple[Source, ...] = ()
    fallback_model: str = ""
    review: Review | None = None
    finish: Finish | None = None

    @classmethod
    def from_spec(
        cls,
        spec: AgentSpec,
        model: str,
        *,
        seed: int | None = None,
        prefetch: tuple[tuple[str, Mapping[str, Any]], ...] = (),
        sources: tuple[Source, ...] = (),
        fallback_model: str = "",
        body: str = "",
        voice: Voice | None = None,
        inputs: Mapping[str, AgentOutput] | None = None,
    ) -> ChatAgent:
        """The agent of a roster entry. Raises `PlanError` when its prompt file is missing.

        `body` is what a person wrote in the place of its instructions. `inputs` is what it was given;
        its citations are checked against them, and not at all without.
        """
        return cls(
            name=spec.name,
            instructions=instructions(spec, body),
            model=model,
            tools=spec.tools,
            output=spec.output,
            max_output_tokens=spec.max_output_tokens,
            seed=seed,
            prefetch=prefetch,
            sources=sources,
            fallback_model=fallback_model,
            review=review_of(spec, voice, inputs),
            finish=finish_of(spec, voice, inputs),
        )

    async def run_async(
        self,
        client: AsyncOpenAI,
        user_prompt: str,
        *,
        caller: ModelCaller | None = None,
        journal: Journal | None = None,
        ticket: Ticket | None = None,
        budget: Budget | None = None,
        context: ToolContext | None = None,
    ) -> AgentReply:
        """Do the agent's work on any `AsyncOpenAI` and return its validated output.

        `caller` shares admission and what is known of the endpoint with other agents; without
        one this call stands alone. `journal` is told every step. `ticket` says whose work it is, for
        its calls' places in the queue. `budget` is asked before each call. `context` is what its tools
        reach for; those that have nothing to reach for are not offered. Raises `CallError` when a call
        fails for good, `OutputInvalid` when the answer does not fit after the repair turns, and
        `ToolError` when nothing was found because no tool worked.
        """
        work = partial(
            _Work,
            agent=self,
            reporter=AgentReporter(journal or Journal("library"), self.name),
            user_prompt=user_prompt,
            context=context or ToolContext(),
            ticket=ticket or Ticket(agent=self.name),
            budget=budget,
        )
        if caller is not None:
            return await work(caller=caller).run()
        own = ModelCaller(client)
        try:
            return await work(caller=own).run()
        finally:
            await own.aclose()


@dataclass(frozen=True, slots=True)
class _ToolTurn:
    """What goes back to the model for one tool call; `problem` when it did not work."""

    content: str
    sources: tuple[Source, ...] = ()
    problem: ToolError | None = None


@dataclass(slots=True)
class _Work:
    """The conversation of one agent, from the first prompt to the checked answer."""

    agent: ChatAgent
    caller: ModelCaller
    reporter: AgentReporter
    user_prompt: str
    context: ToolContext
    ticket: Ticket
    budget: Budget | None = None
    tools: tuple[str, ...] = ()  # that can work here
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    tool_calls: int = 0  # asked for by the model
    told: int = 0  # run, by whoever's wish
    answered: int = 0  # tool calls that worked
    tool_error: ToolError | None = None  # of the last one that did not
    repairs: int = 0
    with_tools: bool = True
    model: str = ""  # that is asked now
    reported: CallReporter | None = None  # of the last call

    async def run(self) -> AgentReply:
        self.model = self.agent.model
        self.tools = available_tools(self.agent.tools, self.context)
        self.sources = {source.id: source for source in self.agent.sources}
        self.messages = [
            {"role": "system", "content": self.agent.instructions},
            {"role": "user", "content": self.user_prompt},
        ]
        while self.calls < MAX_CALLS:
            reply = await self._call()
            if reply.tool_calls:
                await self._run_tools(reply)
                continue
            checked = self._check(reply)
            if not checked.problem:
                answer = await self._reviewed(Answer(reply, checked))
                finished = await self._finished(answer.checked)
                self._refuse_blind(finished.data)
                return self._reply(answer.reply, finished)
            self._ask_for_repair(checked.text, checked.problem)
        raise OutputInvalid(
            f"{self.agent.name} did not come to an answer in {MAX_CALLS} calls.",
            "Try another model, or run it again.",
        )

    async def _call(self) -> ModelReply:
        try:
            reply = await self._call_model()
        except CallError as error:
            if not (self._fall_back(error) or await self._has_another_round(error)):
                raise
            reply = await self._call_model()
        self.usage = self.usage.plus(reply.usage)
        return reply

    def _fall_back(self, error: CallError) -> bool:
        """Go on with the other model, if there is one and this failure may be the model's alone."""
        fallback = self.agent.fallback_model
        if fallback in ("", self.model) or not worth_another_model(error):
            return False
        self.reporter.fell_back(self.calls, self.model, fallback, error)
        self.model = fallback
        return True

    async def _has_another_round(self, error: CallError) -> bool:
        """Whether the call that failed for good is made anew: its replies broke by chance."""
        call = self.reported
        return call is not None and await self.caller.before_new_call(
            self.model, call, call.failed, error
        )

    async def _call_model(self) -> ModelReply:
        if self.tools and self.with_tools and not self.caller.supports_tools(self.model):
            await self._prefetch()
        self.calls += 1
        try:
            reply = await self._ask()
        except ParameterRefused as error:
            if error.parameter != "tools" or not self._offers_tools:
                raise
            await self._prefetch()
            reply = await self._ask()
        return reply

    async def _ask(self) -> ModelReply:
        self.reported = observer = self.reporter.call(self.calls)
        return await self.caller.call(
            self._request(), observer, ticket=self.ticket, budget=self.budget
        )

    @property
    def _offers_tools(self) -> bool:
        return bool(self.tools) and self.with_tools and self.tool_calls < MAX_TOOL_CALLS

    def _request(self) -> CallRequest:
        agent = self.agent
        return CallRequest(
            model=self.model,
            messages=tuple(self.messages),
            tools=tool_definitions(self.tools) if self._offers_tools else (),
            output_schema=_schema_of(agent.output) if agent.output is not None else None,
            max_output_tokens=agent.max_output_tokens,
            seed=agent.seed,
        )

    def _check(self, reply: ModelReply) -> Checked:
        if reply.refusal or ending_of(reply.finish_reason) is Ending.DECLINED:
            raise OutputInvalid(
                f"The model declined to write for {self.agent.name}"
                + (f": {reply.refusal[:300]}" if reply.refusal else " (content filter)."),
                "Change the topic or its wording, or use another model.",
            )
        return check_reply(reply.text, reply.finish_reason, self.agent.output)

    def _refuse_blind(self, data: Mapping[str, Any] | None) -> None:
        """“Nothing found” is an answer of somebody who could look. Raises what kept them from it."""
        found_nothing = data is not None and data.get("findings") == [] and not self.answered
        if found_nothing and self.tool_error is not None:
            raise self.tool_error

    def _ask_for_repair(self, text: str, problem: str) -> None:
        if self.repairs >= MAX_REPAIRS:
            raise OutputInvalid(
                f"The answer of {self.agent.name} did not fit after {MAX_REPAIRS} repair turns: "
                + problem[:300],
                "Try another model: this one may not follow JSON schemas."
                if self.agent.output
                else "Try another model, or a shorter length.",
            )
        self.repairs += 1
        self.reporter.repair_requested(self.repairs, problem)
        self.messages += [
            {"role": "assistant", "content": text or "(empty)"},
            {
                "role": "user",
                "content": f"Your reply did not fit: {problem}\nSend it again, whole.",
            },
        ]

    async def _reviewed(self, first: Answer) -> Answer:
        """`first`, or what came of the remarks on it."""
        if self.agent.review is None:
            return first
        asked, calls = self.messages, self.calls

        async def ask(answer: Answer, remarks: str, turn: int) -> Answer:
            self.reporter.remarks_made(turn, remarks)
            self.messages = [
                *asked,
                {"role": "assistant", "content": answer.checked.text},
                {"role": "user", "content": f"{remarks}\n\nSend your reply again, whole."},
            ]
            return await self._answer_once()

        best = await best_answer(first, self.agent.review, self.sources, ask)
        self.messages = asked
        if self.calls > calls:  # what a turn streamed may not be what is kept
            self.reporter.kept(best.checked.text)
        return best

    async def _finished(self, checked: Checked) -> Finished:
        """The answer as it is handed on. A library user's agent with findings has them checked too."""
        default = finish_findings if self.agent.output is Findings else None
        finish = self.agent.finish or default
        if finish is None:
            return Finished(checked.text, checked.data)
        answer = Reviewed(checked.text, checked.data, self.sources)
        finished = await beside_the_loop(finish, answer)
        if finished.text != checked.text:
            self.reporter.kept(finished.text)
        return finished

    async def _answer_once(self) -> Answer:
        """One more call; what goes wrong in it leaves the answer there is. No other model is asked."""
        if self.calls >= MAX_CALLS:
            raise NoAnswer(final=True)
        try:
            reply = await self._call_model()
        except (CallError, BudgetExceeded) as error:
            raise NoAnswer(final=True) from error
        self.usage = self.usage.plus(reply.usage)
        try:
            checked = self._check(reply)
        except OutputInvalid as error:  # declined
            raise NoAnswer(final=True) from error
        if checked.problem or reply.tool_calls:
            raise NoAnswer(final=False)
        return Answer(reply, checked)

    async def _run_tools(self, reply: ModelReply) -> None:
        """Run what the model asked for, all at once, and give it the results."""
        calls = _answerable(reply.tool_calls, self.tool_calls)
        allowed = calls[: max(0, MAX_TOOL_CALLS - self.tool_calls)]
        self.tool_calls += len(calls)
        self.messages.append(_assistant_turn(reply.text, calls))
        contents = [result.content for result in await self._results(allowed)]
        contents += [_LIMIT_REACHED] * (len(calls) - len(allowed))
        self.messages += [
            {"role": "tool", "tool_call_id": call.id, "content": content}
            for call, content in zip(calls, contents, strict=True)
        ]

    async def _results(self, calls: Sequence[ToolCall]) -> list[_ToolTurn]:
        """Run the calls side by side; what they return, in the order asked."""
        self.reporter.tools_started([_describe(call) for call in calls])
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._told(number, call))
                for number, call in enumerate(calls, self.told + 1)
            ]
        self.told += len(calls)
        results = [task.result() for task in tasks]
        self.reporter.tools_finished(
            [
                f"{call.name}: {result.problem}"
                for call, result in zip(calls, results, strict=True)
                if result.problem
            ]
        )
        for result in results:  # in the order asked, so that equal runs have equal inputs
            self.sources.update({source.id: source for source in result.sources})
            self.answered += result.problem is None
            self.tool_error = result.problem or self.tool_error
        return results

    async def _told(self, number: int, call: ToolCall) -> _ToolTurn:
        """Run one call and say when it began and ended."""
        self.reporter.tool_call_started(number, call.name[:TOOL_MAX_CHARS], _about(call))
        result = await self._run_tool(call.name, call.arguments)
        problem = str(result.problem) if result.problem else ""
        self.reporter.tool_call_finished(number, len(result.sources), problem)
        return result

    async def _run_tool(self, name: str, arguments: str) -> _ToolTurn:
        try:
            if name not in self.tools:
                raise ToolError(f"There is no tool `{name[:80]}`.")
            result = await run_tool(name, arguments, self.context)
        except ToolError as error:
            return _ToolTurn(json.dumps({"error": str(error)}), problem=error)
        return _ToolTurn(result.content, result.sources)

    async def _prefetch(self) -> None:
        """The endpoint takes no tools: code searches, and the results join the prompt."""
        self.with_tools = False
        calls = [
            ToolCall("", name, json.dumps(arguments))
            for name, arguments in self.agent.prefetch
            if name in self.tools
        ]
        found = [result.content for result in await self._results(calls)] if calls else []
        evidence = section("evidence", "\n".join(found))
        note = "This endpoint has no tools; what a search for the topic returned is in `evidence`."
        self.messages[1] = {
            "role": "user",
            "content": f"{self.user_prompt}\n\n{evidence}\n\n{note}",
        }

    def _reply(self, reply: ModelReply, finished: Finished) -> AgentReply:
        prompt = f"{self.agent.instructions}\n\n{self.messages[1]['content']}"
        output = AgentOutput(
            text=finished.text,
            data=finished.data,
            sources=tuple(self.sources.values()),
            prompt=prompt,
            response_model=reply.response_model,
            request_model=self.model,
            flags=finished.flags,
        )
        return AgentReply(output, self.usage)


_LIMIT_REACHED = json.dumps(
    {"error": f"The limit of {MAX_TOOL_CALLS} tool calls is reached. Answer with what you have."}
)


@cache
def _schema_of(output: type[BaseModel]) -> OutputSchema:
    """Made once per type: it costs more than the rest of a request."""
    return OutputSchema(output.__name__, output.model_json_schema())


def _answerable(calls: Sequence[ToolCall], earlier: int) -> list[ToolCall]:
    """The calls as their results can name them: each with an id of its own, and arguments.

    Some providers send no id, or one id for all; `earlier` calls of the conversation have ids
    already. A call without arguments means an empty object.
    """
    taken: set[str] = set()
    answerable = []
    for number, call in enumerate(calls, earlier + 1):
        name = call.id.strip() or f"call_{number}"
        while name in taken:
            name += "_"
        taken.add(name)
        answerable.append(ToolCall(name, call.name, call.arguments.strip() or "{}"))
    return answerable


def _assistant_turn(text: str, calls: Sequence[ToolCall]) -> Mapping[str, Any]:
    return {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ],
    }


def _describe(call: ToolCall) -> str:
    """One short line for people, e.g. `web_search: heat pumps`."""
    about = _about(call)
    return f"{call.name}: {about}" if about else call.name


def _about(call: ToolCall) -> str:
    """What the call is about, as far as it says: its first argument."""
    try:
        arguments = read_json(call.arguments)
    except ValueError:
        return ""
    values: Sequence[Any] = list(arguments.values()) if isinstance(arguments, dict) else []
    return str(values[0])[:ABOUT_MAX_CHARS] if values else ""
