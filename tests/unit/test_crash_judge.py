"""The crash campaign's judge: a broken promise must be seen, or the campaign proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.crash.judge import KeptText, RunSeen, judge
from scripts.crash.provider import Request

KILLS, STARTS = [20.0], [0.0, 21.0]
RUN = RunSeen(
    seed=1,
    status="done",
    error="",
    epochs=2,
    seqs=[1, 2, 3],
    kept={"planner": KeptText("outline", 15.0), "writer": KeptText("article", 30.0)},
    expected={"planner": "outline", "writer": "article"},
    expected_calls={"planner": 1, "writer": 1},
)
REQUESTS = [Request(1, "planner", 10.0), Request(1, "writer", 16.0), Request(1, "writer", 23.5)]


def test_an_agent_in_flight_at_the_kill_may_be_asked_again() -> None:
    verdict = judge([RUN], REQUESTS, KILLS, STARTS)

    assert verdict.problems == []
    assert (verdict.agents_in_flight, verdict.agents_again, verdict.most_again) == (1, 1, 1)
    assert (verdict.agents_finished, verdict.finished_called_again) == (2, 0)
    assert (verdict.calls, verdict.calls_again) == (3, 1)
    assert verdict.recovery_s == [2.5]


def test_a_finished_agent_that_is_asked_again_is_found() -> None:
    verdict = judge([RUN], [*REQUESTS, Request(1, "planner", 24.0)], KILLS, STARTS)

    assert verdict.finished_called_again == 1
    assert "planner was asked 1 times after" in verdict.problems[0]


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (replace(RUN, status="running"), "is running after 2 epochs"),
        (replace(RUN, seqs=[1, 3]), "facts are missing"),
        (replace(RUN, expected={"planner": "outline", "writer": "another"}), "texts are not"),
        (replace(RUN, expected={"planner": "outline"}), "texts are not"),
    ],
)
def test_every_other_broken_promise_is_found(run: RunSeen, said: str) -> None:
    (problem,) = judge([run], REQUESTS, KILLS, STARTS).problems

    assert said in problem


def test_a_start_that_was_killed_before_its_first_call_says_nothing_about_recovery() -> None:
    verdict = judge([RUN], REQUESTS, [20.0, 22.0], [0.0, 21.0, 23.0])

    assert verdict.recovery_s == [0.5]


def test_where_others_work_on_after_a_kill_what_was_in_flight_is_not_known() -> None:
    late = [*REQUESTS, Request(1, "planner", 24.0)]

    verdict = judge([RUN], late, KILLS, STARTS, kills_all=False)

    assert (verdict.agents_in_flight, verdict.recovery_s) == (0, [])
    assert (verdict.finished_called_again, verdict.calls_again) == (1, 2)
