"""Workloads: an agent's service time as steps, taken from any run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import AgentState, Mode
from pipeline.plan import make_plan
from pipeline.spans import Segment
from pipeline.timing import run_timing
from pipeline.workload import Call, Pause, Workload, merged, workloads_of
from tests.unit.simulated import Attempt, Script, Simulation, roster_of, simulations, unhurried


@unhurried
@given(simulations(epochs=3))
def test_a_workload_is_the_service_time_of_the_run(simulation: Simulation) -> None:
    timing = run_timing(simulation.plan, simulation.events)

    loads = workloads_of(timing)

    assert list(loads) == list(simulation.plan.names)
    for agent in timing.agents:
        assert loads[agent.agent].service_s == pytest.approx(agent.service_s, abs=1e-6)


@unhurried
@given(simulations())
def test_each_call_is_the_attempt_that_was_used(simulation: Simulation) -> None:
    loads = workloads_of(run_timing(simulation.plan, simulation.events))

    for name, script in simulation.scripts.items():
        if script.state is not AgentState.DONE:
            assert loads[name] == Workload()
            continue
        lengths = [(c[-1].first_token_s or 0.0) + c[-1].generation_s for c in script.calls]
        found = {round(call.duration_s, 6) for call in loads[name].calls}
        assert found | {0.0} == {round(length, 6) for length in lengths} | {0.0}


def one_agent(script: Script) -> Workload:
    plan = make_plan(roster_of({"a": []}, {"a": "p"}), Mode.PHASES)
    events = Simulation(plan, {"a": script}).run()
    return workloads_of(run_timing(plan, events))["a"]


def test_waits_and_discarded_attempts_are_left_out() -> None:
    failed = Attempt(admission_s=1.0, first_token_s=2.0, generation_s=3.0, backoff_s=4.0)

    load = one_agent(Script(calls=((failed, Attempt(0.5, 0.25, 1.5)),)))

    assert load.steps == (Call(0.25, 1.5, 10, 20),)


def test_tools_between_and_the_commit_after_hold_no_slot() -> None:
    call = (Attempt(first_token_s=0.5, generation_s=1.0),)

    load = one_agent(Script(calls=(call, call), tools_s=2.0, commit_s=0.25))

    assert load.steps == (
        Call(0.5, 1.0, 10, 20),
        Pause(Segment.TOOLS, 2.0),
        Call(0.5, 1.0, 10, 20),
        Pause(Segment.GENERATION, 0.25),
    )


def test_a_faster_agent_is_faster_in_everything_and_writes_as_much() -> None:
    load = Workload((Call(1.0, 2.0, 10, 20), Pause(Segment.TOOLS, 4.0)))

    assert load.faster(2).steps == (Call(0.5, 1.0, 10, 20), Pause(Segment.TOOLS, 2.0))
    with pytest.raises(ValueError, match="above 0"):
        load.faster(0)


def test_a_share_waits_as_long_for_its_first_token_and_reads_everything() -> None:
    load = Workload((Call(1.0, 6.0, 100, 50), Pause(Segment.GENERATION, 0.5)))

    assert load.share(4).steps == (Call(1.0, 1.5, 100, 13), Pause(Segment.GENERATION, 0.5))
    assert load.share(1) == load
    with pytest.raises(ValueError, match="at least 1"):
        load.share(0)


@given(st.integers(1, 8))
def test_merged_shares_are_the_work_again(parts: int) -> None:
    load = Workload((Call(1.0, 6.0, 100, 50 * parts), Pause(Segment.GENERATION, 0.5)))

    whole = merged([load.share(parts)] * parts)

    assert whole.calls[0].output_tokens == 50 * parts
    assert whole.calls[0].input_tokens == 100
    assert [s.duration_s for s in whole.steps] == pytest.approx([s.duration_s for s in load.steps])


def test_tokens_are_unknown_when_either_side_is() -> None:
    assert Call(0.0, 1.0, 10, None).tokens is None
    assert Call(0.0, 1.0, 10, 20).tokens == 30
    assert not Workload((Call(0.0, 1.0, 10, 20), Call(0.0, 1.0))).knows_tokens
