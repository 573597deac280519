"""The price table: dated, editable, and silent about what it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.agents.roster import ROSTER
from pipeline.costs import run_cost
from pipeline.errors import SpecError
from pipeline.events import CallFinished, CallSent
from pipeline.models import Mode
from pipeline.plan import make_plan
from pipeline.prices import Price, PriceTable, load_prices, money
from pipeline.timing import run_timing
from pipeline.views.tables import cost_line


def test_the_table_that_comes_with_gantry_is_dated_and_has_a_source() -> None:
    table = load_prices()

    assert len(table.date) == len("2026-11-26")
    assert table.source
    assert table.of("gantry-demo-fast") == Price(input=0, output=0)
    assert table.of("gpt-4.1") is not None
    assert table.of("a model nobody knows") is None


def test_an_exact_name_goes_before_a_pattern_and_a_longer_pattern_first() -> None:
    table = PriceTable(
        "d",
        "s",
        {
            "m*": Price(input=1, output=1),
            "m-large*": Price(input=2, output=2),
            "m-large": Price(input=3, output=3),
        },
    )

    prices = [table.of(name) for name in ("m-small", "m-large-1", "m-large", "x")]

    assert [price and price.input for price in prices] == [1, 2, 3, None]


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        "date = 2026-01-01",
        'date = 2026-01-01\nsource = "s"\n[models]\nm = 3\n',
        'date = 2026-01-01\nsource = "s"\n[models]\nm = { input = -1, output = 2 }\n',
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)

    with pytest.raises(SpecError, match="price table"):
        load_prices(path)
    with pytest.raises(SpecError, match="price table"):
        load_prices(tmp_path / "missing.toml")


def test_money_is_rounded_up_and_small_sums_keep_their_places() -> None:
    assert Price(input=2.5, output=10.0).micro_usd(3, 1) == 18
    assert [money(m) for m in (0, 18, 1_200_000)] == ["$0.00", "$0.000018", "$1.20"]


def cost_of(model: str, sent: int | None, table: PriceTable) -> str:
    sent_fact = CallSent(
        epoch=1, seq=1, at_s=0, agent="editor", call=1, attempt=1, request_model=model
    )
    finished = CallFinished(
        epoch=1,
        seq=2,
        at_s=1,
        agent="editor",
        call=1,
        attempt=1,
        outcome="used",
        input_tokens=sent,
        output_tokens=100,
    )
    plan = make_plan(ROSTER, Mode.PHASES)
    return cost_line(run_cost(run_timing(plan, [sent_fact, finished]), table))


def test_an_unknown_price_and_an_untold_usage_are_unknown_and_never_nothing() -> None:
    table = PriceTable("2026-11-26", "s", {"m": Price(input=1, output=2)})

    assert cost_of("m", 1_000, table).startswith(
        "Cost: $0.0012, at list prices of 2026-11-26. 1,000 tokens in and 100 out"
    )
    assert cost_of("x", 1_000, table).startswith("Cost: unknown: no price for x")
    assert cost_of("m", None, table).startswith(
        "Cost: unknown: the provider told no usage for 1 of 1"
    )
