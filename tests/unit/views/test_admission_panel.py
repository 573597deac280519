"""The admission panel's message: words for people, nothing of it markup."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from pipeline.llm.admission.bucket import LimitReading
from pipeline.llm.admission.snapshot import CircuitReading, HedgeCounts
from pipeline.llm.admission.team import TeamGate, TeamSnapshot, WorkerReading
from pipeline.models import RunSpec
from pipeline.views.admission_panel import (
    GATES_SHOWN,
    WAITERS_SHOWN,
    OnThePage,
    TeamPanel,
    WorkerRow,
    admission_message,
    team_message,
)
from pipeline.web.live_source import uses
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

    assert message.summary == (
        "4 in flight, 12 waiting, 3 refused in the last minute, the provider asked to wait 8 s"
    )
    busy, quiet = message.gates  # the busiest first
    assert busy.title == "m at http://h/v1"
    assert dict(busy.facts) == {
        "In flight": "4 of 16",
        "Waiting": "10 interactive, 2 batch",
        "Limit": "600 requests/min (learned)",
        "Refused (429)": "3 last minute, 9 in all",
        "Provider asked to wait": "8 s",
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


DOWN = replace(
    QUIET,
    endpoint="http://down/v1",
    waiting=2,
    circuit=CircuitReading("http://down/v1", 12.0, 4.0, 2, "connection refused"),
)
OWN = RunSpec(topic="Tides", provider="openai", base_url="http://H:8701/v1/")
OF_MINE = OnThePage(
    "abcdefghijk", lambda gate: gate.endpoint == QUIET.endpoint, {"editor": "Editor"}
)


def test_the_summary_is_about_the_endpoints_of_the_run_on_the_page() -> None:
    message = admission_message([DOWN, QUIET], run=OF_MINE)

    assert message.summary == "0 in flight, 0 waiting"
    assert [(gate.title, gate.others) for gate in message.gates] == [
        ("m at http://h/v1", False),
        ("m at http://down/v1", True),  # busier, but other runs'
    ]
    assert admission_message([DOWN, QUIET]).summary.startswith("endpoint down, ")


def test_agents_are_called_by_their_titles_and_other_runs_are_named() -> None:
    theirs = replace(WAITER, run_id="zzzzzzzzzzz")

    (gate,) = admission_message([replace(BUSY, waiters=(WAITER, theirs))], run=OF_MINE).gates

    why = "waits 12 s, about 8 s more: the provider asked to wait"
    assert gate.waiters == [f"Editor {why}", f"Editor of run zzzzzzzz {why}"]


@pytest.mark.parametrize(
    ("spec", "model", "endpoint", "used"),
    [
        (RunSpec(topic="Tides"), "gantry-demo-fast", "http://127.0.0.1:40001/v1", True),
        (RunSpec(topic="Tides"), "nope", "http://h:8701/v1", False),
        (OWN, "nope", "http://h:8701/v1", True),
        (OWN, "nope", "http://h:8702/v1", False),
        (OWN.model_copy(update={"base_url": None}), "nope", "http://set/v1", True),
        (OWN.model_copy(update={"base_url": None}), "nope", "http://h:8701/v1", False),
    ],
)
def test_a_run_uses_the_gates_of_its_endpoint(
    spec: RunSpec, model: str, endpoint: str, *, used: bool
) -> None:
    gate = replace(QUIET, model=model, endpoint=endpoint)

    assert uses(spec, "http://set/v1", gate) is used


WORKER = WorkerReading("0123abcd", 10, 3, 4, 2, 0.4, is_silent=False)
SILENT = WorkerReading("4567abcd", None, 1, None, None, 9.2, is_silent=True)
GATE = TeamGate(
    endpoint="http://h/v1",
    model="m",
    processes=2,
    in_flight=4,
    waiting=12,
    waiters=(WAITER,),
    limits=(
        LimitReading("requests", 60.0, None, "configured"),
        LimitReading("tokens", 6_000.0, 2_790.4, "told"),
        LimitReading("requests", 600.0, None, "learned"),
    ),
    admitted_last_minute=42,
    tokens_last_minute=3_210.0,
    refused_last_minute=1,
    cooling_s=6.2,
)
TEAM = TeamSnapshot(3, 50, 0, 7, (WORKER, SILENT), (GATE,), age_s=0.3)


def test_a_team_s_panel_says_what_is_shared_and_who_works() -> None:
    message = team_message(TEAM)

    assert message.summary == (
        "4 in flight, 12 waiting, 1 refused in the last minute, the provider asked to wait 7 s · "
        "3 of 50 runs, 7 queued, 1 worker, 1 silent"
    )
    (gate,) = message.gates
    assert gate.facts == [
        ("In flight", "4"),
        ("Waiting", "12"),
        ("Provider asked to wait", "7 s"),
        ("Requests", "42 in the last minute, of 60 (configured)"),
        ("Tokens", "3,210 in the last minute, of 6,000 (told by the provider), 2,790 left"),
        ("Limit of one process", "600 requests/min (learned)"),
        ("Refused (429)", "1 in the last minute"),
    ]
    assert (len(gate.waiters), gate.more) == (1, 11)
    assert message.team == TeamPanel(
        [("Runs", "3 of 50 at once"), ("Queued", "7")],
        [
            WorkerRow("0123abcd", "3 of 10", "4 in flight, 2 waiting", "just now", silent=False),
            WorkerRow("4567abcd", "1", "not known", "9 s ago", silent=True),
        ],
        "",
    )


def test_a_team_s_summary_is_about_the_endpoints_of_the_run_on_the_page() -> None:
    elsewhere = replace(GATE, endpoint="http://down/v1", circuit="refused", in_flight=9)

    message = team_message(replace(TEAM, gates=(elsewhere, GATE)), run=OF_MINE)

    assert message.summary.startswith("4 in flight, 12 waiting, ")
    assert [gate.others for gate in message.gates] == [False, True]


def test_a_team_s_panel_says_what_is_not_as_it_should_be() -> None:
    nobody = replace(TEAM, workers=(), gates=(), running_typed=2)
    down = replace(TEAM, gates=(replace(GATE, circuit="refused\x1b"),), age_s=8.0)

    message = team_message(nobody)
    assert message.summary == "0 in flight, 0 waiting · 3 of 50 runs, 7 queued, 0 workers"
    assert message.team is not None
    assert message.team.note == "No worker has been heard."
    assert message.team.facts[1] == ("On typed keys", "2 in dashboards")
    message = team_message(down)
    assert message.summary.startswith("endpoint down, ")
    assert message.gates[0].facts[0] == ("Endpoint", "down: refused\\x1b")
    assert message.team is not None
    assert message.team.note == "The database has not answered for 8 s; so it was then."


def test_a_team_s_panel_travels_whole() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(team_message(TEAM)))

    assert sent["team"]["workers"][1]["silent"] is True
    assert msgspec.json.decode(msgspec.json.encode(admission_message([BUSY])))["team"] is None
