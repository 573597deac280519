"""Carry a plan out: start what is ready, isolate failures, keep what is finished.

`plan.py` decides who may start and what a failure means; this module acts: one executor for all
modes. It knows no database and no page, only the journal it is handed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from openai import AsyncOpenAI

from pipeline.agents.agent_manager import AgentManager
from pipeline.agents.prompting import checkpoint_key, instructions, join_key, user_prompt
from pipeline.agents.roster import ROSTER
from pipeline.budgets import NO_LIMITS, Ledger, Limits, Spending
from pipeline.content.findings import kept_findings
from pipeline.content.sections import joined
from pipeline.content.substitutes import substitute_for
from pipeline.derived import is_empty, run_date
from pipeline.errors import GantryError, NothingFound, SpecError
from pipeline.estimates import Estimates
from pipeline.events import (
    AgentFinished,
    AgentStarted,
    PlanGrown,
    RunFinished,
    RunStarted,
    SpeculationJudged,
)
from pipeline.journal import Journal, wall_now
from pipeline.llm.admission import Ticket
from pipeline.llm.budget import Budget, MemoryLedger
from pipeline.llm.client import ModelCaller
from pipeline.logs import log_context
from pipeline.models import (
    LOCAL_OWNER,
    UNSOURCED_LABEL,
    AgentOutput,
    AgentSpec,
    AgentState,
    Checkpoint,
    Join,
    RunSpec,
    RunStatus,
    Settlement,
    Usage,
)
from pipeline.plan import (
    Plan,
    dependants,
    make_plan,
    missing_need,
    ready,
    regrown,
    remaining_paths,
    settle,
)
from pipeline.prices import PriceTable, load_prices
from pipeline.spec import make_spec
from pipeline.timing import RunTiming, run_timing
from pipeline.tools import NO_RESEARCH, Research, run_context

LONG_TEXT_CHARS = 4_000  # its facts take 2 ms to compute


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, with everything that was made: `journal` its facts, `timing` its figures."""

    run_id: str
    spec: RunSpec
    plan: Plan
    status: RunStatus
    settled: Mapping[str, Settlement]
    degraded: tuple[str, ...]
    journal: Journal
    timing: RunTiming
    error: GantryError | None = None

    @property
    def outputs(self) -> dict[str, AgentOutput]:
        return {n: s.output for n, s in self.settled.items() if s.output is not None}


