"""What may be spent: never more than a limit, whoever asks in whatever order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.budgets import Amount, Charge, Limits, Spending, Spent, refusal, tokens_at_most
from pipeline.errors import BudgetExceeded, SpecError
from pipeline.llm import budget as budget_module
from pipeline.llm.budget import Budget, MemoryLedger
from pipeline.models import RunSpec
from pipeline.prices import Price, PriceTable

PRICES = PriceTable("2026-11-26", "a test", {"m": Price(input=2.0, output=8.0)})


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
    await budget.settle(first, Charge(30, None), estimated=False)
    await room
    second = await budget.reserve("m", 10, 40)

    assert second is not None
    await budget.settle(second, Charge(50, None), estimated=False)
    with pytest.raises(BudgetExceeded, match="80 are spent"):
        await budget.reserve("m", 10, 40)


async def test_a_run_waits_at_its_end_for_what_its_calls_used() -> None:
    budget = Budget(MemoryLedger(), Limits(run_tokens=100), PRICES)
    hold = await budget.reserve("m", 10, 80)
    assert hold is not None

    closing = asyncio.create_task(budget.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    await budget.settle(hold, Charge(30, None), estimated=False)

    await closing


async def test_at_its_end_a_run_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "CLOSE_WAIT_S", 0.01)
    budget = Budget(MemoryLedger(), Limits(run_tokens=100), PRICES)
    await budget.reserve("m", 10, 80)

    await budget.aclose()


@given(st.text())
def test_a_prompt_is_not_estimated_at_nothing(text: str) -> None:
    assert tokens_at_most(text) >= len(text.encode("utf-8", "replace")) / 3
