"""Say what a simulation found: when every step lies, what released it, and the chain that counts.

Plain values and one pure function over them; `simulate.py` makes them, `views/lab.py` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.plan import Plan
from pipeline.workload import Step


class Release(StrEnum):
    """What let an agent, or one of its calls, begin when it did."""

    START = "start"  # nothing had to be waited for
    PREDECESSOR = "predecessor"  # the last predecessor settled
    SLOT = "slot"  # another call ended and gave its slot back
    REQUESTS = "requests"  # the requests-per-minute limit allowed the next call
    TOKENS = "tokens"  # the tokens-per-minute limit did


@dataclass(frozen=True, slots=True)
class Cause:
    """`agent` and `step` (an index) are those whose end, or admission, released this one."""

    release: Release
    agent: str = ""
    step: int = -1


AT_ONCE = Cause(Release.START)


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step where it came to lie. A call waits for admission from `queued_s` to `start_s`."""

    step: Step
    queued_s: float
    start_s: float
    end_s: float
    cause: Cause = AT_ONCE


@dataclass(frozen=True, slots=True)
class AgentSchedule:
    agent: str
    started_s: float  # its predecessors had settled
    settled_s: float
    steps: tuple[PlacedStep, ...]
    cause: Cause = AT_ONCE  # of the start

    @property
    def admission_s(self) -> float:
        return sum(placed.start_s - placed.queued_s for placed in self.steps)


@dataclass(frozen=True, slots=True)
class Link:
    """A stretch of the critical chain: `agent` had it in hand from `start_s` to `end_s`.

    `release` is what let it begin at `start_s`. For a rate limit the stretch begins with the
    admission of the call before, whose share of the minute had to pass.
    """

    agent: str
    start_s: float
    end_s: float
    release: Release


@dataclass(frozen=True, slots=True)
class Schedule:
    """What came of it. `critical` is the chain that set the makespan, first to last.

    Its links lie end to end from 0 to `makespan_s`.
    """

    plan: Plan
    agents: tuple[AgentSchedule, ...]  # in roster order
    makespan_s: float
    sequential_s: float
    bound_s: float
    peak_in_flight: int
    critical: tuple[Link, ...]

    def agent(self, name: str) -> AgentSchedule:
        return next(agent for agent in self.agents if agent.agent == name)


def critical_chain(agents: Mapping[str, AgentSchedule]) -> tuple[Link, ...]:
    """Back from the agent that settled last, always to what released it last."""
    name = max(agents, key=lambda n: agents[n].settled_s)
    index, end_s = len(agents[name].steps) - 1, agents[name].settled_s
    chain: list[Link] = []
    while True:
        agent = agents[name]
        while index >= 0 and agent.steps[index].cause is AT_ONCE:
            index -= 1
        cause = agent.steps[index].cause if index >= 0 else agent.cause
        begin_s = _began_s(
            agents, cause, agent.started_s if index < 0 else agent.steps[index].start_s
        )
        chain.append(Link(name, begin_s, end_s, cause.release))
        if not cause.agent:
            return tuple(reversed(chain))
        name, index, end_s = cause.agent, cause.step, begin_s


def _began_s(agents: Mapping[str, AgentSchedule], cause: Cause, start_s: float) -> float:
    """Where the stretch that `cause` released begins: at a rate limit, with the call before."""
    if cause.release in (Release.REQUESTS, Release.TOKENS):
        return agents[cause.agent].steps[cause.step].start_s
    return start_s
