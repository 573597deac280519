"""Properties of every ledger: any order of any calls, each repeated, against a plain account."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.budgets import NOTHING, Amount, Ledger, Limits, Spent
from pipeline.errors import BudgetExceeded
from pipeline.llm.budget import MemoryLedger
from pipeline.models import RunSpec
from pipeline.store import Store

Step = tuple[str, int, Amount, int]  # what is asked, of which call, how much, how often
AMOUNTS = st.builds(Amount, st.integers(0, 400), st.integers(0, 400))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "settle", "settle", "adopt"]),
        st.integers(0, 5),
        AMOUNTS,
        st.integers(1, 2),
    ),
    max_size=25,
)
LIMITS = st.builds(
    Limits,
    run_tokens=st.none() | st.integers(0, 1_000),
    run_micro_usd=st.none() | st.integers(0, 1_000),
)
_numbers = itertools.count()


@dataclass
class Account:
    """What a ledger has to say: the sum of what was used and of what is held."""

    name: str = field(default_factory=lambda: f"account{next(_numbers)}")
    used: Amount = NOTHING
    held: dict[int, Amount] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    excess: Amount = NOTHING  # of calls out at the last reservation, beyond what they reserved

    @property
    def total(self) -> Amount:
        total = self.used
        for held in self.held.values():
            total = total.plus(held)
        return total

    def settle(self, call: int, used: Amount) -> None:
        if (reserved := self.held.pop(call, None)) is None:
            return
        self.used = self.used.plus(used)
        beyond = used.minus(reserved)
        self.excess = self.excess.plus(Amount(max(0, beyond.tokens), max(0, beyond.micro_usd)))


def fits(total: Amount, limits: Limits) -> bool:
    pairs = ((total.tokens, limits.run_tokens), (total.micro_usd, limits.run_micro_usd))
    return all(limit is None or used <= limit for used, limit in pairs)


@given(STEPS, LIMITS)
async def test_a_ledger_in_memory_says_what_was_used_and_held(
    steps: list[Step], limits: Limits
) -> None:
    await check(MemoryLedger(), steps, limits)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS, LIMITS)
async def test_a_durable_ledger_says_what_was_used_and_held(
    store: Store, steps: list[Step], limits: Limits
) -> None:
    run_id = f"run{next(_numbers)}"
    await store.insert_run(run_id, "ann", RunSpec(topic="t"))
    await store.begin(run_id)

    await check(store.ledger(run_id, 1), steps, limits)


async def check(ledger: Ledger, steps: list[Step], limits: Limits) -> None:
    """It agrees with a plain account, and is passed only by calls that were out, by their excess."""
    account = Account()
    for name, call, amount, times in steps:
        for _ in range(times):  # a commit without an answer is repeated
            spent = await carry_out(ledger, account, limits, name, call, amount)
            if spent is not None:
                assert spent.run == account.total
        assert fits(account.total.minus(account.excess), limits)


async def carry_out(
    ledger: Ledger, account: Account, limits: Limits, name: str, call: int, amount: Amount
) -> Spent | None:
    """One call on both; None when it was refused, as it had to be."""
    hold_id = f"{account.name}-{call}"
    if name == "adopt":
        for held, reserved in list(account.held.items()):
            account.settle(held, reserved)
        return await ledger.adopt()
    if name == "settle":
        account.settle(call, amount)
        return await ledger.settle(hold_id, amount, estimated=False)
    if call in account.known and call not in account.held:
        return None  # no call reserves again once it is settled
    allowed = call in account.held or fits(account.total.plus(amount), limits)
    if not allowed:
        with pytest.raises(BudgetExceeded):
            await ledger.reserve(hold_id, amount, limits)
        return None
    if call not in account.held:
        account.held[call] = amount
        account.known.add(call)
        account.excess = NOTHING
    return await ledger.reserve(hold_id, amount, limits)
