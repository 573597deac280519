"""Say what an agent's work consists of, apart from when it happened: steps with their lengths.

Pure. A workload is taken from a finished run's timing and laid out anew by `simulate.py`. It holds
service time only (`timing.py`): of each call the attempt whose reply was used, tools and local
work between calls, the checks and the commit after the last. Left out are waits for other agents
and for admission, backoffs, discarded attempts, lost second requests and the work of interrupted
epochs. An agent whose output was not used (absent, substituted) has no steps: as everywhere in
`timing.py`, its service time is 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipeline.models import AgentState, Usage
from pipeline.spans import CallTiming, Segment, Span
from pipeline.timing import AgentTiming, RunTiming


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Holds a slot from admission to its last token. Tokens None: not told."""

    first_token_s: float
    generation_s: float
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def duration_s(self) -> float:
        return self.first_token_s + self.generation_s

    @property
    def tokens(self) -> int | None:
        """What a tokens-per-minute limit is charged: input and output; None when one is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Pause:
    """Work without a call in flight: tools (`TOOLS`), local checks and the commit (`GENERATION`)."""

    segment: Segment
    duration_s: float


Step = Call | Pause


@dataclass(frozen=True, slots=True)
class Workload:
    """An agent's steps, in order."""

    steps: tuple[Step, ...] = ()

    @property
    def service_s(self) -> float:
        return sum(step.duration_s for step in self.steps)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(step for step in self.steps if isinstance(step, Call))

    @property
    def knows_tokens(self) -> bool:
        """True when every call's tokens are known, so that a token limit can be simulated."""
        return all(call.tokens is not None for call in self.calls)

    def faster(self, factor: float) -> Workload:
        """The same work in 1/`factor` of the time: calls, tools and local work alike."""
        if factor <= 0:
            raise ValueError(f"factor is {factor:g}; it must be above 0")
        return Workload(tuple(_scaled(step, 1 / factor) for step in self.steps))

    def share(self, parts: int) -> Workload:
        """One of `parts` equal calls that do this work side by side: an estimate.

        Each writes 1/`parts` of the tokens at the same rate after the same time to the first
        token, and reads the whole input again. Local work is not divided.
        """
        if parts < 1:
            raise ValueError(f"parts is {parts}; it must be at least 1")
        return Workload(tuple(_shared(step, parts) for step in self.steps))


def merged(parts: Sequence[Workload]) -> Workload:
    """One call that does the work of all `parts`: `share` backwards, and as much an estimate.

    It writes all of their tokens one after another, after their mean time to the first token, and
    reads what one of them read on average. Local work is their mean too.
    """
    calls = [call for part in parts for call in part.calls]
    inputs, outputs = ([c.input_tokens for c in calls], [c.output_tokens for c in calls])
    local_s = sum(s.duration_s for part in parts for s in part.steps if isinstance(s, Pause))
    call = Call(
        sum(call.first_token_s for call in calls) / len(parts),
        sum(call.generation_s for call in calls),
        None if None in inputs else round(sum(filter(None, inputs)) / len(parts)),
        None if None in outputs else sum(filter(None, outputs)),
    )
    return Workload((call, Pause(Segment.GENERATION, local_s / len(parts))))


def _scaled(step: Step, by: float) -> Step:
    if isinstance(step, Pause):
        return replace(step, duration_s=step.duration_s * by)
    return replace(step, first_token_s=step.first_token_s * by, generation_s=step.generation_s * by)


def _shared(step: Step, parts: int) -> Step:
    if isinstance(step, Pause):
        return step
    tokens = step.output_tokens
    return replace(
        step,
        generation_s=step.generation_s / parts,
        output_tokens=None if tokens is None else -(-tokens // parts),
    )


def workloads_of(timing: RunTiming) -> dict[str, Workload]:
    """Agent → its work as this run measured it, in roster order.

    Each workload's `service_s` is the agent's `service_s` in `timing`.
    """
    return {agent.agent: workload_of(agent) for agent in timing.agents}


def workload_of(agent: AgentTiming) -> Workload:
    if agent.state is not AgentState.DONE:
        return Workload()
    epoch = max((call.epoch for call in agent.calls), default=0)
    used = {c.call: c for c in agent.calls if c.epoch == epoch and c.outcome == "used"}
    spans = [span for span in agent.spans if span.in_service]
    steps: list[Step] = []
    for number, group in groupby(spans, key=lambda span: span.call):
        steps.extend(_steps_of_call(used.get(number), list(group)))
    return Workload(tuple(steps))


def _steps_of_call(call: CallTiming | None, spans: list[Span]) -> Iterator[Step]:
    """The call itself, then what the agent did until its next call or its end.

    `call` is None when the process died between the commit and the fact that the call ended.
    """
    over_s = spans[-1].end_s if call is None or call.finished_s is None else call.finished_s
    usage = Usage() if call is None else call.usage
    yield Call(
        sum(s.duration_s for s in spans if s.segment is Segment.FIRST_TOKEN),
        sum(
            max(0.0, min(s.end_s, over_s) - s.start_s)
            for s in spans
            if s.segment is Segment.GENERATION
        ),
        usage.input_tokens,
        usage.output_tokens,
    )
    for span in spans:
        after_s = span.end_s - max(span.start_s, over_s)
        if span.segment is not Segment.FIRST_TOKEN and after_s > 0:
            yield Pause(span.segment, after_s)
