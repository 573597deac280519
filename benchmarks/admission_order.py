"""How long runs take that share one endpoint, by the order in which their calls are admitted.

    python -m benchmarks.admission_order

Real plans, the real gate, simulated calls: time is a loop's whose clock jumps, so an hour of
calls takes seconds. Service times are drawn per agent (log-normal, seeded) around the seeds of
`pipeline/estimates.py`; all orders get the same draws. *Barriers, first come*: phases, and calls
in the order they ask. *Data, first come*: an agent starts when its inputs exist. *Gantry*: the
same with tickets (oldest run first, inside a run the longest remaining path).
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.agents.roster import ROSTER
from pipeline.estimates import Estimates
from pipeline.llm.admission import NOBODY, Gate, Ticket
from pipeline.models import AgentOutput, AgentState, Mode, Settlement
from pipeline.plan import Plan, make_plan, ready, remaining_paths
from tests.unit.llm.admission.jumping import JumpingLoop

SIGMA = 0.4  # of the logarithm of a service time


@dataclass(frozen=True)
class Order:
    name: str
    mode: Mode
    with_tickets: bool


BARRIERS = Order("barriers, first come", Mode.PHASES, False)
FIRST_COME = Order("data, first come", Mode.DATAFLOW, False)
GANTRY = Order("Gantry", Mode.DATAFLOW, True)


@dataclass(frozen=True)
class Arrival:
    at_s: float
    owner: str = "local"


def draws(runs: int, seed: int) -> list[dict[str, float]]:
    """Service times of each run's agents."""
    rng, usual = random.Random(seed), Estimates()
    return [
        {a.name: usual.service_s(a.name, "") * math.exp(rng.gauss(0.0, SIGMA)) for a in ROSTER}
        for _ in range(runs)
    ]


async def _run(
    gate: Gate, plan: Plan, took: dict[str, float], ticket_of: Callable[[str], Ticket]
) -> None:
    settled: dict[str, Settlement] = {}
    started: set[str] = set()
    news: asyncio.Queue[str] = asyncio.Queue()

    async def agent(name: str) -> None:
        async with gate.admit(ticket_of(name)):
            await asyncio.sleep(took[name])
        news.put_nowait(name)

    async with asyncio.TaskGroup() as group:
        while len(settled) < len(plan.agents):
            for name in ready(plan, settled, started):
                started.add(name)
                group.create_task(agent(name))
            name = await news.get()
            settled[name] = Settlement(name, AgentState.DONE, AgentOutput("x"))


def makespans(
    order: Order, arrivals: Sequence[Arrival], took: Sequence[dict[str, float]], cap: int
) -> list[float]:
    """How long each run took, from its arrival."""
    plan, usual = make_plan(ROSTER, order.mode), Estimates()
    paths = remaining_paths(plan, {name: usual.service_s(name, "") for name in plan.names})
    lengths = [0.0] * len(arrivals)

    async def one(index: int, gate: Gate) -> None:
        arrival = arrivals[index]
        await asyncio.sleep(arrival.at_s)

        def ticket_of(name: str) -> Ticket:
            if not order.with_tickets:
                return NOBODY
            return Ticket(
                f"run {index:04}",
                name,
                arrival.owner,
                run_started_s=arrival.at_s,
                remaining_s=paths[name],
            )

        await _run(gate, plan, took[index], ticket_of)
        lengths[index] = asyncio.get_running_loop().time() - arrival.at_s

    async def main() -> None:
        gate = Gate(cap)
        async with asyncio.TaskGroup() as group:
            for index in range(len(arrivals)):
                group.create_task(one(index, gate))

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())
    return lengths


def compare(runs: int, caps: Sequence[int], seeds: int) -> None:
    print(f"{runs} runs at once, {seeds} seeds: mean run time (time until the last) in seconds")
    print(
        f"{'cap':>4}  {'barriers, first come':>22}  {'data, first come':>18}  {'Gantry':>16}  ratio"
    )
    for cap in caps:
        means: dict[str, list[float]] = {}
        totals: dict[str, list[float]] = {}
        for seed in range(seeds):
            took, arrivals = draws(runs, seed), [Arrival(0.0)] * runs
            for order in (BARRIERS, FIRST_COME, GANTRY):
                lengths = makespans(order, arrivals, took, cap)
                means.setdefault(order.name, []).append(statistics.mean(lengths))
                totals.setdefault(order.name, []).append(max(lengths))
        cells = [
            f"{statistics.mean(means[o.name]):.0f} ({statistics.mean(totals[o.name]):.0f})"
            for o in (BARRIERS, FIRST_COME, GANTRY)
        ]
        ratio = statistics.mean(means[GANTRY.name]) / statistics.mean(means[BARRIERS.name])
        print(f"{cap:>4}  {cells[0]:>22}  {cells[1]:>18}  {cells[2]:>16}  {ratio:.2f}")


def two_owners(cap: int, seed: int) -> None:
    took = draws(101, seed)
    arrivals = [Arrival(0.0, "many")] * 100 + [Arrival(30.0, "one")]
    print(f"\none run of another owner, 30 s after somebody's hundred, cap {cap}")
    for order in (BARRIERS, FIRST_COME, GANTRY):
        print(f"  {order.name:<22} {makespans(order, arrivals, took, cap)[-1]:6.0f} s")
    alone = makespans(GANTRY, [Arrival(0.0)], took[-1:], cap)[0]
    print(f"  {'alone':<22} {alone:6.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--caps", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    compare(options.runs, options.caps, options.seeds)
    two_owners(8, 1)


if __name__ == "__main__":
    main()
