"""An endpoint that is down is left alone, and whoever waits for it goes on when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from pipeline.agents.roster import ROSTER
from pipeline.chat_orchestrator import ChatOrchestrator, RunResult
from pipeline.events import AdmissionQueued, CallSent
from pipeline.journal import Journal
from pipeline.llm.admission import CircuitRules, GateRegistry
from pipeline.llm.client import ModelCaller
from pipeline.models import Mode, RunStatus
from pipeline.plan import make_plan
from pipeline.tools.samples import sample_research
from pipeline.views.admission_panel import admission_message
from pipeline.views.cards import card_states
from pipeline.views.cockpit import cockpit_lines
from tests.faulty_demo import Answer, FaultyDemo

MODEL = "gantry-demo-instant"
TOPIC = "Heat pumps in old buildings"
INTERVAL_S = 0.4
RUNS = 10


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


def gates_with(patience_s: float = 60.0) -> GateRegistry:
    return GateRegistry(16, circuit=CircuitRules(INTERVAL_S, patience_s))


async def run(demo: FaultyDemo, caller: ModelCaller, journal: Journal) -> RunResult:
    orchestrator = ChatOrchestrator(
        demo.client, model=MODEL, caller=caller, research=sample_research()
    )
    return await orchestrator.run_pipeline(TOPIC, journal=journal)


async def until_open(gates: GateRegistry) -> None:
    async with asyncio.timeout(20):
        while not gates.circuits():  # noqa: ASYNC110 - the circuit has no event of its own
            await asyncio.sleep(0.001)


@pytest.mark.slow
async def test_ten_runs_wait_for_an_endpoint_that_is_down_and_finish_when_it_is_back(
    demo: FaultyDemo,
) -> None:
    gates = gates_with()
    caller = ModelCaller(demo.client, gates=gates)
    journals = [Journal(f"run {n}") for n in range(RUNS)]
    clock = asyncio.get_running_loop().time
    demo.down = Answer(503)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        runs = [group.create_task(run(demo, caller, journal)) for journal in journals]
        await until_open(gates)
        while demo.in_flight:  # noqa: ASYNC110 - those that were sent before it opened
            await asyncio.sleep(0.001)
        opened = len(demo.seen)
        while len(demo.seen) < opened + 8:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        demo.down, back_s = None, clock()

    probes = [at_s for at_s, _ in demo.seen[opened : opened + 8]]
    # one that arrives late on a busy machine stands nearer to the next, never nearer to all
    assert all(after - before >= 0.5 * INTERVAL_S for before, after in pairwise(probes))
    assert probes[-1] - probes[0] >= 0.95 * INTERVAL_S * (len(probes) - 1)
    recovered_s = demo.seen[opened + 8][0]
    assert recovered_s - back_s <= INTERVAL_S + 1.0  # a busy machine may be late, not idle
    assert [each.result().status for each in runs] == [RunStatus.DONE] * RUNS
    attempts = [max(e.attempt for e in j.events if isinstance(e, CallSent)) for j in journals]
    assert max(attempts) <= 3
    await caller.aclose()


async def test_an_endpoint_that_always_fails_costs_three_requests_and_opens_its_circuit(
    demo: FaultyDemo,
) -> None:
    gates = gates_with()
    caller = ModelCaller(demo.client, gates=gates)
    demo.down = Answer(500)

    result = await run(demo, caller, Journal("run"))

    assert result.status is RunStatus.FAILED
    assert demo.requests["topic_planner"] == 3
    (circuit,) = gates.circuits()
    assert circuit.error == "The endpoint failed (HTTP 500)."
    await caller.aclose()


async def test_everybody_is_told_that_the_endpoint_is_down(demo: FaultyDemo) -> None:
    gates = gates_with(patience_s=0.2)
    caller = ModelCaller(demo.client, gates=gates)
    gate = gates.gate_for(caller.base_url, MODEL)
    demo.down = Answer(500)
    await run(demo, caller, Journal("first"))
    asked = demo.requests["topic_planner"]

    journal = Journal("second")
    second = asyncio.create_task(run(demo, caller, journal))
    async with asyncio.timeout(10):
        while not any(isinstance(e, AdmissionQueued) for e in journal.events):  # noqa: ASYNC110
            await asyncio.sleep(0)
    (planner, *_) = card_states(make_plan(ROSTER, Mode.PHASES), list(journal.events))
    panel = admission_message([gate.snapshot()])
    lines = cockpit_lines([gate.snapshot()])
    result = await second

    assert "the endpoint is down" in planner.detail
    assert panel.summary.startswith("endpoint down")
    assert dict(panel.gates[0].facts)["Endpoint"].startswith("down for")
    assert any("1 call waits" in line for line in lines)
    assert result.error is not None
    assert result.error.code in ("endpoint_down", "server_failed")
    assert demo.requests["topic_planner"] - asked <= 3
    await caller.aclose()