class ChatOrchestrator:
    """Runs the whole pipeline on one client.

    `caller` shares admission and deadlines between runs; without one each run has its own.
    `estimates` remember what agents took; they decide which of a run's calls matters most.
    `limits` are what a run may spend, beside its own; `prices` what tokens cost. `research` is what
    researchers reach for: without it the web is not searched, and a run needs `allow_unsourced`.
    Another `roster` is another pipeline: agents, phases and switches follow from it.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        model: str = "",
        roster: Sequence[AgentSpec] = ROSTER,
        caller: ModelCaller | None = None,
        estimates: Estimates | None = None,
        limits: Limits = NO_LIMITS,
        prices: PriceTable | None = None,
        research: Research = NO_RESEARCH,
    ) -> None:
        self._client = client
        self._model = model
        self._roster = tuple(roster)
        self._caller = caller
        self._estimates = estimates or Estimates()
        self._limits = limits
        self._prices = prices
        self._research = research

    async def run_pipeline(
        self, topic: str, *, journal: Journal | None = None, **brief: Any
    ) -> RunResult:
        """Turn `topic` into an article; `brief` takes the other fields of `RunSpec`.

        Raises `SpecError` or `PlanError` before the first call when the input cannot be run.
        A run that fails later is returned, with its `status` and `error`.
        """
        brief.setdefault("provider", "openai")
        brief.setdefault("model", self._model)
        spec = make_spec(topic=topic, **brief)
        return await self.carry_out(spec, journal or Journal(secrets.token_urlsafe(16)))

    async def carry_out(
        self,
        spec: RunSpec,
        journal: Journal,
        *,
        owner: str = LOCAL_OWNER,
        ledger: Ledger | None = None,
    ) -> RunResult:
        """Execute one epoch of a run: take over its checkpoints, do the rest.

        `owner` shares the endpoint's limits with other owners, whatever their number of runs.
        `ledger` keeps what is spent; without one a budget lasts for this call. Raises `SpecError`
        when a budget in money meets a model without a known price.
        Cancellation is passed on after the agents in flight have been closed and recorded.
        """
        plan = make_plan(self._roster, spec.mode, spec.switches, spec.options)
        for agent in (*plan.agents, *plan.foreseen()):
            if agent.join is None:
                instructions(agent)  # a missing prompt file is refused before the first call
        manager = AgentManager(
            self._client,
            model=spec.model or self._model,
            agent_models=spec.agent_models,
            fallback_model=spec.fallback_model,
            fallback_models=spec.fallback_models,
            roster=plan.agents,
            seed=spec.seed,
            journal=journal,
            caller=self._caller,
            search_topic=spec.topic,
            context=run_context(
                self._research,
                owner=owner,
                topic=spec.topic,
                language=spec.language,
                given=spec.urls,
            ),
            given=spec.urls,
            instructions=spec.prompt_instructions,
            voice=spec.voice,
        )
        manager.budget = await self._budget(spec, journal, manager.models, ledger)
        async with manager:
            age_s = journal.now_s() if journal.events else 0.0  # a continued run keeps its age
            tickets = Tickets(journal.run_id, owner, manager.model_for, self._estimates, age_s)
            try:
                result = await _Execution(spec, plan, journal, manager, tickets).run()
            finally:
                if manager.budget is not None:
                    await manager.budget.aclose()
        models = {agent.name: manager.model_for(agent.name) for agent in result.plan.agents}
        now_s = asyncio.get_running_loop().time()
        self._estimates.learn_run(result.timing, models, now_s)
        return result

    async def _budget(
        self, spec: RunSpec, journal: Journal, models: Iterable[str], ledger: Ledger | None
    ) -> Budget | None:
        """What the run may spend; None when nobody set a limit."""
        limits = self._limits.with_spec(spec)
        if not limits.any:
            return None

        def tell(spending: Spending) -> None:
            journal.spending = spending

        prices = self._prices or load_prices()
        budget = Budget(ledger or MemoryLedger(), limits, prices, on_change=tell)
        budget.check_models(models)
        await budget.begin()
        return budget


class Tickets:
    """The tickets of one run's calls: whose it is, since when, and how much hangs on them."""

    def __init__(
        self,
        run_id: str,
        owner: str,
        model_for: Callable[[str], str],
        estimates: Estimates,
        age_s: float = 0.0,
    ) -> None:
        self._run_id = run_id
        self._owner = owner
        self._model_for = model_for
        self._estimates = estimates
        self._started_s = asyncio.get_running_loop().time() - age_s
        self._plan: Plan | None = None
        self._paths: Mapping[str, float] = {}

    def of(self, plan: Plan, agent: str) -> Ticket:
        if plan is not self._plan:  # a plan may grow while it runs
            took = {n: self._estimates.service_s(n, self._model_for(n)) for n in plan.names}
            self._plan, self._paths = plan, remaining_paths(plan, took)
        return Ticket(
            run_id=self._run_id,
            agent=agent,
            owner=self._owner,
            run_started_s=self._started_s,
            remaining_s=self._paths[agent],
        )


