"""Which unfinished runs nobody works on any more. Pure.

A run is submitted in one transaction with its job, so this finds only what should not happen: jobs
deleted by hand, a restored backup, an acknowledgement of a process that was thought dead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pipeline.models import RunStatus
from pipeline.store import Unfinished

Progress = tuple[int, int]  # epoch and the last fact's number


@dataclass(slots=True)
class Orphans:
    """Looks once per round; a round lasts two leases at least.

    A queued run without a job is nobody's. One that is running may be executing all the same: it is
    nobody's when it got nowhere for a whole round.
    """

    _before: dict[str, Progress] = field(default_factory=dict)

    def find(
        self,
        unfinished: Collection[Unfinished],
        active: Collection[str],
        progress: Mapping[str, Progress],
    ) -> list[Unfinished]:
        """`active` have a job or somebody who holds them."""
        without = [run for run in unfinished if run.id not in active]
        found = [
            run
            for run in without
            if run.status is RunStatus.QUEUED
            or self._before.get(run.id) == progress.get(run.id, (run.epoch, 0))
        ]
        self._before = {run.id: progress.get(run.id, (run.epoch, 0)) for run in without}
        return found
