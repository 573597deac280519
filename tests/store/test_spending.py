"""The account of runs and days on a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import URL, select

from pipeline.budgets import Amount, Limits, Spent
from pipeline.errors import BudgetExceeded
from pipeline.models import RunSpec
from pipeline.store import Store
from pipeline.store.tables import holds, spending

LIMITS = Limits(run_tokens=1_000, day_tokens=1_500)


def url(folder: Path) -> URL:
    return URL.create("sqlite", database=str(folder / "gantry.sqlite3"))


async def estimated(store: Store, scope: str) -> int:
    query = select(spending.c.estimated_tokens).where(spending.c.scope == scope)
    return int((await store._rows(query))[0][0])


async def test_what_is_reserved_counts_until_it_is_settled(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))
    ledger = store.ledger("a")

    assert await ledger.reserve("1", Amount(900, 90), LIMITS) == Spent(
        Amount(900, 90), Amount(900, 90)
    )
    with pytest.raises(BudgetExceeded, match="The run's budget of 1,000 tokens"):
        await ledger.reserve("2", Amount(200), LIMITS)
    spent = await ledger.settle("1", Amount(300, 30), estimated=False)
    again = await ledger.settle("1", Amount(300, 30), estimated=False)

    assert spent == again == Spent(Amount(300, 30), Amount(300, 30))
    assert await estimated(store, "run:a") == 0
    await store.aclose()


async def test_runs_side_by_side_share_the_day(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))

    async def spend(number: int) -> bool:
        try:
            await store.ledger(f"run{number}").reserve(f"{number}", Amount(400), LIMITS)
        except BudgetExceeded as error:
            assert "Today's budget" in error.message
            return False
        return True

    granted = await asyncio.gather(*(spend(number) for number in range(20)))

    assert sum(granted) == 3
    await store.aclose()


async def test_what_a_crash_left_reserved_stays_counted_as_an_estimate(tmp_path: Path) -> None:
    before = await Store.open(url(tmp_path))
    await before.ledger("a").reserve("1", Amount(700), LIMITS)
    await before.aclose()  # never settled

    store = await Store.open(url(tmp_path))
    with pytest.raises(BudgetExceeded):
        await store.ledger("a").reserve("2", Amount(400), LIMITS)
    spent = await store.ledger("a").adopt()

    assert spent.run == Amount(700)
    assert await estimated(store, "run:a") == 700
    assert await store._rows(select(holds)) == []
    await store.aclose()


async def test_a_deleted_run_leaves_no_account_and_its_day_keeps_the_sum(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))
    await store.insert_run("run-12345", "ann", RunSpec(topic="t"))
    await store.ledger("run-12345").reserve("1", Amount(700), LIMITS)

    assert not await store.delete_run("run-12345", "bob")
    assert await store.delete_run("run-12345", "ann")

    scopes = [row.scope for row in await store._rows(select(spending))]
    assert len(scopes) == 1
    assert scopes[0].startswith("day:")
    assert await store._rows(select(holds)) == []
    await store.aclose()
