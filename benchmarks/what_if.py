"""Measure the what-if's error: predict every mode and switch setting from one run, then run it.

    python -m benchmarks.what_if [--speed fast] [--seeds 1] [--at-once 1] [--json FILE]

Runs the real engine (store, admission, timing) on the real demo provider in its own process: one
run per setting and seed, sequential once and phases and dataflow with every combination of
switches, in shuffled order; then dataflow under a few limits, each at a gate of its own; then
writing, and editing too, by section. The demo draws latencies from (seed, agent, call number), so
runs of one seed make equal calls; by section the calls differ, and the prediction is an estimate.
Every run without limits and sections predicts the makespan of every other run of its seed.
Error = (predicted − measured) ÷ measured. A run's prediction of itself shows what the model alone
gets wrong; the rest is how much call times differ from run to run, which at `fast` speed, where
a call takes tenths of a second, is mostly the machine's other work. Also times one simulation of
the ten-agent plan.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pipeline.agents.roster import ROSTER
from pipeline.assembly import build_runtime
from pipeline.engine.runtime import Runtime
from pipeline.models import NO_OPTIONS, Mode, RunOptions, RunSpec, RunStatus, Speed
from pipeline.plan import Plan, grown_plan, switchable_phases
from pipeline.settings import Settings
from pipeline.simulate import NO_LIMITS, Limits
from pipeline.timing import run_timing
from pipeline.what_if import Question, answer
from pipeline.workload import Workload, workloads_of

TOPIC = "Heat pumps in old buildings"
RUN_TIMEOUT_S = 180.0
SIMULATIONS = 200
CALLS = 16  # per run at the gate: more than the widest plan needs, so that nobody waits
FLOOR = 0.03  # the median error the issue asks for


@dataclass(frozen=True)
class Setting:
    mode: Mode
    switches: Mapping[str, bool] = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    options: RunOptions = NO_OPTIONS

    @property
    def is_plain(self) -> bool:
        return self.limits == NO_LIMITS and self.options == NO_OPTIONS

    @property
    def label(self) -> str:
        off = [phase for phase, on in self.switches.items() if not on]
        words = [self.mode.value]
        if off and self.mode is not Mode.SEQUENTIAL:
            words.append(f"{', '.join(off)} off")
        if self.limits.max_in_flight:
            words.append(f"{self.limits.max_in_flight} at once")
        if self.limits.requests_per_minute:
            words.append(f"{self.limits.requests_per_minute:g} requests/min")
        words += [option.replace("_", " ") for option in self.options.on]
        return ", ".join(words)


@dataclass(frozen=True)
class Measured:
    setting: Setting
    seed: int
    makespan_s: float
    plan: Plan  # as it grew
    workloads: Mapping[str, Workload]

    @property
    def question(self) -> Question:
        """What to ask of another run to predict this one."""
        setting = self.setting
        sections = [agent.part.count for agent in self.plan.agents if agent.part is not None]
        return Question(
            setting.mode,
            setting.switches,
            setting.limits,
            sections=sections[0] if sections else None,
            edit_sections=setting.options.section_editing,
        )


def settings() -> Iterator[Setting]:
    """Sequential, and phases and dataflow with every combination of switches: 17 of them."""
    phases = switchable_phases(ROSTER)
    yield Setting(Mode.SEQUENTIAL)
    for mode in (Mode.PHASES, Mode.DATAFLOW):
        for on in itertools.product((True, False), repeat=len(phases)):
            yield Setting(mode, dict(zip(phases, on, strict=True)))


def limited_settings(speed: Speed) -> list[Setting]:
    """Dataflow with fewer slots than it is wide, and at a rate that binds."""
    rate = 30 if speed == "realistic" else 300
    limits = [Limits(1), Limits(2), Limits(3), Limits(requests_per_minute=rate)]
    return [Setting(Mode.DATAFLOW, limits=limit) for limit in limits]


def divided_settings() -> list[Setting]:
    """Writing by section, and editing too, in both modes that run them side by side."""
    options = [
        RunOptions(section_writing=True),
        RunOptions(section_writing=True, section_editing=True),
    ]
    modes = (Mode.PHASES, Mode.DATAFLOW)
    return [Setting(mode, options=option) for mode in modes for option in options]


def measure(runtime: Runtime, setting: Setting, speed: Speed, seed: int) -> Measured:
    spec = RunSpec(
        topic=TOPIC,
        mode=setting.mode,
        switches=dict(setting.switches),
        options=setting.options,
        speed=speed,
        seed=seed,
    )
    run_id = runtime.submit(spec)
    ended = runtime.wait(run_id, RUN_TIMEOUT_S)
    if ended is None or ended.status is not RunStatus.DONE:
        raise RuntimeError(f"{setting.label}: the run ended as {ended.status if ended else None}")
    events = runtime.events(run_id)
    plan = grown_plan(ROSTER, spec, events)
    timing = run_timing(plan, events)
    assert timing.makespan_s is not None
    return Measured(setting, seed, timing.makespan_s, plan, workloads_of(timing))


def measure_all(speed: Speed, seeds: int, at_once: int) -> list[Measured]:
    """Every setting and seed: first those without limits, then each limit at its own gate."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "DATABASE_"))]:
        del os.environ[name]
    all_settings = [*settings(), *divided_settings()]
    work = [(setting, seed) for seed in range(1, seeds + 1) for setting in all_settings]
    random.Random(1).shuffle(work)  # drift of the machine must not look like an effect of a mode
    runs = measure_at_one_gate(work, Limits(CALLS * at_once), speed, at_once)

    for setting in limited_settings(speed):
        each = [(setting, seed) for seed in range(1, seeds + 1)]
        runs += measure_at_one_gate(each, setting.limits, speed, 1)
    return runs


