"""Follow a run in plain text until it has ended, and let those of others end too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from pipeline.errors import SpecError
from pipeline.models import RunStatus
from pipeline.views.cockpit import cockpit_lines
from pipeline.views.progress import progress_line

if TYPE_CHECKING:
    from pipeline.engine.runtime import Runtime

FOLLOW_EVERY_S = 0.05
SAY_AGAIN_S = 30.0  # how often a wait is said
COCKPIT_EVERY_S = 1.0
NO_WORKER_AFTER_S = 2.0
_NEEDS_A_PERSON = (RunStatus.NEEDS_KEY, RunStatus.WAITING_APPROVAL)


def follow(runtime: Runtime, run_id: str, *, cockpit: bool = False) -> Iterator[str]:
    """One line per fact a person cares about, until the run has ended.

    With `cockpit` also what waits for admission and why, every second.
    """
    seen, shown_s = 0, time.monotonic()
    ask_at_s = shown_s + NO_WORKER_AFTER_S
    while True:
        record = runtime.run(run_id)
        if record is None:
            raise SpecError(f"Run {run_id} was deleted while it was running.")
        runtime.watch(run_id)
        journal = runtime.journal(run_id)
        if journal is not None and journal.is_remote and record.status.is_final:
            journal = None  # its last words may still be on their way; they are stored
        events = journal.events if journal is not None else runtime.events(run_id)
        for event in events[seen:]:
            if line := progress_line(event):
                yield line
        seen = max(seen, len(events))
        if record.status.is_final or record.status in _NEEDS_A_PERSON:
            return
        if record.status is RunStatus.QUEUED and time.monotonic() >= ask_at_s:
            ask_at_s = time.monotonic() + SAY_AGAIN_S
            if runtime.workers() == 0:
                yield "waiting: no worker is running; start one with `python -m pipeline worker`"
        if cockpit and time.monotonic() - shown_s >= COCKPIT_EVERY_S:
            shown_s = time.monotonic()
            yield from cockpit_lines(runtime.admission(), journal.spending if journal else None)
        time.sleep(FOLLOW_EVERY_S)  # a plain thread: the loop runs elsewhere


def let_others_finish(runtime: Runtime) -> None:
    """Runs of other command lines execute here when this one came first: do not cut them off."""
    said_at_s = float("-inf")
    while others := runtime.drain():
        if time.monotonic() - said_at_s >= SAY_AGAIN_S:
            said_at_s = time.monotonic()
            runs = f"run {next(iter(others))}" if len(others) == 1 else f"{len(others)} runs"
            typer.echo(
                f"waiting for {runs} of the same data folder to finish here; Ctrl+C leaves that "
                "to the next process",
                err=True,
            )
        time.sleep(FOLLOW_EVERY_S)  # a plain thread: the loop runs elsewhere
