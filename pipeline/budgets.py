"""How much a run, and all runs of a day, may spend: asked before each call, settled after it.

Pure. `pipeline/llm/budget.py` asks, a `Ledger` keeps the account: durably
(`pipeline/store/spending.py`), or in memory for the library. What is reserved counts as spent
until the call says what it used, so that calls side by side, in any number of processes, cannot
spend the same rest twice; what a crash left reserved stays counted, as an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from pipeline.errors import BudgetExceeded
from pipeline.models import RunSpec
from pipeline.prices import MICRO, money

BYTES_PER_TOKEN = 3.0  # an estimate on the high side: ordinary text has about four
OUTPUT_TOKENS = 4_096  # reserved for the answer of a call that sets no limit of its own


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens of prompt and answer, and millionths of a US dollar."""

    tokens: int = 0
    micro_usd: int = 0

    def plus(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.micro_usd + other.micro_usd)

    def minus(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.micro_usd - other.micro_usd)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Charge:
    """What one attempt takes, for the record. `micro_usd` is None when the price is unknown."""

    tokens: int
    micro_usd: int | None

    @property
    def amount(self) -> Amount:
        """As it counts: an unknown price counts nothing, and no budget in money allows one."""
        return Amount(self.tokens, self.micro_usd or 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. `day` counts all runs of an installation, by UTC day."""

    run_tokens: int | None = None
    day_tokens: int | None = None
    run_micro_usd: int | None = None
    day_micro_usd: int | None = None

    @property
    def any(self) -> bool:
        return self != NO_LIMITS

    @property
    def in_money(self) -> bool:
        return self.run_micro_usd is not None or self.day_micro_usd is not None

    def with_spec(self, spec: RunSpec) -> Limits:
        """The run's own limits beside those of the installation: the lower one holds."""
        own_usd = None if spec.max_cost_usd is None else math.floor(spec.max_cost_usd * MICRO)
        return replace(
            self,
            run_tokens=_lower(self.run_tokens, spec.max_tokens),
            run_micro_usd=_lower(self.run_micro_usd, own_usd),
        )


NO_LIMITS = Limits()


def _lower(one: int | None, other: int | None) -> int | None:
    known = [limit for limit in (one, other) if limit is not None]
    return min(known, default=None)


@dataclass(frozen=True, slots=True)
class Spent:
    """What is spent or reserved, by this run and by all runs of the day."""

    run: Amount = NOTHING
    day: Amount = NOTHING


@dataclass(frozen=True, slots=True)
class Spending:
    """A budget as it stands, for people."""

    limits: Limits
    spent: Spent

    @property
    def text(self) -> str:
        """`12,300 of 50,000 tokens, $0.02 of $1.00, today $0.10 of $5.00`; no limit, no word."""
        parts = [
            f"{before}{show(used)} of {show(limit)}{after}"
            for _, before, used, limit, show, after in _accounts(self.limits, self.spent)
        ]
        return ", ".join(parts)


def _accounts(
    limits: Limits, spent: Spent
) -> Iterable[tuple[str, str, int, int, Callable[[int], str], str]]:
    """Each limit there is: its name, a word before, what is spent, the limit, how both are shown."""
    run, day = "The run's budget", "Today's budget for all runs"
    rows = [
        (run, "", spent.run.tokens, limits.run_tokens, _count, " tokens"),
        (run, "", spent.run.micro_usd, limits.run_micro_usd, money, ""),
        (day, "today ", spent.day.tokens, limits.day_tokens, _count, " tokens"),
        (day, "today ", spent.day.micro_usd, limits.day_micro_usd, money, ""),
    ]
    return [(n, b, used, limit, s, a) for n, b, used, limit, s, a in rows if limit is not None]


def _count(tokens: int) -> str:
    return f"{tokens:,}"


def refusal(limits: Limits, spent: Spent, wanted: Amount) -> BudgetExceeded | None:
    """Why `wanted` may not be spent as well; None when it may."""
    for name, before, used, limit, show, after in _accounts(limits, spent):
        more = wanted.micro_usd if show is money else wanted.tokens
        if used + more > limit:
            wait = "Raise the budget, or continue the run tomorrow (UTC)."
            raise_it = "Raise the budget and continue the run; what is finished is kept."
            return BudgetExceeded(
                f"{name} of {show(limit)}{after} does not allow the next call: {show(used)} are "
                f"spent or reserved, and it may take {show(more)}.",
                wait if before else raise_it,
            )
    return None


class Ledger(Protocol):
    """The account of one run and of the day. `reserve` is one step: nobody comes between."""

    async def reserve(self, hold_id: str, wanted: Amount, limits: Limits) -> Spent:
        """Count `wanted` as spent; the same hold again changes nothing.

        Raises `BudgetExceeded`, or `Superseded` when the run is no longer the caller's; then
        nothing is counted. After a `StoreError` it may be.
        """

    async def settle(self, hold_id: str, used: Amount, *, estimated: bool) -> Spent:
        """Replace what was reserved by what was used. Once per hold; more often changes nothing.

        After a `StoreError` the ledger remembers it: it is counted when the store answers again, at
        the latest when somebody reserves.
        """

    async def adopt(self) -> Spent:
        """An epoch begins: what earlier ones left reserved stays counted, as estimates.

        Raises `Superseded` when a later one has begun.
        """


def tokens_at_most(*texts: str) -> int:
    """An estimate on the high side of the tokens in these texts, by the bytes they take."""
    return math.ceil(sum(len(t.encode("utf-8", "replace")) for t in texts) / BYTES_PER_TOKEN)
