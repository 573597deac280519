"""Which runs nobody works on."""

from __future__ import annotations

from pipeline.engine.orphans import Orphans
from pipeline.models import RunStatus
from pipeline.store import Unfinished

QUEUED = Unfinished("queued", RunStatus.QUEUED, 0, 0)
RUNNING = Unfinished("running", RunStatus.RUNNING, 0, 1)


def test_a_queued_run_without_a_job_is_nobodys() -> None:
    assert Orphans().find([QUEUED], active=[], progress={}) == [QUEUED]


def test_a_run_with_a_job_is_left_alone() -> None:
    orphans = Orphans()
    for _ in range(3):
        assert orphans.find([QUEUED, RUNNING], active=["queued", "running"], progress={}) == []


def test_a_running_run_is_nobodys_only_after_a_round_without_progress() -> None:
    orphans = Orphans()

    assert orphans.find([RUNNING], active=[], progress={"running": (1, 5)}) == []
    assert orphans.find([RUNNING], active=[], progress={"running": (1, 9)}) == []
    assert orphans.find([RUNNING], active=[], progress={"running": (1, 9)}) == [RUNNING]


def test_a_run_that_had_a_job_in_between_is_observed_anew() -> None:
    orphans = Orphans()

    assert orphans.find([RUNNING], active=[], progress={"running": (1, 5)}) == []
    assert orphans.find([RUNNING], active=["running"], progress={"running": (1, 5)}) == []
    assert orphans.find([RUNNING], active=[], progress={"running": (1, 5)}) == []
