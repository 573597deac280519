"""Who asks for admission. Whoever makes a call may say so; a call without a ticket is nobody's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a call's place in the queue depends on; docs/admission.md has the exact rule.

    `run_started_s` is any clock that all callers of this process share (the loop's); the older
    run goes first. `remaining_s` is how long the run still takes from this agent on, along the
    longest path, this agent included.
    """

    run_id: str = ""
    agent: str = ""
    owner: str = ""
    interactive: bool = True  # somebody is waiting for it; a batch goes after
    run_started_s: float = 0.0
    remaining_s: float = 0.0


NOBODY = Ticket()
