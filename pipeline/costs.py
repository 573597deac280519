"""What a run cost: the tokens its provider told, at the prices of the table. Pure.

Counted are calls whose reply was used, in all epochs. What discarded attempts may have cost
nobody told; their number is given beside the sum. A model without a price, or a call without told
usage, makes the cost unknown: never a smaller sum.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.prices import PriceTable, money
from pipeline.timing import RunTiming


@dataclass(frozen=True, slots=True)
class RunCost:
    """`micro_usd` is None when a price or a usage is unknown; `unpriced` and `untold` say why."""

    input_tokens: int
    output_tokens: int
    micro_usd: int | None
    priced_on: str
    calls: int
    untold: int  # used calls whose usage the provider did not tell
    unpriced: tuple[str, ...]  # models
    discarded: int  # attempts, not counted

    @property
    def cost_text(self) -> str:
        """`$0.0123`, or why it is unknown."""
        if self.micro_usd is not None:
            return money(self.micro_usd)
        if self.unpriced:
            return f"unknown: no price for {', '.join(self.unpriced)}"
        return f"unknown: the provider told no usage for {self.untold} of {self.calls} calls"


def run_cost(timing: RunTiming, prices: PriceTable) -> RunCost:
    """Add up a run's calls."""
    calls = [call for agent in timing.agents for call in agent.calls]
    used = [call for call in calls if call.outcome == "used"]
    told = [
        (call.model, call.usage.input_tokens, call.usage.output_tokens)
        for call in used
        if call.usage.input_tokens is not None and call.usage.output_tokens is not None
    ]
    unpriced = tuple(sorted({call.model for call in used if prices.of(call.model) is None}))
    cost = 0
    for model, sent, written in told:
        price = prices.of(model)
        cost += price.micro_usd(sent, written) if price is not None else 0
    is_known = not unpriced and len(told) == len(used)
    return RunCost(
        input_tokens=sum(sent for _, sent, _ in told),
        output_tokens=sum(written for _, _, written in told),
        micro_usd=cost if is_known else None,
        priced_on=prices.date,
        calls=len(used),
        untold=len(used) - len(told),
        unpriced=unpriced,
        discarded=sum(call.outcome == "discarded" for call in calls),
    )
