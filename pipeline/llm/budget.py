"""One run's way to its ledger: reserve before an attempt, settle after it, wait for each other.

What may be spent is `pipeline/budgets.py`'s decision, where it is written down the ledger's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from pipeline.budgets import NOTHING, Amount, Charge, Ledger, Limits, Spending, Spent, refusal
from pipeline.errors import BudgetExceeded, SpecError
from pipeline.prices import PriceTable

CLOSE_WAIT_S = 3.0  # for the last calls' usage; longer than a reply's end is waited for


class MemoryLedger:
    """`Ledger` of one run that nobody else shares a day with."""

    def __init__(self) -> None:
        self._spent = NOTHING
        self._holds: dict[str, Amount] = {}

    async def reserve(self, hold_id: str, wanted: Amount, limits: Limits) -> Spent:
        if hold_id in self._holds:
            return Spent(self._spent, self._spent)
        if refused := refusal(limits, Spent(self._spent, self._spent), wanted):
            raise refused
        self._holds[hold_id] = wanted
        self._spent = self._spent.plus(wanted)
        return Spent(self._spent, self._spent)

    async def settle(self, hold_id: str, used: Amount, *, estimated: bool) -> Spent:
        reserved = self._holds.pop(hold_id, None)
        if reserved is not None:
            self._spent = self._spent.minus(reserved).plus(used)
        return Spent(self._spent, self._spent)

    async def adopt(self) -> Spent:
        self._holds.clear()
        return Spent(self._spent, self._spent)


@dataclass(frozen=True, slots=True)
class Hold:
    """What one attempt may spend: settle it, whatever happened."""

    id: str
    model: str
    input_tokens: int  # by estimate
    reserved: Charge


@dataclass(slots=True, eq=False)
class Budget:
    """One run's way to its ledger. Owned by one loop.

    `on_change` is told how things stand after each change.
    """

    ledger: Ledger
    limits: Limits
    prices: PriceTable
    on_change: Callable[[Spending], None] = lambda _spending: None
    _open: int = 0  # holds not settled yet
    _unsure: list[Hold] = field(default_factory=list)  # nobody was told whether they are counted
    _dropping: int = 0  # of them being taken back
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    def check_models(self, models: Iterable[str]) -> None:
        """Raises `SpecError` when a budget in money meets a model whose price is unknown."""
        if not self.limits.in_money:
            return
        unknown = sorted({model for model in models if self.prices.of(model) is None})
        if unknown:
            names = ", ".join(f"`{model}`" for model in unknown)
            raise SpecError(
                f"A budget in money is set, and the price of {names} is not in the price table of "
                f"{self.prices.date}.",
                "Add it to the table (GANTRY_PRICES_FILE), choose another model, or set a budget in "
                "tokens instead.",
            )

    async def begin(self) -> None:
        self._tell(await self.ledger.adopt())

    async def reserve(self, model: str, input_tokens: int, output_tokens: int) -> Hold | None:
        """Reserve what a call may take at most.

        None when only other calls of this run stand in the way: come back after `room`. Raises
        `BudgetExceeded`. After any other error `drop_unsure`.
        """
        wanted = self.charge(model, input_tokens, output_tokens)
        hold = Hold(secrets.token_hex(16), model, input_tokens, wanted)
        self._settled.clear()
        try:
            spent = await self.ledger.reserve(hold.id, wanted.amount, self.limits)
        except BudgetExceeded:
            if self._awaits_settlements:
                return None
            raise
        except BaseException:
            self._unsure.append(hold)
            raise
        self._open += 1
        self._tell(spent)
        return hold

    async def drop_unsure(self) -> None:
        """Take back what was reserved for calls that were never made: cancelled meanwhile, or

        unanswered by the store.
        """
        while self._unsure:
            hold = self._unsure.pop()
            self._dropping += 1
            try:
                self._tell(await self.ledger.settle(hold.id, NOTHING, estimated=False))
            finally:
                self._dropping -= 1
                self._settled.set()

    async def room(self) -> None:
        """Return when a call of this run has been settled since the last `reserve`."""
        await self._settled.wait()

    async def settle(self, hold: Hold, used: Charge, *, estimated: bool) -> None:
        """Say what the attempt used."""
        try:
            self._tell(await self.ledger.settle(hold.id, used.amount, estimated=estimated))
        finally:
            self._open -= 1
            self._settled.set()

    async def aclose(self) -> None:
        """Return when every call is settled, or after three seconds.

        What takes longer is left to the call's own task and to the ledger, which remembers it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                while self._awaits_settlements:
                    self._settled.clear()
                    await self._settled.wait()

    @property
    def _awaits_settlements(self) -> bool:
        return bool(self._open or self._unsure or self._dropping)

    def charge(self, model: str, input_tokens: int, output_tokens: int) -> Charge:
        """So many tokens at the model's price."""
        price = self.prices.of(model)
        cost = None if price is None else price.micro_usd(input_tokens, output_tokens)
        return Charge(input_tokens + output_tokens, cost)

    def _tell(self, spent: Spent) -> None:
        self.on_change(Spending(self.limits, spent))
