"""How well a hidden rate limit is found and used, simulated over many limits.

    python -m benchmarks.admission_rate

The controller of `pipeline/llm/admission/rate.py` against token buckets it is not told of, on a
clock of its own (`tests/unit/llm/admission/simulated_limit.py`). `benchmarks.bench --only
hidden_limit` measures one such limit over real sockets.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics

from tests.unit.llm.admission.simulated_limit import HiddenLimit, simulate

WARM_UP_S, WARM_UP_CALLS = 20.0, 100.0
MEASURED_S, MEASURED_CALLS = 60.0, 400.0


def use_of(limit: HiddenLimit, seed: int) -> tuple[float, float]:
    """(share of the ideal rate, share of requests refused) after the warm-up."""
    per_s = limit.per_minute / 60.0
    begin_s = max(WARM_UP_S, WARM_UP_CALLS / per_s)
    end_s = begin_s + max(MEASURED_S, MEASURED_CALLS / per_s)
    outcome = simulate(limit, end_s, seed=seed)
    return (
        outcome.share_of_ideal(begin_s, end_s, limit.per_minute),
        outcome.refused_share(begin_s, end_s),
    )


def drawn(rng: random.Random, burst: float) -> HiddenLimit:
    per_minute = math.exp(rng.uniform(math.log(3), math.log(6_000)))
    return HiddenLimit(
        per_minute,
        burst,
        latency_s=math.exp(rng.uniform(math.log(0.1), math.log(20))),
        round_trip_s=rng.uniform(0.002, 0.2),
        jitter_s=min(0.02, rng.uniform(0.0, 0.1) * 60.0 / per_minute * burst),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--limits", type=int, default=100, help="drawn for each burst")
    count = parser.parse_args().limits
    print(f"{count} limits each, 3 to 6,000/min, latency 0.1 to 20 s, after 20 s or 100 requests")
    print("burst   share of ideal: median / worst   refused: median / worst   of 90 % and 2 %")
    for burst in (1, 2, 5, 20, 60):
        rng = random.Random(burst)
        uses = [use_of(drawn(rng, burst), seed) for seed in range(count)]
        shares, refused = [use[0] for use in uses], [use[1] for use in uses]
        kept = sum(share >= 0.9 and lost <= 0.02 for share, lost in uses)
        print(
            f"{burst:>5}   {statistics.median(shares):>17.3f} / {min(shares):.3f}   "
            f"{statistics.median(refused):>14.2%} / {max(refused):.2%}   {kept / count:>14.0%}"
        )
    print("fixed windows of a minute instead of buckets, minutes 5 to 15")
    for per_minute in (60, 600):
        outcome = simulate(HiddenLimit(per_minute, window_s=60.0), 900.0)
        share, lost = outcome.share_of_ideal(300, 900, per_minute), outcome.refused_share(300, 900)
        print(f"{per_minute:>5}/min   share of ideal {share:.3f}   refused {lost:.2%}")


if __name__ == "__main__":
    main()
