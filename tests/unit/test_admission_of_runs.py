"""Whole runs that share one endpoint: who goes first, what is learned, what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.estimates import Estimates
from pipeline.events import BackoffStarted, CallAdmitted, RunStarted
from pipeline.journal import Journal, wall_now
from pipeline.llm.admission import GateRegistry
from pipeline.llm.client import ModelCaller
from pipeline.models import Mode, RunStatus
from pipeline.timing import run_timing
from pipeline.tools.samples import sample_research
from tests.faulty_demo import Answer, FaultyDemo

MODEL = "gantry-demo-instant"
TOPIC = "Heat pumps in old buildings"


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


async def test_a_continued_run_keeps_its_age(demo: FaultyDemo) -> None:
    gates = GateRegistry(1)
    caller = ModelCaller(demo.client, gates=gates)
    orchestrator = ChatOrchestrator(
        demo.client, model=MODEL, caller=caller, research=sample_research()
    )
    gate = gates.gate_for(caller.base_url, MODEL)
    held = await gate.acquire()
    earlier = Journal("continued")
    begun = earlier.record(RunStarted, wall_at=wall_now(), resumed=False, reused=[])
    journals = [
        Journal("new"),
        Journal("continued", epoch=2, offset_s=500.0, events=[begun]),
    ]

    runs = []
    for journal in journals:
        going = orchestrator.run_pipeline(TOPIC, journal=journal, mode=Mode.PHASES)
        runs.append(asyncio.create_task(going))
        async with asyncio.timeout(10):
            while gate.snapshot().waiting < len(runs):  # noqa: ASYNC110
                await asyncio.sleep(0)
    waiting = [w.run_id for w in gate.snapshot().waiters]
    for run in runs:
        run.cancel()
    await asyncio.wait(runs)
    gate.release(held)
    await caller.aclose()

    assert waiting == ["continued", "new"]


async def test_of_two_runs_that_wait_the_older_is_admitted_first(demo: FaultyDemo) -> None:
    gates = GateRegistry(1)
    caller = ModelCaller(demo.client, gates=gates)
    orchestrator = ChatOrchestrator(
        demo.client, model=MODEL, caller=caller, research=sample_research()
    )
    gate = gates.gate_for(caller.base_url, MODEL)
    held = await gate.acquire()  # nobody gets in before both runs wait with two calls each
    order: list[tuple[str, str]] = []

    class Told(Journal):
        def record(self, event_type, **fields):  # type: ignore[no-untyped-def]
            if event_type is CallAdmitted:
                order.append((self.run_id, fields["agent"]))
            return super().record(event_type, **fields)

    async with asyncio.TaskGroup() as group:
        runs = [
            group.create_task(
                orchestrator.run_pipeline(TOPIC, journal=Told(name), mode=Mode.DATAFLOW)
            )
            for name in ("older", "newer")
        ]
        async with asyncio.timeout(10):
            while gate.snapshot().waiting < 4:  # noqa: ASYNC110
                await asyncio.sleep(0)
        waiting = [(w.run_id, w.agent) for w in gate.snapshot().waiters]
        gate.release(held)
    await caller.aclose()

    assert [run.result().status for run in runs] == [RunStatus.DONE] * 2
    assert waiting == [  # inside a run the longer path first
        ("older", "topic_planner"),
        ("older", "kb_researcher"),
        ("newer", "topic_planner"),
        ("newer", "kb_researcher"),
    ]
    assert order[:2] == waiting[:2]


async def test_a_run_teaches_what_its_agents_took_to_the_next(demo: FaultyDemo) -> None:
    estimates = Estimates()
    orchestrator = ChatOrchestrator(
        demo.client, model=MODEL, estimates=estimates, research=sample_research()
    )
    seed_s = estimates.service_s("content_writer", MODEL)

    result = await orchestrator.run_pipeline(TOPIC)

    timing = run_timing(result.plan, result.journal.events)
    learned_s = estimates.service_s("content_writer", MODEL)
    assert learned_s == timing.agent("content_writer").service_s != seed_s


@pytest.mark.slow
async def test_a_run_survives_more_refusals_than_a_call_may_fail(demo: FaultyDemo) -> None:
    demo.script["editor"] = [Answer(429, code="rate_limit_exceeded")] * 3

    result = await ChatOrchestrator(
        demo.client, model=MODEL, research=sample_research()
    ).run_pipeline(TOPIC)

    assert result.status is RunStatus.DONE
    refused = [e for e in result.journal.events if isinstance(e, BackoffStarted)]
    assert [e.agent for e in refused] == ["editor"] * 3
    editor = run_timing(result.plan, result.journal.events).agent("editor")
    assert editor.segments.admission_s > 0.7  # it waited in the queue, and the chart says so
    assert editor.service_s < 1.0


async def test_a_run_with_limits_known_beforehand_never_meets_a_refusal(demo: FaultyDemo) -> None:
    gates = GateRegistry(4, requests_per_minute=1_200, tokens_per_minute=2_000_000)
    caller = ModelCaller(demo.client, gates=gates)

    result = await ChatOrchestrator(
        demo.client, model=MODEL, caller=caller, research=sample_research()
    ).run_pipeline(TOPIC)
    await caller.aclose()

    assert result.status is RunStatus.DONE
    assert demo.peak <= 4
    (gate,) = gates.snapshot().values()
    assert (gate.refused, gate.in_flight, gate.waiting) == (0, 0, 0)
    found = {limit.unit: limit for limit in gate.limits}
    used = 2_000_000 - (found["tokens"].available or 0)
    assert 0 < used < 200_000  # settled by what the demo says it used


@pytest.mark.slow
async def test_a_thousand_calls_leave_no_task_timer_or_slot_behind(demo: FaultyDemo) -> None:
    gates = GateRegistry(16)
    caller = ModelCaller(demo.client, gates=gates)
    before = asyncio.all_tasks()
    orchestrator = ChatOrchestrator(
        demo.client, model=MODEL, caller=caller, research=sample_research()
    )

    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(orchestrator.run_pipeline(TOPIC, mode=Mode.DATAFLOW))
    await caller.aclose()
    await gates.aclose()

    (gate,) = gates.snapshot().values()
    assert gate.admitted >= 1_000
    assert (gate.in_flight, gate.waiting) == (0, 0)
    ours = {t for t in asyncio.all_tasks() - before if "pipeline" in repr(t.get_coro())}
    assert ours == set()
    live = gates.gate_for(str(demo.client.base_url), MODEL)
    assert (live._wake_up, len(live._queue._by_age), live._unheard[0]) == (None, 0, 0)