def measure_at_one_gate(
    work: Sequence[tuple[Setting, int]], limits: Limits, speed: Speed, at_once: int
) -> list[Measured]:
    rate = limits.requests_per_minute
    with tempfile.TemporaryDirectory() as folder:
        own = Settings(
            data_dir=Path(folder),
            demo_speed=speed,
            max_in_flight=limits.max_in_flight or CALLS,
            requests_per_minute=None if rate is None else round(rate),
        )
        with build_runtime(own) as runtime, ThreadPoolExecutor(at_once) as threads:
            measure(runtime, Setting(Mode.PHASES), "instant", 0)  # warm-up
            return list(threads.map(lambda w: measure(runtime, w[0], speed, w[1]), work))


def errors(runs: list[Measured], *, own: bool = False) -> list[dict[str, Any]]:
    """Every plain run predicts every other run of its seed; with `own`, only itself."""
    pairs = zip(runs, runs, strict=True) if own else itertools.permutations(runs, 2)
    found = []
    for source, target in pairs:
        if source.seed != target.seed or not source.setting.is_plain:
            continue
        predicted_s = answer(source.plan, source.workloads, target.question).makespan_s
        found.append(
            {
                "seed": target.seed,
                "from": source.setting.label,
                "to": target.setting.label,
                "predicted_s": predicted_s,
                "measured_s": target.makespan_s,
                "error": predicted_s / target.makespan_s - 1,
            }
        )
    return found


def simulation_ms(run: Measured) -> float:
    """The median of one answer for the ten agents in dataflow, plan included."""
    question = Question(Mode.DATAFLOW)
    took = []
    for _ in range(SIMULATIONS):
        start = time.perf_counter()
        answer(run.plan, run.workloads, question)
        took.append(1_000 * (time.perf_counter() - start))
    return statistics.median(took)


