"""Plain gather and Gantry do the same work on the mock server, each in a process of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.bench import measure_once
from benchmarks.mock_server.control import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("adapter", ["plain", "gantry"])
def test_a_lone_run_makes_ten_calls(adapter: str) -> None:
    result = measured(adapter, "lone_run", {"runs": 1, "scale": 0.05})

    assert result["calls"] == 10
    assert result["makespan_s"] >= result["phases_s"] - 0.01
    assert result["above_critical_path_ms"] > 0


@pytest.mark.parametrize("fault", ["truncate", "malformed", "stall"])
def test_gantry_asks_again_for_every_spoiled_answer(fault: str) -> None:
    result = measured(
        "gantry", "faults", {"fault": fault, "runs": 2, "limit_s": 60}, idle_timeout_s=1.0
    )

    assert (result["runs_finished"], result["spoiled"], result["recovered"]) == (2, 20, 20)


# A pool opens what it may hold when it is first needed: a reader's connection to the database is two
# files. Whatever a run leaves behind is there hundreds of times.
LAZY = 4


def test_nothing_is_left_behind_after_a_thousand_runs() -> None:
    result = measured("gantry", "leftovers", {"runs": 1_000, "at_once": 25})

    left = {name: value for name, value in result.items() if name.startswith("left_")}
    assert {n: v for n, v in left.items() if n != "left_rss" and v > LAZY} == {}
    assert result["kb_per_run"] < 50  # caches fill; an unbounded log of events would be more


def measured(
    adapter: str, measure: str, arguments: dict[str, Any], **config: Any
) -> dict[str, Any]:
    with serving(None) as server:
        order = {
            "adapter": adapter,
            "measure": measure,
            "arguments": arguments,
            "config": {**config, "base_url": server.base_url},
        }
        result = measure_once(order, limit_s=500.0)
    assert "failed" not in result, json.dumps(result)
    return result
