"""From raw measurements to the rows of the table: medians, spread, ratios, floors. Pure.

A ratio is that of the medians; its spread is over the rounds, each round's two measurements
having been made one after the other.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Floor:
    """What a row must and should reach. `better` says on which side."""

    title: str
    scenario: str
    figure: str
    unit: str
    must: float
    aim: float
    better: Literal["lower", "higher"]
    is_ratio: bool = False
    entry: str = "gantry"
    scale: float = 1.0  # the figure in `unit`, e.g. 100 for a share in percent


FLOORS: tuple[Floor, ...] = (
    Floor(
        "CPU per agent call, no latency (10 calls of 20 tokens)",
        "cpu_per_call",
        "cpu_ms_per_call",
        "ms",
        0.50,
        0.25,
        "lower",
        is_ratio=True,
    ),
    Floor(
        "CPU per streamed chunk, burst (4 streams of 2,000 tokens at once)",
        "burst",
        "cpu_us_per_chunk_net",
        "µs",
        0.10,
        0.05,
        "lower",
        is_ratio=True,
    ),
    Floor(
        "CPU per streamed chunk, paced (100 streams of 50 tokens/s)",
        "paced",
        "cpu_us_per_chunk_net",
        "µs",
        0.25,
        0.18,
        "lower",
        is_ratio=True,
    ),
    Floor(
        "pipelines/s, 200 at once",
        "pipelines_200",
        "pipelines_per_s",
        "/s",
        2.0,
        2.2,
        "higher",
        is_ratio=True,
    ),
    Floor(
        "pipelines/s, 500 at once",
        "pipelines_500",
        "pipelines_per_s",
        "/s",
        3.5,
        5.0,
        "higher",
        is_ratio=True,
    ),
    Floor(
        "mean stretch of a run, 200 at once",
        "pipelines_200",
        "stretch_mean",
        "×",
        1.25,
        1.1,
        "lower",
    ),
    Floor(
        "mean stretch of a run, 500 at once",
        "pipelines_500",
        "stretch_mean",
        "×",
        1.8,
        1.3,
        "lower",
    ),
    Floor("loop lag p99, 200 at once", "pipelines_200", "lag_p99_ms", "ms", 60.0, 20.0, "lower"),
    Floor(
        "lone run above its critical path",
        "lone_run",
        "above_critical_path_ms",
        "ms",
        25.0,
        12.0,
        "lower",
    ),
    Floor("1,000 agents of 1 s", "fan_1000", "wall_s", "s", 2.0, 1.4, "lower"),
    Floor(
        "hidden limit of 600 requests/min: share of the ideal rate after 20 s",
        "hidden_limit",
        "share_of_rate",
        "%",
        90.0,
        97.0,
        "higher",
        scale=100.0,
    ),
    Floor(
        "hidden limit: share of 429 after 20 s",
        "hidden_limit",
        "share_of_429",
        "%",
        2.0,
        0.5,
        "lower",
        scale=100.0,
    ),
    Floor(
        "hidden limit: calls of 600 that failed for good",
        "hidden_limit",
        "failed",
        "",
        0.0,
        0.0,
        "lower",
    ),
    Floor(
        "50 runs at once under a cap of 8: mean run time",
        "cap_8",
        "run_mean_s",
        "s",
        0.70,
        0.60,
        "lower",
        is_ratio=True,
    ),
    Floor(
        "makespan, dataflow + section writing against phases",
        "makespan",
        "makespan_s",
        "s",
        0.70,
        0.50,
        "lower",
        is_ratio=True,
        entry="sections",
    ),
    Floor(
        "makespan, edited by section too",
        "makespan",
        "makespan_s",
        "s",
        0.70,
        0.50,
        "lower",
        is_ratio=True,
        entry="sections_edited",
    ),
    Floor("memory per idle waiting run", "idle_memory", "kb_per_run", "kB", 100.0, 100.0, "lower"),
    *(
        Floor(
            f"{what} left behind after 1,000 runs",
            "leftovers",
            f"left_{key}",
            "",
            0.0,
            0.0,
            "lower",
        )
        for what, key in (
            ("tasks", "tasks"),
            ("sockets and files", "sockets_and_files"),
            ("timers", "timers"),
            ("threads", "threads"),
        )
    ),
    *(
        Floor(
            f"{what} streams detected and asked again",
            f"fault_{key}",
            "recovered_share",
            "%",
            100.0,
            100.0,
            "higher",
            scale=100.0,
        )
        for what, key in (
            ("truncated", "truncate"),
            ("malformed", "malformed"),
            ("stalled", "stall"),
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one participant over all rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Row:
    """A floor with what was measured. `measured` is compared with it; None: see `why`."""

    floor: Floor
    plain: Sample | None
    gantry: Sample | None
    measured: Sample | None
    why: str = ""

    @property
    def verdict(self) -> Literal["aim", "must", "missed", "not measured"]:
        if self.measured is None:
            return "not measured"
        value = self.measured.median
        if _reaches(value, self.floor.aim, self.floor.better):
            return "aim"
        return "must" if _reaches(value, self.floor.must, self.floor.better) else "missed"


def rows(results: Results) -> list[Row]:
    return [_row(floor, results) for floor in FLOORS]


def sample(results: Results, scenario: str, entry: str, figure: str, scale: float) -> Sample | None:
    """The figure of one participant; None when it was not measured or a round failed."""
    entries = results["scenarios"].get(scenario, {}).get("entries", {})
    rounds = entries.get(entry, [])
    if not rounds or any(figure not in one for one in rounds):
        return None
    return Sample(tuple(one[figure] * scale for one in rounds))


def reason(results: Results, scenario: str, entry: str) -> str:
    """Why there is no figure."""
    rounds = results["scenarios"].get(scenario, {}).get("entries", {}).get(entry, [])
    for one in rounds:
        if words := one.get("failed") or one.get("not_available"):
            return str(words)
    return "not measured"


def _row(floor: Floor, results: Results) -> Row:
    plain = sample(results, floor.scenario, "plain", floor.figure, floor.scale)
    ours = sample(results, floor.scenario, floor.entry, floor.figure, floor.scale)
    if ours is None:
        return Row(floor, plain, None, None, reason(results, floor.scenario, floor.entry))
    if not floor.is_ratio:
        return Row(floor, plain, ours, ours)
    if plain is None:
        return Row(floor, None, ours, None, reason(results, floor.scenario, "plain"))
    return Row(floor, plain, ours, _ratio(ours, plain))


def _ratio(ours: Sample, plain: Sample) -> Sample:
    """The ratio of the medians between the ratios of the rounds."""
    pairs = [a / b for a, b in zip(ours.values, plain.values, strict=True)]
    middle = ours.median / plain.median
    return Sample((min(*pairs, middle), middle, max(*pairs, middle)))


def _reaches(value: float, wanted: float, better: Literal["lower", "higher"]) -> bool:
    return value <= wanted if better == "lower" else value >= wanted


@dataclass(frozen=True, slots=True)
class PeerFigure:
    """A figure that all frameworks are compared by."""

    title: str
    scenario: str
    figure: str
    unit: str
    better: Literal["lower", "higher"] = "lower"


PEER_FIGURES: tuple[PeerFigure, ...] = (
    PeerFigure("CPU per agent call, no latency", "cpu_per_call", "cpu_ms_per_call", "ms"),
    PeerFigure("CPU per chunk, burst", "burst", "cpu_us_per_chunk_net", "µs"),
    PeerFigure("CPU per chunk, paced", "paced", "cpu_us_per_chunk_net", "µs"),
    PeerFigure("pipelines/s, 200 at once", "pipelines_200", "pipelines_per_s", "/s", "higher"),
    PeerFigure("pipelines/s, 500 at once", "pipelines_500", "pipelines_per_s", "/s", "higher"),
    PeerFigure("CPU per run, 50 at once", "pipelines_50", "cpu_ms_per_run", "ms"),
    PeerFigure("mean stretch, 50 at once", "pipelines_50", "stretch_mean", "×"),
    PeerFigure("lone run above its critical path", "lone_run", "above_critical_path_ms", "ms"),
    PeerFigure("1,000 agents of 1 s", "fan_1000", "wall_s", "s"),
)
PARTICIPANTS: Mapping[str, str] = {
    "gantry": "Gantry",
    "plain": "plain gather",
    "langgraph": "LangGraph",
    "pydantic_ai": "pydantic-ai",
}


def peers(results: Results) -> list[tuple[PeerFigure, dict[str, Sample]]]:
    """For every figure, who has one."""
    found = []
    for figure in PEER_FIGURES:
        samples = {
            entry: one
            for entry in PARTICIPANTS
            if (one := sample(results, figure.scenario, entry, figure.figure, 1.0))
        }
        found.append((figure, samples))
    return found


def loads(results: Results) -> Sequence[float]:
    """The machine's load average before each measurement."""
    return [
        one["load_before"]
        for scenario in results["scenarios"].values()
        for rounds in scenario["entries"].values()
        for one in rounds
        if "load_before" in one
    ]