def result(runs: list[Measured], speed: Speed, at_once: int) -> dict[str, Any]:
    found = errors(runs)
    kinds = {
        "modes and switches": {setting.label for setting in settings()},
        "limits": {setting.label for setting in limited_settings(speed)},
        "sections (estimates)": {setting.label for setting in divided_settings()},
    }
    sizes = {
        kind: sorted(abs(error["error"]) for error in found if error["to"] in labels)
        for kind, labels in kinds.items()
    }
    plain = sizes["modes and switches"]
    own = [abs(error["error"]) for error in errors(runs, own=True)]
    return {
        "benchmark": "what_if",
        "speed": speed,
        "at_once": at_once,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "runs": len(runs),
        "kinds": {
            kind: {
                "predictions": len(errors_of_kind),
                "median_error": statistics.median(errors_of_kind),
                "p95_error": errors_of_kind[int(0.95 * (len(errors_of_kind) - 1))],
                "max_error": errors_of_kind[-1],
            }
            for kind, errors_of_kind in sizes.items()
        },
        "median_error": statistics.median(plain),
        "mean_signed_error": statistics.fmean(
            error["error"] for error in found if error["to"] in kinds["modes and switches"]
        ),
        "service_spread": statistics.median(_service_spread(runs)),
        "load": os.getloadavg(),
        "own_median_error": statistics.median(own),
        "own_max_error": max(own),
        "floor": FLOOR,
        "simulation_ms": simulation_ms(runs[0]),
        "measured": [
            {
                "setting": run.setting.label,
                "seed": run.seed,
                "makespan_s": run.makespan_s,
                "service_s": _service_s(run),
            }
            for run in runs
        ],
        "errors": found,
    }


def _service_spread(runs: list[Measured]) -> Iterator[float]:
    """How much longer or shorter the same calls took in another run: noise, not the model's."""
    plain = [run for run in runs if run.setting.is_plain]
    for one, other in itertools.combinations(plain, 2):
        if one.seed == other.seed:
            yield abs(_service_s(one) / _service_s(other) - 1)


def _service_s(run: Measured) -> float:
    return sum(load.service_s for load in run.workloads.values())


def table(found: dict[str, Any]) -> str:
    """Markdown: one row per setting, then all together."""
    lines = [
        "| predicted setting | measured makespan, s | median error | largest error |",
        "| --- | ---: | ---: | ---: |",
    ]
    for setting in dict.fromkeys(error["to"] for error in _in_order(found)):
        times = [run["makespan_s"] for run in found["measured"] if run["setting"] == setting]
        sizes = [abs(error["error"]) for error in found["errors"] if error["to"] == setting]
        lines.append(
            f"| {setting} | {_spread(times)} | {statistics.median(sizes):.2%} | {max(sizes):.2%} |"
        )
    for kind, all_of_it in found["kinds"].items():
        lines.append(
            f"| **{kind}: {all_of_it['predictions']:,} predictions** | | "
            f"**{all_of_it['median_error']:.2%}** | **{all_of_it['max_error']:.2%}** |"
        )
    return "\n".join(lines)


def _in_order(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Errors by setting as `settings` lists them, limits and sections after."""
    order = [setting.label for setting in settings()]
    return sorted(
        found["errors"], key=lambda e: order.index(e["to"]) if e["to"] in order else len(order)
    )


def _spread(times: list[float]) -> str:
    middle = f"{statistics.median(times):.2f}"
    return middle if len(times) == 1 else f"{middle} ({min(times):.2f}–{max(times):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--speed", choices=get_args(Speed), default="fast")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 … N, each with all settings")
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        help="runs side by side: sooner done, but they share cores",
    )
    parser.add_argument("--json", type=Path, help="write every run and prediction to this file")
    options = parser.parse_args()
    runs = measure_all(options.speed, options.seeds, options.at_once)
    found = result(runs, options.speed, options.at_once)
    plain = found["kinds"]["modes and switches"]
    print(table(found))
    print(
        f"\nDemo at {found['speed']} speed, {found['at_once']} run(s) at once, "
        f"{found['cores']} cores, Python {found['python']}. "
        f"Median |error| {found['median_error']:.2%} (floor {found['floor']:.0%}), "
        f"95 % below {plain['p95_error']:.2%}, largest {plain['max_error']:.2%}, "
        f"mean signed {found['mean_signed_error']:+.2%}. "
        f"A run predicts itself with {found['own_median_error']:.2%} "
        f"(largest {found['own_max_error']:.2%}); the same calls took "
        f"{found['service_spread']:.2%} longer or shorter in another run (median), "
        f"at a load of {found['load'][2]:.1f} over the last 15 minutes. "
        f"One simulation: {found['simulation_ms']:.2f} ms."
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
