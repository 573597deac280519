"""The port through which several processes share one endpoint's limits.

A process does not ask for every call: it takes a *lease*, so many requests and tokens it may use
within a short time, and spends it without another question (`lease.py`). The hot path stays
synchronous. What is not used goes back.

`InMemoryLimits` is the port for gates of one process (and for tests); the one on PostgreSQL
belongs to the engine. All methods may raise; a gate that cannot reach its port goes on with its
own limits and says so in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.llm.admission.bucket import Bucket, is_possible
from pipeline.models import ToldLimit

LEASE_S = 5.0  # how long a lease may be used; what is left then is void

GateKey = tuple[str, str]  # base URL, model


Telling = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Lease:
    """What a process may use until `valid_s` from now. With nothing granted, ask again in `wait_s`."""

    requests: int
    tokens: float
    valid_s: float = LEASE_S
    wait_s: float = 0.0


class SharedLimits(Protocol):
    async def reserve(self, key: GateKey, requests: int, tokens: float) -> Lease:
        """Take up to so much at once; less, or nothing and `wait_s`, when there is not enough."""

    def settle(self, key: GateKey, requests: int, tokens: float) -> Telling:
        """Give back what was reserved too much; negative when it was too little."""

    def cool(self, key: GateKey, delay_s: float) -> Telling:
        """Grant nobody anything for `delay_s`: the provider told one process to wait."""

    def learned(self, key: GateKey, told: tuple[ToldLimit, ...]) -> Telling:
        """Tell the other processes what the provider said of its limits."""


@dataclass(slots=True)
class _Account:
    requests: Bucket | None
    tokens: Bucket | None
    cool_until_s: float = 0.0


class InMemoryLimits:
    """`SharedLimits` for gates of one loop. Without a limit a unit is granted as asked."""

    def __init__(
        self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._tokens_per_minute = tokens_per_minute
        self._accounts: dict[GateKey, _Account] = {}

    async def reserve(self, key: GateKey, requests: int, tokens: float) -> Lease:
        account, now = self._account(key), _now()
        if account.cool_until_s > now:
            return Lease(0, 0.0, wait_s=account.cool_until_s - now)
        need = tokens / max(1, requests)  # of one call
        wait_s = max(
            account.requests.wait_s(now, 1.0) if account.requests else 0.0,
            account.tokens.wait_s(now, need) if account.tokens else 0.0,
        )
        if wait_s > 0.0:
            return Lease(0, 0.0, wait_s=wait_s)
        granted = requests
        if account.requests is not None:
            granted = min(granted, max(1, int(account.requests.available(now))))
        if account.tokens is not None and need > 0.0:
            granted = min(granted, max(1, int(account.tokens.available(now) / need)))
        if account.requests is not None:
            account.requests.take(now, granted)
        if account.tokens is not None:
            account.tokens.take(now, granted * need)
        return Lease(granted, granted * need)

    async def settle(self, key: GateKey, requests: int, tokens: float) -> None:
        account, now = self._account(key), _now()
        if account.requests is not None:
            account.requests.give_back(now, requests)
        if account.tokens is not None:
            account.tokens.give_back(now, tokens)

    async def cool(self, key: GateKey, delay_s: float) -> None:
        account = self._account(key)
        account.cool_until_s = max(account.cool_until_s, _now() + delay_s)

    async def learned(self, key: GateKey, told: tuple[ToldLimit, ...]) -> None:
        account, now = self._account(key), _now()
        for limit in told:
            if limit.limit is None or limit.unit == "in_flight" or not is_possible(limit):
                continue
            bucket = account.requests if limit.unit == "requests" else account.tokens
            if bucket is None:
                bucket = Bucket(limit.unit, limit.limit, source="header")
                if limit.unit == "requests":
                    account.requests = bucket
                else:
                    account.tokens = bucket
            if bucket.source != "configured":
                bucket.correct(now, limit, 0.0)

    def _account(self, key: GateKey) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            rpm, tpm = self._requests_per_minute, self._tokens_per_minute
            account = self._accounts[key] = _Account(
                None if rpm is None else Bucket("requests", rpm, even=True),
                None if tpm is None else Bucket("tokens", tpm),
            )
        return account


def _now() -> float:
    return asyncio.get_running_loop().time()
