"""Run the benchmark: interleaved rounds, one process per measurement, one JSON file.

    python -m benchmarks.bench [--only NAME …] [--rounds N] [--peers] [--json FILE]

The client has one core to itself and the mock server another, where the system allows it. With
`--only` the other scenarios of an existing file are kept; each says when it was measured.
`python -m benchmarks.report` makes the table and the chart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.mock_server.control import serving
from benchmarks.scenarios import PEERS, SCENARIOS, Entry, Scenario

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results.json"
MADE = (
    "benchmarks/results.json",
    "docs/benchmarks.md",
    "docs/pictures/benchmarks.svg",
    "README.md",
)
PEER_PYTHON = {
    entry.adapter: ROOT / "benchmarks" / "peers" / f".venv-{entry.adapter}" / "bin" / "python"
    for entry in PEERS
}
PEER_PACKAGES = ("langgraph", "langchain-openai", "pydantic-ai-slim", "openai")
START_LIMIT_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="of every scenario, instead of its own number")
    parser.add_argument("--peers", action="store_true", help="other frameworks take part")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = _earlier(options.json) if options.only else {"scenarios": {}}
    results["machine"] = machine.describe()
    if options.peers:
        results["peers"] = {entry.adapter: _peer_versions(entry.adapter) for entry in PEERS}
    for scenario in SCENARIOS:
        if options.only and scenario.name not in options.only:
            continue
        rounds = options.rounds or scenario.rounds
        results["scenarios"][scenario.name] = _run(scenario, rounds, options.peers)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"Results are in {options.json}; `python -m benchmarks.report` makes the table.")


def _earlier(path: Path) -> dict[str, Any]:
    earlier: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"scenarios": {}}
    return earlier


def _run(scenario: Scenario, rounds: int, with_peers: bool) -> dict[str, Any]:
    """All rounds of a scenario; who begins changes from round to round."""
    entries = [*scenario.entries, *(PEERS if scenario.peers and with_peers else ())]
    measured: dict[str, list[dict[str, Any]]] = {entry.label: [] for entry in entries}
    for number in range(rounds):
        turn = number % len(entries)
        for entry in [*entries[turn:], *entries[:turn]]:
            start_s = time.monotonic()
            result = _measure(scenario, entry)
            measured[entry.label].append(result)
            print(
                f"{scenario.name} {number + 1}/{rounds} {entry.label}: {_short(result)}"
                f" ({time.monotonic() - start_s:.0f} s)",
                flush=True,
            )
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "measure": scenario.measure,
        "arguments": dict(scenario.arguments),
        "entries": measured,
    }


def _measure(scenario: Scenario, entry: Entry) -> dict[str, Any]:
    """One measurement, between a fresh server and a fresh client."""
    client_core, server_core = _two_cores()
    with serving(server_core) as server:
        order = {
            "adapter": entry.adapter,
            "measure": scenario.measure,
            "arguments": {**scenario.arguments, **entry.arguments},
            "config": {**entry.config, "base_url": server.base_url},
            "core": client_core,
        }
        load = os.getloadavg()[0]
        result = measure_once(order, scenario.limit_s)
        return {**result, "load_before": round(load, 2)}


def measure_once(order: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Have a child carry `order` out. A child that fails or hangs is a result that says so."""
    python = PEER_PYTHON.get(order["adapter"], Path(sys.executable))
    if not python.exists():
        return {"not_available": "not installed; `make bench-peers` does that"}
    try:
        child = subprocess.run(
            [str(python), "-m", "benchmarks.child", json.dumps(order)],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=limit_s + START_LIMIT_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit_s:.0f} s"}
    if child.returncode:
        return {"failed": (child.stderr.strip().splitlines() or ["no message"])[-1]}
    result: dict[str, Any] = json.loads(child.stdout.strip().splitlines()[-1])
    return result


def _peer_versions(adapter: str) -> dict[str, str]:
    """What is installed in a peer's environment, of what it is measured with."""
    python = PEER_PYTHON[adapter]
    if not python.exists():
        return {}
    code = f"import json; from benchmarks.machine import versions; print(json.dumps(versions({PEER_PACKAGES})))"
    done = subprocess.run(
        [str(python), "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _environment() -> dict[str, str]:
    """The same for all; nothing that traces, and no proxy between client and server."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    off = {
        "LANGSMITH_TRACING": "false",
        "LANGCHAIN_TRACING_V2": "false",
        "OTEL_SDK_DISABLED": "true",
    }
    return kept | off | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}


def _two_cores() -> tuple[int | None, int | None]:
    cores = machine.cores()
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def _revision() -> str:
    """The commit that is measured; `+` when the working tree differs in more than results."""
    made = [f":!{path}" for path in MADE]
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *made)
    return f"{head}+" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _short(result: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in result.items()
        if not name.startswith(("process_", "priority_"))
    )


if __name__ == "__main__":
    main()
