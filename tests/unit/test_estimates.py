"""What is expected of an agent, from what it took before."""

from __future__ import annotations

import pytest

from pipeline.agents.roster import ROSTER
from pipeline.estimates import KEPT, MODELS_KEPT, Estimates
from pipeline.models import Mode
from pipeline.plan import make_plan, remaining_paths
from pipeline.timing import run_timing
from tests.unit.simulated import Attempt, Script, Simulation


def test_one_odd_run_does_not_move_the_estimate() -> None:
    estimates = Estimates()
    for seconds in (4.0, 5.0, 600.0, 5.0, 4.0):
        estimates.learn_service("editor", "m", seconds)

    assert estimates.service_s("editor", "m") == 5.0
    assert estimates.service_s("editor", "other") == pytest.approx(15.4)  # the seed


def test_only_the_last_few_count() -> None:
    estimates = Estimates()
    for seconds in [60.0] * 50 + [1.0] * KEPT:
        estimates.learn_service("editor", "m", seconds)

    assert estimates.service_s("editor", "m") == 1.0


def test_tokens_are_reserved_rather_too_many_than_too_few() -> None:
    estimates = Estimates()
    assert estimates.output_tokens("", "m", 2_000) == 2_000  # nobody known: what it may write
    assert estimates.output_tokens("editor", "m", 6_000) == 1_800
    for tokens in (300, 500, 400):
        estimates.learn_tokens("editor", "m", tokens)

    assert estimates.output_tokens("editor", "m", 6_000) == 500
    assert estimates.output_tokens("editor", "m", 450) == 450
    assert estimates.output_tokens("editor", "m") == 500


def test_models_used_long_ago_are_forgotten() -> None:
    estimates = Estimates()
    estimates.learn_service("editor", "old", 1.0)
    for n in range(MODELS_KEPT):
        estimates.learn_service("editor", f"m{n}", 2.0)

    assert estimates.service_s("editor", "old") == pytest.approx(15.4)
    assert estimates.service_s("editor", "m1") == 2.0


def test_a_finished_run_teaches_what_its_agents_took() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW)
    scripts = {
        name: Script(calls=((Attempt(5.0, 0.5, 1.5),),), commit_s=0.0) for name in plan.names
    }
    simulation = Simulation(plan, scripts)
    simulation.run()
    estimates = Estimates()

    estimates.learn_run(run_timing(plan, simulation.events), dict.fromkeys(plan.names, "m"))

    assert {estimates.service_s(name, "m") for name in plan.names} == {2.0}  # without waits


def test_what_remains_is_the_longest_path_from_here_on() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW)
    took = dict.fromkeys(plan.names, 1.0) | {"content_writer": 10.0}

    paths = remaining_paths(plan, took)

    assert paths["topic_planner"] == 1 + 1 + 10 + 1 + 1 + 1
    assert paths["kb_researcher"] == 1 + 10 + 1 + 1 + 1
    assert paths["editor"] == 3.0
    assert paths["social_promoter"] == 1.0


def test_in_a_sequential_run_all_that_follows_remains() -> None:
    plan = make_plan(ROSTER, Mode.SEQUENTIAL)

    paths = remaining_paths(plan, dict.fromkeys(plan.names, 1.0))

    assert [paths[name] for name in plan.names] == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_under_load_one_run_a_second_is_learned_from() -> None:
    plan = make_plan(ROSTER, Mode.DATAFLOW)
    simulation = Simulation(plan, {name: Script() for name in plan.names})
    simulation.run()
    estimates = Estimates()

    for now_s in (0.0, 0.3, 0.9, 1.0):
        estimates.learn_run(run_timing(plan, simulation.events), {}, now_s)

    assert len(estimates._service_s["editor", ""]) == 2


def test_one_odd_count_of_tokens_does_not_become_the_reservation() -> None:
    estimates = Estimates()
    estimates.learn_tokens("editor", "m", 10_000_000)
    assert estimates.output_tokens("editor", "m") == 20 * 1_800

    estimates.learn_tokens("other", "m", -7)
    assert estimates.output_tokens("other", "m") == 0.0