@dataclass(slots=True)
class _Execution:
    """One epoch. `settled` grows until all agents are in it or a critical one has failed.

    `plan` may be replaced by a grown one, always before the agent it grew by is in `settled`.
    """

    spec: RunSpec
    plan: Plan
    journal: Journal
    manager: AgentManager
    tickets: Tickets
    settled: dict[str, Settlement] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    failures: dict[str, GantryError] = field(default_factory=dict)  # of this epoch, by agent
    error: GantryError | None = None
    unsourced: frozenset[str] = frozenset()  # agents that work without evidence, and after them
    date: str = ""

    async def run(self) -> RunResult:
        self._begin()
        await self._settle_all()
        return self._end()

    def _begin(self) -> None:
        earlier = list(self.journal.events)
        self._replay_growth()
        self.date = run_date(earlier) or wall_now()[:10]
        kept = kept_absences(self.plan, self.journal)
        resumed = self.journal.has_started
        self.journal.start_clock()
        self.journal.record(
            RunStarted,
            wall_at=wall_now(),
            resumed=resumed,
            reused=sorted({*self.journal.checkpoints, *kept}),
        )
        for name, settlement in kept.items():
            self.settled[name] = settlement
            self.journal.record(
                AgentFinished,
                agent=name,
                state=settlement.state.value,
                mark=settlement.mark,
                error=settlement.error,
                reused=True,
            )

    def _replay_growth(self) -> None:
        """Grow as earlier epochs did. A fact whose checkpoint was lost is void: its agent works again."""
        for event in self.journal.events:
            if isinstance(event, PlanGrown) and event.agent in self.journal.checkpoints:
                self.plan = regrown(self.plan, event)
        self.manager.adopt(self.plan.agents)

    async def _settle_all(self) -> None:
        """Start each agent as soon as `ready` says so; `ready` is pure, this only acts."""
        news: asyncio.Queue[tuple[str, Settlement]] = asyncio.Queue()

        async def run_one(name: str) -> None:
            news.put_nowait((name, await self._run_agent(name)))

        async with asyncio.TaskGroup() as group:
            in_flight = 0
            while True:
                if self.error is None and not self._waits_for_approval():
                    for name in ready(self.plan, self.settled, self.started):
                        self.started.add(name)
                        in_flight += 1
                        group.create_task(run_one(name), name=f"agent:{name}")
                if in_flight == 0:
                    return
                name, self.settled[name] = await news.get()
                in_flight -= 1

    def _waits_for_approval(self) -> bool:
        """True once there is an outline that a person must see before anything follows from it.

        Agents in flight are waited for: nothing is cut off, nothing new begins.
        """
        if not self.spec.options.approve_outline or self.spec.outline_approved:
            return False
        outlined = self.settled.get(self.plan.outliner)
        return outlined is not None and outlined.has_value

    async def _run_agent(self, name: str) -> Settlement:
        """Do one agent's work and settle it. Only a bug escapes, and cancellation."""
        agent = self.plan.agent(name)
        self.journal.record(AgentStarted, agent=name)
        try:
            with log_context(agent=name):
                return await self._work(agent)
        except asyncio.CancelledError:
            self.journal.record(AgentFinished, agent=name, state=AgentState.CANCELLED.value)
            raise

    async def _work(self, agent: AgentSpec) -> Settlement:
        problem = self._refusal(agent)
        earlier = self.journal.checkpoints.get(agent.name)
        if problem:
            if earlier is not None and earlier.stands:
                return await self._reuse(agent, earlier)
            return await self._settle(agent, problem, "", Usage())
        inputs = {n.agent: o for n in agent.needs if (o := self.settled[n.agent].output)}
        if agent.join is not None:
            return await self._join(agent, agent.join, inputs)
        prompt = await self._prompt(agent, inputs)
        body = self.spec.prompt_instructions.get(agent.name, "")
        key = checkpoint_key(agent, self.manager.model_for(agent.name), prompt, body)
        if earlier is not None and (earlier.stands or earlier.key == key):
            return await self._reuse(agent, replace(earlier, key=key))
        early = inputs.get(agent.forerunner)
        result = await self.manager.run_agent(
            agent.name,
            prompt,
            sources=early.sources if early else (),
            inputs=inputs,
            ticket=self.tickets.of(self.plan, agent.name),
        )
        outcome = result.output or result.error
        if outcome is None:
            raise RuntimeError(f"Agent `{agent.name}` ended with neither output nor error.")
        return await self._settle(agent, outcome, key, result.usage)

    async def _join(
        self, agent: AgentSpec, join: Join, inputs: Mapping[str, AgentOutput]
    ) -> Settlement:
        """Put the parts together: code, no call, kept like every other output."""
        key = join_key(agent, inputs)
        earlier = self.journal.checkpoints.get(agent.name)
        if earlier is not None and (earlier.stands or earlier.key == key):
            return await self._reuse(agent, replace(earlier, key=key))
        output = joined(join, inputs, fallback_title=self.spec.topic)
        self.journal.add_text(agent.name, output.text)
        return await self._settle(agent, output, key, Usage())

    async def _prompt(self, agent: AgentSpec, inputs: Mapping[str, AgentOutput]) -> str:
        unsourced = agent.name in self.unsourced
        render = partial(user_prompt, agent, self.spec, inputs, date=self.date, unsourced=unsourced)
        # computing facts of a long text takes a while: in a thread, so that the other runs go on
        is_long = sum(len(output.text) for output in inputs.values()) > LONG_TEXT_CHARS
        return await asyncio.to_thread(render) if agent.facts and is_long else render()

    def _refusal(self, agent: AgentSpec) -> GantryError | None:
        """Why the agent must not be asked with what settled, if so."""
        problem = missing_need(agent, self.settled)
        if not problem:
            return None
        if not any(need.kind == "any" for need in agent.needs) or self._misses_required(agent):
            return SpecError(f"{agent.title} cannot work: {problem}.")
        if self.spec.allow_unsourced or self.spec.is_demo:
            self.unsourced |= {agent.name, *dependants(self.plan, agent.name)}
            return None
        asked = [need.agent for need in agent.needs if need.kind == "any"]
        kept_away = next((self.failures[name] for name in asked if name in self.failures), None)
        if kept_away is not None and not any(self.settled[name].empty for name in asked):
            return kept_away
        return NothingFound(
            "No source was found for this topic.",
            (f"{kept_away} Otherwise change" if kept_away else "Change")
            + " the topic, or allow an unsourced draft, which will be labelled as one.",
        )

    def _misses_required(self, agent: AgentSpec) -> bool:
        required = replace(agent, needs=tuple(n for n in agent.needs if n.kind != "any"))
        return bool(missing_need(required, self.settled))

    async def _reuse(self, agent: AgentSpec, checkpoint: Checkpoint) -> Settlement:
        output = checkpoint.output
        self.journal.add_text(agent.name, output.text)  # to be seen beside what is written now
        if self._outgrew(agent, checkpoint):
            self._grow(agent, output)
        known = self.journal.checkpoints[agent.name]
        if known.is_offered or known.stands:  # from here on it is this run's own, under its key
            await self.journal.commit(replace(checkpoint, epoch=self.journal.epoch))
        self.journal.record(
            AgentFinished,
            agent=agent.name,
            state=checkpoint.state.value,
            mark=output.mark,
            reused=True,
            edited=checkpoint.edited,
        )
        return Settlement(
            agent.name, checkpoint.state, output, mark=output.mark, empty=is_empty(output)
        )

    def _outgrew(self, agent: AgentSpec, checkpoint: Checkpoint) -> bool:
        """True when the plan has not grown by this outline: an option was switched on since, or a
        person changed its sections."""
        known = self.plan.growth.get(agent.name)
        if known is None:
            return True
        return checkpoint.edited and known != self.plan.growth_by(agent.name, checkpoint.output)

    async def _settle(
        self, agent: AgentSpec, outcome: AgentOutput | GantryError, key: str, usage: Usage
    ) -> Settlement:
        """Decide, make what has a value durable, then tell."""
        substitute = None
        if isinstance(outcome, GantryError):
            inputs = {n: s.output for n, s in self.settled.items() if s.output is not None}
            substitute = substitute_for(agent.name, inputs, self.spec)
        empty = isinstance(outcome, AgentOutput) and is_empty(outcome)
        settlement = settle(agent, outcome, substitute, empty=empty)
        self._judge_forerunner(agent, settlement.output)
        if settlement.output is not None:
            self._grow(agent, settlement.output)  # before the commit: part of its transaction
            await self.journal.commit(
                Checkpoint(
                    agent=agent.name,
                    key=key,
                    epoch=self.journal.epoch,
                    output=settlement.output,
                    usage=usage,
                    state=settlement.state,
                )
            )
        error = outcome if isinstance(outcome, GantryError) else None
        if error is not None:
            self.failures[agent.name] = error
        if settlement.state is AgentState.FAILED:
            self.error = self.error or error
        self.journal.record(
            AgentFinished,
            agent=agent.name,
            state=settlement.state.value,
            mark=settlement.mark,
            error=error.message if error else "",
            error_code=error.code if error else "",
            hint=error.hint if error else "",
        )
        return settlement

    def _grow(self, agent: AgentSpec, output: AgentOutput) -> None:
        """Let the plan grow by what `agent` outlined, as a fact."""
        parts = self.plan.growth_by(agent.name, output)
        if parts is None:
            return
        for name in set(self.plan.changed_by(agent.name)) - self.started:
            self.settled.pop(name, None)  # left out in an earlier epoch, under another outline
        self.plan = self.plan.grown_by(agent.name, parts, self.started | self.settled.keys())
        self.manager.adopt(self.plan.agents)
        self.journal.record(PlanGrown, agent=agent.name, parts=[list(p) for p in parts])

    def _judge_forerunner(self, agent: AgentSpec, output: AgentOutput | None) -> None:
        """Say how much of the speculation before `agent` was of use, as a fact."""
        early = self.settled.get(agent.forerunner)
        if early is None or early.output is None:
            return
        found, kept = kept_findings(early.output, output)
        self.journal.record(SpeculationJudged, agent=agent.forerunner, findings=found, kept=kept)

    def _end(self) -> RunResult:
        marks = self._marks()
        status = RunStatus.FAILED if self.error else RunStatus.DEGRADED if marks else RunStatus.DONE
        if self.error is None and any(name not in self.settled for name in self.plan.names):
            status, marks = RunStatus.WAITING_APPROVAL, ()
        self.journal.record(
            RunFinished,
            status=status.value,
            degraded=list(marks),
            error=self.error.message if self.error else "",
            error_code=self.error.code if self.error else "",
            hint=self.error.hint if self.error else "",
        )
        return RunResult(
            run_id=self.journal.run_id,
            spec=self.spec,
            plan=self.plan,
            status=status,
            settled=self.settled,
            degraded=marks,
            journal=self.journal,
            timing=run_timing(self.plan, self.journal.events),
            error=self.error,
        )

    def _marks(self) -> tuple[str, ...]:
        """What a reader must know, in roster order."""
        marks = [self.settled[n].mark for n in self.plan.names if n in self.settled]
        unsourced = [UNSOURCED_LABEL] if self.unsourced else []
        return tuple(unsourced + [mark for mark in marks if mark])


def kept_absences(plan: Plan, journal: Journal) -> dict[str, Settlement]:
    """Agents that were left out in an earlier epoch and on whose absence finished work rests.

    Trying them again would change the inputs of agents that are paid for already. Those left out
    in the run this one begins with stay so where nobody asked for them again.
    """
    absent = journal.derived.absent if journal.derived else {}
    kept = {
        name: Settlement(name, AgentState.ABSENT, mark=mark)
        for name, mark in absent.items()
        if name in plan.names
    }
    last = {e.agent: e for e in journal.events if isinstance(e, AgentFinished)}
    for name, event in last.items():
        rests_on_it = any(
            before == name and after in journal.checkpoints for before, after in plan.data_edges
        )
        if event.state == AgentState.ABSENT.value and rests_on_it:
            kept[name] = Settlement(name, AgentState.ABSENT, mark=event.mark, error=event.error)
    return kept
