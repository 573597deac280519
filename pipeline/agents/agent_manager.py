"""Run agents of a roster by name, alone or side by side, on one client.

A failure is a value in the result, never an exception that takes a sibling along: what an
agent raises by mistake is logged and becomes an `InternalError` of that agent alone.
Which agent may start when is decided elsewhere (`plan.py`, `chat_orchestrator.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from openai import AsyncOpenAI

from pipeline.agents.chat_agent import ChatAgent
from pipeline.agents.roster import ROSTER
from pipeline.agents.unequipped import without_tools
from pipeline.errors import (
    EngineBusy,
    GantryError,
    InternalError,
    NotConfigured,
    SpecError,
    StoreError,
    Superseded,
)
from pipeline.journal import Journal
from pipeline.llm.admission import Ticket
from pipeline.llm.budget import Budget
from pipeline.llm.client import ModelCaller
from pipeline.models import AgentOutput, AgentSpec, Source, Usage, chosen_model
from pipeline.tools import ToolContext, available_tools
from pipeline.voice import Voice

SEARCHES = ("web_search", "kb_search")  # what code calls where an endpoint takes no tools
_NOT_THE_AGENTS = (EngineBusy, StoreError, Superseded)  # the run itself cannot go on

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How one agent ended: with an output, or with the error that stopped it."""

    agent: str
    output: AgentOutput | None = None
    usage: Usage = Usage()
    error: GantryError | None = None

    @property
    def ok(self) -> bool:
        return self.output is not None

    @property
    def text(self) -> str:
        """What the agent wrote. Raises its error when it failed."""
        if self.output is None:
            raise self.error or SpecError(f"Agent `{self.agent}` has no output.")
        return self.output.text


class AgentManager:
    """The roster's agents, ready to work on one client.

    `model` is used unless `agent_models` names another for an agent; `fallback_model` and
    `fallback_models` say in the same way who takes over when it fails for good. `caller` shares admission,
    deadlines and what is known of the endpoint; without one the manager makes its own and closes
    it in `aclose`. `context` is what tools reach for; an agent none of whose tools has anything to
    reach for is not asked. Where an endpoint takes no tools, code searches for `search_topic` and reads
    the `given` pages. `instructions` are what a person wrote in the place of agents' own, `voice` is
    what answers are reviewed for.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        model: str,
        agent_models: Mapping[str, str] | None = None,
        fallback_model: str = "",
        fallback_models: Mapping[str, str] | None = None,
        roster: Sequence[AgentSpec] = ROSTER,
        seed: int | None = None,
        journal: Journal | None = None,
        caller: ModelCaller | None = None,
        search_topic: str = "",
        context: ToolContext | None = None,
        given: Sequence[str] = (),
        instructions: Mapping[str, str] | None = None,
        voice: Voice | None = None,
    ) -> None:
        self._client = client
        self._model = model
        self._agent_models = dict(agent_models or {})
        self._fallback_model = fallback_model
        self._fallback_models = dict(fallback_models or {})
        self._roster = {agent.name: agent for agent in roster}
        self._seed = seed
        self._journal = journal or Journal("library")
        self._caller = caller or ModelCaller(client)
        self._owns_caller = caller is None
        self._search_topic = search_topic
        self._context = context or ToolContext()
        self._given = tuple(given)
        self._instructions = dict(instructions or {})
        self._voice = voice
        self.budget: Budget | None = None  # of all calls; set it before the first

    async def __aenter__(self) -> AgentManager:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for usage that is still on its way, then let go of the connections."""
        if self._owns_caller:
            await self._caller.aclose()

    def model_for(self, name: str) -> str:
        """The model `name` will ask for. Raises `SpecError` for an unknown agent."""
        agent = self._agent(name)
        return chosen_model(agent, self._agent_models, self._model)

    def fallback_for(self, name: str) -> str:
        """The model that takes over when `name`'s own fails for good; empty: none."""
        fallback = chosen_model(self._agent(name), self._fallback_models, self._fallback_model)
        return "" if fallback == self.model_for(name) else fallback

    @property
    def models(self) -> set[str]:
        """Every model an agent may ask for."""
        own = {self.model_for(name) for name in self._roster}
        return own | {other for name in self._roster if (other := self.fallback_for(name))}

    def adopt(self, agents: Sequence[AgentSpec]) -> None:
        """Know these agents as well: a plan grew while it ran."""
        self._roster |= {agent.name: agent for agent in agents}

    async def run_agent(
        self,
        name: str,
        prompt: str,
        *,
        sources: Sequence[Source] = (),
        inputs: Mapping[str, AgentOutput] | None = None,
        ticket: Ticket | None = None,
    ) -> AgentResult:
        """Run one agent on `prompt` and return its result, failed or not.

        `sources` are passages that stand in the prompt and may be cited as if a tool had
        returned them. `inputs` are the outputs the prompt was made from: its citations are checked
        against them, and left as they are without. `ticket` decides its calls' places in the queue; without one it is
        nobody's. Raises `SpecError` for an unknown agent, and `StoreError`, `Superseded` or
        `EngineBusy` when the journal can no longer be written.
        """
        spec = self._agent(name)
        if spec.tools and not available_tools(spec.tools, self._context):
            return self._unequipped(spec)
        agent = ChatAgent.from_spec(
            spec,
            self.model_for(name),
            seed=self._seed,
            prefetch=self._prefetch(spec, prompt),
            sources=tuple(sources),
            fallback_model=self.fallback_for(name),
            body=self._instructions.get(name, ""),
            voice=self._voice,
            inputs=inputs,
        )
        try:
            reply = await agent.run_async(
                self._client,
                prompt,
                caller=self._caller,
                journal=self._journal,
                ticket=ticket,
                budget=self.budget,
                context=self._context,
            )
        except _NOT_THE_AGENTS:
            raise
        except GantryError as error:
            return AgentResult(name, error=error)
        except Exception as error:
            _logger.exception("agent %s stopped on a defect", name)
            return AgentResult(name, error=_internal(name, error))
        return AgentResult(name, reply.output, reply.usage)

    async def run_agents_parallel(self, work: Sequence[tuple[str, str]]) -> list[AgentResult]:
        """Run `(name, prompt)` pairs side by side; results in the order asked.

        One agent's failure is its own result and leaves the others alone. Unknown names are
        refused before the first call.
        """
        for name, _ in work:
            self._agent(name)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.run_agent(name, prompt), name=f"agent:{name}")
                for name, prompt in work
            ]
        return [task.result() for task in tasks]

    def _agent(self, name: str) -> AgentSpec:
        try:
            return self._roster[name]
        except KeyError:
            raise SpecError(
                f"There is no agent `{name}`.", f"Known agents: {', '.join(self._roster)}."
            ) from None

    def _unequipped(self, agent: AgentSpec) -> AgentResult:
        """How an agent ends that has nothing to look at: no call is spent on it."""
        try:
            output = without_tools(agent)
        except NotConfigured as error:
            return AgentResult(agent.name, error=error)
        self._journal.add_text(agent.name, output.text)
        return AgentResult(agent.name, output)

    def _prefetch(self, agent: AgentSpec, prompt: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        topic = {"query": (self._search_topic or prompt)[:300]}
        searches = [(name, topic) for name in SEARCHES if name in agent.tools]
        pages = [("fetch_page", {"url": url}) for url in self._given if "fetch_page" in agent.tools]
        return (*searches, *pages)


def _internal(name: str, error: Exception) -> InternalError:
    return InternalError(
        f"A defect of Gantry stopped `{name}` ({type(error).__name__}).",
        "Run it again, or use another model; the log has the details for a report.",
    )
