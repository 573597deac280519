"""Make `docs/benchmarks.md` and its chart from the results; no number is typed by hand.

python -m benchmarks.report [--json FILE] [--docs FOLDER]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench import RESULTS, ROOT
from benchmarks.chart import chart, number
from benchmarks.rows import PARTICIPANTS, Floor, Row, Sample, loads, peers, rows

_VERDICTS = {"aim": "aim", "must": "yes", "missed": "**no**", "not measured": "–"}
_HOW = """\
# Benchmarks

Made by `python -m benchmarks.report` from `benchmarks/results.json`; do not edit. `make bench`
measures Gantry beside the design it replaces, `make bench-peers` adds other frameworks.

**What is compared.** The same ten agents in seven phases with the same prompts, streamed from a
mock server that follows a script in each request, on loopback, one core for the client and one for
the server. *Plain gather* is `asyncio.gather` per phase over streaming `AsyncOpenAI` calls. Gantry
runs as it ships: engine, SQLite store with a durable commit per agent, admission, events and
timing are on, and its requests carry the tools and schemas that the others go without. Connection
limits are the same for all; tracing is off everywhere. Rounds are interleaved; a figure is the
median, its spread the least and the most. CPU is that of the whole client process; a chunk's is
net of what the same calls cost with one token. The truth about arrivals and ends is the server's log.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    results = json.loads(options.json.read_text())
    picture = options.docs / "pictures" / "benchmarks.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(chart(peers(results)))
    page = options.docs / "benchmarks.md"
    page.write_text(document(results))
    print("\n".join(_floors(rows(results))))
    print(f"\nWrote {page} and {picture}.")


def document(results: dict[str, Any]) -> str:
    parts = [
        _HOW,
        "\n".join(_machine(results)),
        "## Against the floors\n\n" + "\n".join(_floors(rows(results))),
        "## Beside other frameworks\n\n![Bars: CPU, stretch and wall time of all participants]"
        "(pictures/benchmarks.svg)\n\n" + "\n".join(_peers(results)),
        "## More figures\n\n" + "\n".join(_details(results)),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _machine(results: dict[str, Any]) -> Iterator[str]:
    found = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    others = "; ".join(
        f"{PARTICIPANTS[name]}: {', '.join(f'{k} {v}' for k, v in versions.items())}"
        for name, versions in results.get("peers", {}).items()
    )
    load = loads(results)
    revisions = sorted({one["revision"] for one in results["scenarios"].values()})
    days = sorted({one["measured_at"][:10] for one in results["scenarios"].values()})
    yield "## The machine\n"
    yield f"{found['processor']}, {found['cores']} cores, {found['system']}, Python {found['python']}."
    yield f"One write and fsync takes {number(found['fsync_p50_ms'])} ms (p95 {number(found['fsync_p95_ms'])} ms)."
    yield f"{packages}." + (f" {others}." if others else "")
    yield f"Measured {', '.join(days)} at {', '.join(revisions)}."
    if load:
        yield (
            f"Load average before the measurements: median {statistics.median(load):.1f}, "
            f"most {max(load):.1f}; above 0.5 other programs shared the cores."
        )


def _floors(table: list[Row]) -> Iterator[str]:
    yield "| against plain gather in the same run | plain gather | Gantry | measured | must | aim | met |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for row in table:
        unit = "×" if row.floor.is_ratio else row.floor.unit
        measured = _spread(row.measured, unit) if row.measured else row.why
        cells = (
            row.floor.title,
            _spread(row.plain, row.floor.unit),
            _spread(row.gantry, row.floor.unit),
            measured,
            _limit(row.floor, row.floor.must),
            _limit(row.floor, row.floor.aim),
            _VERDICTS[row.verdict],
        )
        yield f"| {' | '.join(cells)} |"


def _limit(floor: Floor, value: float) -> str:
    sign = "≤" if floor.better == "lower" else "≥"
    return f"{sign} {value:g} {'×' if floor.is_ratio else floor.unit}".rstrip()


def _spread(sample: Sample | None, unit: str) -> str:
    if sample is None:
        return "–"
    middle = f"{number(sample.median)} {unit}".rstrip()
    if sample.low == sample.high:
        return middle
    return f"{middle} [{number(sample.low)}–{number(sample.high)}]"


def _peers(results: dict[str, Any]) -> Iterator[str]:
    yield f"| | {' | '.join(PARTICIPANTS.values())} |"
    yield f"| --- |{' ---: |' * len(PARTICIPANTS)}"
    for figure, samples in peers(results):
        cells = []
        for name in PARTICIPANTS:
            one, plain = samples.get(name), samples.get("plain")
            factor = (
                f" ({number(one.median / plain.median)}×)"
                if one and plain and name != "plain"
                else ""
            )
            cells.append(_spread(one, figure.unit) + factor)
        yield f"| {figure.title} | {' | '.join(cells)} |"


def _details(results: dict[str, Any]) -> Iterator[str]:
    """Every figure of every scenario, as measured."""
    yield "| scenario | who | figures (medians) |"
    yield "| --- | --- | --- |"
    for name, scenario in results["scenarios"].items():
        for label, rounds in scenario["entries"].items():
            yield f"| {name} | {label} | {_medians(rounds)} |"


def _medians(rounds: list[dict[str, Any]]) -> str:
    for one in rounds:
        if words := one.get("failed") or one.get("not_available"):
            return str(words).replace("|", "/")
    names = [n for n, v in rounds[0].items() if not isinstance(v, bool | str)]
    return ", ".join(f"{n} {number(statistics.median(r[n] for r in rounds))}" for n in names)


if __name__ == "__main__":
    main()
