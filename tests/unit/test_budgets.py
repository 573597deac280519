"""What may be spent: never more than a limit, whoever asks in whatever order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.budgets import Amount, Limits, Spending, Spent, refusal, tokens_at_most
from pipeline.errors import BudgetExceeded, SpecError
from pipeline.llm.budget import Budget, MemoryLedger
from pipeline.models import RunSpec, Usage
from pipeline.prices import Price, PriceTable

PRICES = PriceTable("2026-11-26", "a test", {"m": Price(input=2.0, output=8.0)})


@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(0.0, 1.0)), max_size=40),
    st.integers(1, 2_000),
)
async def test_calls_that_keep_to_their_estimates_never_pass_the_limit(
    calls: list[tuple[int, float]], limit: int
) -> None:
    ledger, limits, most = MemoryLedger(), Limits(run_tokens=limit), 0
    holds = []
    for number, (tokens, share) in enumerate(calls):
        try:
            spent = await ledger.reserve(str(number), Amount(tokens), limits)
            most = max(most, spent.run.tokens)
            holds.append((str(number), int(tokens * share)))
        except BudgetExceeded:
            if holds:
                hold, used = holds.pop(0)
                await ledger.settle(hold, Amount(used), estimated=False)

    assert most <= limit


def test_the_message_names_the_budget_and_what_is_left_to_do() -> None:
    spent = Spent(Amount(900, 1_000), Amount(9_000, 4_990_000))

    of_run = refusal(Limits(run_tokens=1_000), spent, Amount(200, 0))
    of_day = refusal(Limits(day_micro_usd=5_000_000), spent, Amount(200, 20_000))

    assert of_run is not None
    assert "The run's budget of 1,000 tokens" in of_run.message
    assert "Raise the budget" in of_run.hint
    assert of_day is not None
    assert "Today's budget for all runs of $5.00" in of_day.message
    assert "tomorrow" in of_day.hint
    assert refusal(Limits(run_tokens=1_100), spent, Amount(200, 0)) is None


def test_the_lower_of_two_limits_holds() -> None:
    spec = RunSpec(topic="t", max_tokens=500, max_cost_usd=0.25)

    limits = Limits(run_tokens=1_000, run_micro_usd=100_000).with_spec(spec)

    assert (limits.run_tokens, limits.run_micro_usd) == (500, 100_000)


def test_a_budget_says_how_it_stands() -> None:
    spending = Spending(
        Limits(run_tokens=50_000, day_micro_usd=5_000_000),
        Spent(Amount(12_300, 24_000), Amount(99_000, 1_200_000)),
    )

    assert spending.text == "12,300 of 50,000 tokens, today $1.20 of $5.00"


def test_money_needs_a_known_price() -> None:
    with pytest.raises(SpecError, match="the price of `other` is not in the price table of 2026"):
        Budget(MemoryLedger(), Limits(run_micro_usd=1), PRICES).check_models(["m", "other"])

    Budget(MemoryLedger(), Limits(run_tokens=1), PRICES).check_models(["other"])


async def test_a_call_waits_for_its_siblings_before_it_is_refused() -> None:
    budget = Budget(MemoryLedger(), Limits(run_tokens=100), PRICES)
    first = await budget.reserve("m", 10, 80)
    assert first is not None

    assert await budget.reserve("m", 10, 40) is None
    room = asyncio.create_task(budget.room())
    await budget.settle(first, Usage(10, 20), estimated=False)
    await room
    second = await budget.reserve("m", 10, 40)

    assert second is not None
    await budget.settle(second, Usage(10, 40), estimated=False)
    with pytest.raises(BudgetExceeded, match="80 are spent"):
        await budget.reserve("m", 10, 40)


@given(st.text())
def test_a_prompt_is_not_estimated_at_nothing(text: str) -> None:
    assert tokens_at_most(text) >= len(text.encode("utf-8", "replace")) / 3
