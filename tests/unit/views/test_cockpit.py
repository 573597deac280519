"""The gates as text for a terminal."""

from __future__ import annotations

from dataclasses import replace

from pipeline.events import AdmissionQueued, CallHedged
from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.snapshot import GateSnapshot, HedgeCounts, WaiterReading
from pipeline.views.cockpit import cockpit_lines
from pipeline.views.progress import progress_line

QUIET = GateSnapshot(
    endpoint="http://h/v1",
    model="m",
    in_flight=0,
    max_in_flight=16,
    window=16,
    waiting=0,
    waiting_interactive=0,
    waiting_batch=0,
    waiters=(),
    limits=(),
    why="no limit known",
    cooling_s=0.0,
    admitted=10,
    refused=0,
    refused_last_minute=0,
    hedges=HedgeCounts(),
)
WAITER = WaiterReading("abcdefghijk", "editor", "ann", True, "cooling", 12.3, 7.6)


def test_gates_where_nothing_happens_are_one_line() -> None:
    assert cockpit_lines([]) == ["admission: nothing in flight, nobody waits"]
    assert cockpit_lines([QUIET, QUIET]) == ["admission: nothing in flight, nobody waits"]


def test_a_busy_gate_says_what_is_known_and_who_waits_for_what() -> None:
    gate = replace(
        QUIET,
        in_flight=5,
        window=5,
        waiting=8,
        waiting_interactive=7,
        waiting_batch=1,
        waiters=(WAITER, replace(WAITER, agent="", run_id="", reason="tokens", expected_s=None)),
        limits=(
            LimitReading("requests", 600.0, None, "learned"),
            LimitReading("tokens", 90_000.0, 1_234.5, "header"),
        ),
        why="600 requests/min, from 40 requests accepted between refusals",
        cooling_s=7.4,
        refused=9,
        refused_last_minute=3,
        hedges=HedgeCounts(2, 1, 1),
    )

    assert cockpit_lines([gate, QUIET]) == [
        "admission m at http://h/v1: 5/5 (overload) in flight · "
        "8 waiting (7 interactive, 1 batch) · 600 requests/min (learned) · "
        "90000 tokens/min (header), 1234 left · 429s: 3 in the last minute, 9 in all · "
        "cooling 7 s · second requests: 2, 1 were faster",
        "  600 requests/min, from 40 requests accepted between refusals",
        "  editor of run abcdefgh waits 12 s, about 8 s more: the provider asked to wait",
        "  a call waits 12 s: the tokens per minute are used up",
        "  and 6 more",
    ]


def test_names_from_outside_cannot_command_the_terminal() -> None:
    gate = replace(QUIET, in_flight=1, model="m\x1b[2J\n")

    assert all("\x1b" not in line and "\n" not in line for line in cockpit_lines([gate]))


def test_progress_tells_only_of_waits_worth_telling() -> None:
    queued = AdmissionQueued(
        epoch=1, seq=1, at_s=1.0, agent="editor", call=1, attempt=2, reason="cooling"
    )
    told = AdmissionQueued(
        epoch=1, seq=1, at_s=1.0, agent="editor", call=1, attempt=2, reason="cooling", expected_s=20
    )
    again = CallHedged(
        epoch=1, seq=2, at_s=9.0, agent="editor", call=1, attempt=2, of=1, waited_s=8
    )

    assert progress_line(queued) == ""
    assert progress_line(told).endswith(
        "editor            waits about 20 s: the provider asked to wait"
    )
    assert progress_line(again).endswith("no word after 8.0 s, asks a second time")
