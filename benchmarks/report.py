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

START, END = "<!-- benchmarks: start -->", "<!-- benchmarks: end -->"
_VERDICTS = {"aim": "aim", "must": "yes", "missed": "**no**", "not measured": "–"}
_HOW = """\
# Benchmarks

Made by `python -m benchmarks.report` from `benchmarks/results.json`; do not edit. `make bench`
measures Gantry beside the design it replaces, `make bench-peers` adds other frameworks.

**What is compared.** The same ten agents in seven phases with the same prompts, streamed from a
mock server that follows a script in each request, on loopback, one core for the client and one for
the server. *Plain gather* is `asyncio.gather` per phase over streaming `AsyncOpenAI` calls. Gantry
runs as it ships: engine, SQLite store with a durable commit per agent, admission, events and
timing are on, and its requests carry the tools and schemas that the others go without.

**What keeps it fair.** Each measurement has a process of its own, warmed up, with the same settings
of the garbage collector. Connection limits are the same for all, and far above what is used;
tracing is off everywhere; every participant reads its stream as its documentation says and keeps
the text. Rounds are interleaved; a figure is the median, its spread the least and the most. CPU is
that of the whole client process with its threads; a chunk's is net of what the same calls cost with
one token. When requests arrived and answers ended is the server's log. Gantry runs on uvloop where
it is installed; *plain on uvloop* shows what that alone would change.
"""
_CARE = """\
## Read with care

* Loopback without TLS, and every token is an HTTP chunk of its own, as most providers send them.
* *At once* means started together: all runs reach the same phase boundary in the same moment, which
  is harder than traffic that is spread out.
* The lone run waits for its disk at every phase boundary, because an agent is done when its result
  cannot be lost; *gantry without a disk* is the same with its files in memory.
* The critical path of a lone run is that of the very answers it got, as long as the server took.
* Short workload: a tenth of the fixed workload's tokens, first token after 90 ms, 60 tokens/s (5.80 s with
  barriers). The makespan rows take a tenth of the fixed workload, the cap of 8 a fortieth; tokens/s
  stay, so that overheads weigh more than in real runs, not less.
* Under the hidden limit plain gather is given the SDK's own two retries; most of its calls fail.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    options = parser.parse_args()
    results = json.loads(options.json.read_text())
    picture = options.docs / "pictures" / "benchmarks.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(chart(peers(results)))
    page = options.docs / "benchmarks.md"
    page.write_text(document(results))
    readme = options.readme.read_text()
    if (changed := with_comparison(readme, results)) != readme:
        options.readme.write_text(changed)
    print("\n".join(_floors(rows(results))))
    print(f"\nWrote {page} and {picture}.")


def document(results: dict[str, Any]) -> str:
    parts = [
        _HOW,
        "\n".join(_machine(results)),
        "## Against the floors\n\n" + "\n".join(_floors(rows(results))),
        "## Beside other frameworks\n\n![Bars: CPU, stretch and wall time of all participants]"
        "(pictures/benchmarks.svg)\n\n" + "\n".join(_peers(results)),
        _CARE,
        "## More figures\n\n" + "\n".join(_details(results)),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def with_comparison(readme: str, results: dict[str, Any]) -> str:
    """The text with the comparison of all participants between `START` and `END`."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        return readme
    return f"{before}{START}\n" + "\n".join(_peers(results)) + f"\n{END}{after}"


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
