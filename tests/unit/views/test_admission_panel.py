"""The admission panel's message: words for people, nothing of it markup."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.snapshot import HedgeCounts
from pipeline.views.admission_panel import GATES_SHOWN, WAITERS_SHOWN, admission_message
from tests.unit.views.test_cockpit import QUIET, WAITER

BUSY = replace(
    QUIET,
    in_flight=4,
    waiting=12,
    waiting_interactive=10,
    waiting_batch=2,
    waiters=(WAITER,) * 10,
    limits=(LimitReading("requests", 600.0, None, "learned"),),
    cooling_s=7.4,
    refused=9,
    refused_last_minute=3,
    hedges=HedgeCounts(2, 1, 1),
)


def test_the_panel_says_what_a_gate_knows_and_who_waits() -> None:
    message = admission_message([QUIET, BUSY])

    assert message.summary == "4 in flight, 12 waiting, 3 refused in the last minute, cooling 7 s"
    busy, quiet = message.gates  # the busiest first
    assert busy.title == "m at http://h/v1"
    assert dict(busy.facts) == {
        "In flight": "4 of 16",
        "Waiting": "10 interactive, 2 batch",
        "Limit": "600 requests/min (learned)",
        "Refused (429)": "3 last minute, 9 in all",
        "Cooling": "7 s",
        "Second requests": "2, 1 were faster",
    }
    assert (len(busy.waiters), busy.more) == (WAITERS_SHOWN, 4)
    assert dict(quiet.facts)["Waiting"] == "0"
    assert (quiet.waiters, quiet.more) == ([], 0)


def test_a_gate_nobody_has_passed_is_not_shown_and_few_are() -> None:
    assert admission_message([replace(QUIET, admitted=0)]).gates == []
    assert len(admission_message([QUIET] * 20).gates) == GATES_SHOWN


def test_it_travels_under_its_own_type() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(admission_message([BUSY])))

    assert sent["type"] == "admission"
    assert sent["gates"][0]["facts"][0] == ["In flight", "4 of 16"]
