"""What is run: for every row of the table a measurement, its arguments and who takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One participant. `config` are fields of `adapters.Config` besides the address; `arguments`
    replace the scenario's.
    """

    label: str
    adapter: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`peers` says that other frameworks take part, where they are installed."""

    name: str
    measure: str
    arguments: Mapping[str, Any]
    rounds: int
    entries: tuple[Entry, ...]
    peers: bool = False
    limit_s: float = 240.0  # of one measurement


PLAIN, GANTRY = Entry("plain", "plain"), Entry("gantry", "gantry")
PEERS = (Entry("langgraph", "langgraph"), Entry("pydantic_ai", "pydantic_ai"))
BOTH = (PLAIN, GANTRY)
_ON_UVLOOP = Entry("plain on uvloop", "plain", {"uvloop": True})
_NO_DISK = Entry("gantry without a disk", "gantry", {"folder": "/dev/shm"})
_SECTIONS = ("section_writing",)
_EDIT_TOO = ("section_writing", "section_editing")

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("cpu_per_call", "cpu_per_call", {"runs": 25}, 4, (*BOTH, _ON_UVLOOP), peers=True),
    Scenario(
        "burst",
        "cpu_per_chunk",
        {"streams": 4, "tokens": 2_000, "tokens_per_s": 0, "repeat": 5},
        2,
        BOTH,
        peers=True,
    ),
    Scenario(
        "paced",
        "cpu_per_chunk",
        {"streams": 100, "tokens": 150, "tokens_per_s": 50, "repeat": 1},
        2,
        (*BOTH, _ON_UVLOOP),
        peers=True,
    ),
    Scenario("pipelines_50", "many_pipelines", {"runs": 50}, 1, BOTH, peers=True),
    Scenario("pipelines_200", "many_pipelines", {"runs": 200}, 2, BOTH, peers=True),
    Scenario("pipelines_500", "many_pipelines", {"runs": 500}, 1, BOTH),
    Scenario("lone_run", "lone_run", {"runs": 1}, 3, (*BOTH, _NO_DISK), peers=True),
    Scenario("fan_1000", "fan_out", {"agents": 1_000}, 2, BOTH, peers=True),
    Scenario(
        "hidden_limit",
        "hidden_limit",
        {"per_minute": 600, "burst": 5, "calls": 600, "warm_up_s": 20},
        1,
        BOTH,
    ),
    Scenario(
        "cap_8",
        "many_pipelines",
        {"runs": 50, "scale": 0.025, "fixed": True},
        2,
        (Entry("plain", "plain", {"cap": 8}), Entry("gantry", "gantry", {"cap": 8})),
    ),
    Scenario(
        "makespan",
        "lone_run",
        {"runs": 1, "scale": 0.1, "fixed": True},
        1,
        (
            PLAIN,
            GANTRY,
            Entry("dataflow", "gantry", {"mode": "dataflow"}),
            Entry("sections", "gantry", {"mode": "dataflow", "options": _SECTIONS}),
            Entry("sections_edited", "gantry", {"mode": "dataflow", "options": _EDIT_TOO}),
        ),
    ),
    Scenario(
        "idle_memory",
        "idle_memory",
        {"runs": 1_000},
        1,
        (Entry("plain", "plain", {"cap": 1}), Entry("gantry", "gantry", {"cap": 1})),
    ),
    Scenario("leftovers", "leftovers", {"runs": 1_000, "at_once": 25}, 1, (GANTRY,)),
    *(
        Scenario(
            f"fault_{fault}",
            "faults",
            {"fault": fault, "runs": 5, "limit_s": 60.0},
            1,
            (
                # plain gather waits ten minutes for a stalled answer; ten seconds show it
                Entry("plain", "plain", arguments={"limit_s": 10.0}),
                Entry("gantry", "gantry", {"idle_timeout_s": 1.0}),
            ),
        )
        for fault in ("truncate", "malformed", "stall")
    ),
)
