"""From logs and measurements to figures: what is counted, and what is held against a floor."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from benchmarks import rows as rows_module
from benchmarks.bench import RESULTS, ROOT
from benchmarks.chart import chart
from benchmarks.measure import critical_path_s, limit_use, recoveries
from benchmarks.mock_server.control import makespan_s, peak_in_flight
from benchmarks.mock_server.server import Arrival, Bucket
from benchmarks.report import END, START, document, with_comparison
from benchmarks.workload import AGENTS


def answered(at_s: float, status: int = 200, **fields: Any) -> Arrival:
    return Arrival("run", "editor", at_s, at_s, at_s + 1.0, status, **fields)


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    bucket = Bucket(per_s=10.0, burst=5.0, level=5.0, at_s=100.0)

    at_once = [bucket.take(100.0) for _ in range(7)]
    later = [bucket.take(100.0 + n * 0.1 + 0.001) for n in range(1, 4)]

    assert at_once == [True] * 5 + [False] * 2
    assert later == [True] * 3


def test_the_use_of_a_limit_is_counted_after_the_warm_up() -> None:
    accepted = [answered(n / 10) for n in range(401)]  # 10/s for 40 s
    refused = [answered(5.0, 429)] * 50 + [answered(30.05, 429)] * 2

    use = limit_use([*accepted, *refused], per_s=10.0, warm_up_s=20.0)

    assert use["share_of_rate"] == pytest.approx(1.0)
    assert use["share_of_429"] == pytest.approx(2 / 202)
    assert use["all_429"] == 52


def test_who_gave_up_before_the_window_has_used_nothing_of_it() -> None:
    use = limit_use([answered(0.0), answered(1.0)], per_s=10.0, warm_up_s=20.0)

    assert (use["share_of_rate"], use["window_s"]) == (0.0, 10.0)


def test_a_spoiled_call_is_recovered_by_a_whole_answer_only() -> None:
    log = [
        Arrival("a", "editor", 0, 0, 1, 200, fault="truncate"),
        Arrival("a", "editor", 2, 2, 3, 200),
        Arrival("b", "editor", 0, 0, 1, 200, fault="truncate"),
        Arrival("b", "publisher", 2, 2, 3, 200),
    ]

    assert recoveries(log) == {"spoiled": 2, "recovered": 1, "recovered_share": 0.5}


def test_makespan_critical_path_and_peak_come_from_the_log() -> None:
    log = [Arrival("r", agent, n * 2.0, 0.0, n * 2.0 + 3.0, 200) for n, agent in enumerate(AGENTS)]

    assert makespan_s(log) == 21.0
    assert critical_path_s(log) == 21.0  # seven phases of three seconds
    assert peak_in_flight(log) == 2


def results(plain: list[float], gantry: list[float]) -> dict[str, Any]:
    entries = {
        name: [{"cpu_ms_per_call": value, "load_before": 0.1} for value in values]
        for name, values in (("plain", plain), ("gantry", gantry))
    }
    scenario = {"entries": entries, "revision": "abc", "measured_at": "2026-01-01T00:00:00"}
    machine = {
        "processor": "p",
        "cores": 2,
        "system": "s",
        "python": "3.11",
        "packages": {"openai": "3"},
        "fsync_p50_ms": 1.0,
        "fsync_p95_ms": 2.0,
    }
    return {"machine": machine, "scenarios": {"cpu_per_call": scenario}}


def test_a_ratio_is_of_medians_between_the_rounds_ratios() -> None:
    row = rows_module.rows(results([4.0, 5.0, 6.0], [2.0, 1.0, 3.0]))[0]

    assert row.measured is not None
    assert (row.measured.low, row.measured.median, row.measured.high) == (0.2, 0.4, 0.5)
    assert row.verdict == "must"


@pytest.mark.parametrize(("ours", "verdict"), [(1.0, "aim"), (2.0, "must"), (2.1, "missed")])
def test_a_floor_is_reached_up_to_its_own_value(ours: float, verdict: str) -> None:
    assert rows_module.rows(results([4.0], [ours]))[0].verdict == verdict


def test_what_failed_or_was_not_measured_has_no_figure() -> None:
    failed = results([4.0, 4.0], [1.0, 1.0])
    failed["scenarios"]["cpu_per_call"]["entries"]["gantry"][1] = {"failed": "it broke"}

    first, second, *_ = rows_module.rows(failed)

    assert (first.verdict, first.why) == ("not measured", "it broke")
    assert (second.verdict, second.why) == ("not measured", "not measured")


def test_the_page_names_every_floor_and_the_chart_is_well_formed() -> None:
    measured = results([4.0], [1.0])

    page = document(measured)
    picture = ET.fromstring(chart(rows_module.peers(measured)))

    assert all(floor.title in page for floor in rows_module.FLOORS)
    assert "0.25 ×" in page
    assert picture.tag.endswith("svg")


def test_the_readme_gets_the_comparison_between_its_markers_only() -> None:
    readme = f"before\n{START}\nold\n{END}\nafter\n"

    changed = with_comparison(readme, results([4.0], [1.0]))

    assert changed.startswith(f"before\n{START}\n| | Gantry")
    assert changed.endswith(f"{END}\nafter\n")
    assert "0.25×" in changed and "old" not in changed
    assert with_comparison("no markers\n", results([4.0], [1.0])) == "no markers\n"


def test_the_published_page_is_made_from_the_published_results() -> None:
    published = json.loads(RESULTS.read_text())

    assert (ROOT / "docs" / "benchmarks.md").read_text() == document(published)
    assert (ROOT / "docs" / "pictures" / "benchmarks.svg").read_text() == chart(
        rows_module.peers(published)
    )
