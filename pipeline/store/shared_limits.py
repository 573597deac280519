"""Limits that all processes on one PostgreSQL keep together: admission's port, as rows.

One row per endpoint and model holds two token buckets and the end of a cool-down. Each question is
one statement that locks the row, reads the database's clock, refills, takes and answers; no other
clock counts, so machines whose clocks differ agree. A process that dies has taken what it took:
the buckets refill, nothing has to be given back. Connections are the module's own, few, and do not
wait for the disk: losing the last moment of a limit costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
from sqlalchemy import URL

from pipeline.base_url import address
from pipeline.llm.admission import GateKey, Lease
from pipeline.llm.admission.bucket import LimitReading, LimitSource
from pipeline.llm.admission.team import SharedRow
from pipeline.models import ToldLimit
from pipeline.store.codec import storable
from pipeline.store.postgresql import CONNECT_TIMEOUT_S, connect_args

CONNECTIONS = 2
COMMAND_TIMEOUT_S = 4.0  # below the time after which a gate gives its port up
LOCK_TIMEOUT_MS = 2_000
TOLD_AGAIN_S = 1.0  # the same limit is passed on so often, however many answers tell it
LONGEST_PERIOD_S = 60.0  # limits by the hour or day: each process keeps them by itself
NAME_CHARS = 500  # of an endpoint or model; what is longer is cut, and shares a row

_Unit = Literal["requests", "tokens"]


class PostgresLimits:
    """`SharedLimits` on a migrated database. The limits given are those configured here.

    They should be the same in all processes; the one that started last decides.
    """

    def __init__(
        self,
        url: URL,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self._url = url
        self._configured = (requests_per_minute, tokens_per_minute)
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._known: set[GateKey] = set()  # keys whose row exists, with our limits
        self._told: dict[tuple[GateKey, _Unit], _Told] = {}

    async def reserve(self, key: GateKey, requests: int, tokens: float) -> Lease:
        """Take up to so much at once; less, or nothing and `wait_s`, when there is not enough."""
        need = round(tokens / max(1, requests), 3)  # of one call; no quotient by next to nothing
        row = await self._change(_RESERVE, key, requests, need)
        granted, wait_s = int(row["granted"]), float(row["wait_s"])
        return Lease(granted, granted * need, wait_s=wait_s)

    async def settle(self, key: GateKey, requests: int, tokens: float) -> None:
        """Give back what was reserved too much; negative when it was too little."""
        await self._change(_SETTLE, key, float(requests), tokens)

    async def cool(self, key: GateKey, delay_s: float) -> None:
        """Grant nobody anything for `delay_s`."""
        await self._change(_COOL, key, delay_s)

    def learned(self, key: GateKey, told: tuple[ToldLimit, ...]) -> Coroutine[Any, Any, None]:
        """Tell the other processes what the provider said of its limits, if it is news."""
        return self._learn(key, [limit for limit in told if self._is_news(key, limit)])

    async def aclose(self) -> None:
        """Disconnect. Nothing may be asked any more."""
        if self._pool is not None:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await self._pool.close()

    async def _learn(self, key: GateKey, news: Sequence[ToldLimit]) -> None:
        for limit in news:
            statement = _LEARN["tokens" if limit.unit == "tokens" else "requests"]
            per_minute = (limit.limit or 0.0) * 60.0 / (limit.period_s or 60.0)
            await self._change(statement, key, per_minute, limit.remaining)

    def _is_news(self, key: GateKey, limit: ToldLimit) -> bool:
        """False for what was just told, and for what says nothing about a minute."""
        periods = (limit.period_s or 0.0, limit.reset_s or 0.0)
        if limit.limit is None or limit.unit == "in_flight" or max(periods) > LONGEST_PERIOD_S:
            return False
        unit: _Unit = "tokens" if limit.unit == "tokens" else "requests"
        now, last = asyncio.get_running_loop().time(), self._told.get((key, unit))
        told = _Told(limit.limit, limit.period_s, now)
        if last is not None and last.is_same(told) and now - last.at_s < TOLD_AGAIN_S:
            return False
        self._told[key, unit] = told
        return True

    async def _change(self, statement: str, key: GateKey, *values: float | None) -> Any:
        """The row after `statement`, made first when it is missing."""
        pool = await self._connected()
        endpoint, model = (storable(name)[:NAME_CHARS] for name in key)
        for _ in range(2):
            if key not in self._known:
                await pool.execute(_FORGET)
                await pool.execute(_BEGIN, endpoint, model, *self._configured)
                self._known.add(key)
            if (row := await pool.fetchrow(statement, endpoint, model, *values)) is not None:
                return row
            self._known.discard(key)  # somebody deleted it
        raise LookupError("The row of a shared limit vanished twice.")

    async def _connected(self) -> Any:
        async with self._opening:
            if self._pool is None:
                arguments = connect_args(self._url)
                arguments["server_settings"] |= {
                    "synchronous_commit": "off",
                    "lock_timeout": str(LOCK_TIMEOUT_MS),
                }
                arguments["timeout"] = min(CONNECT_TIMEOUT_S, COMMAND_TIMEOUT_S)
                arguments["command_timeout"] = COMMAND_TIMEOUT_S
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=CONNECTIONS, reset=_nothing, **arguments
                )
            return self._pool


@dataclass(frozen=True, slots=True)
class _Told:
    limit: float
    period_s: float | None
    at_s: float

    def is_same(self, other: _Told) -> bool:
        return (self.limit, self.period_s) == (other.limit, other.period_s)


async def _nothing(_connection: Any) -> None:
    """Between two questions: no session state is changed, so there is nothing to reset."""


# Endpoints come and go, typed ones too: what nobody asked of for a week is not kept.
_FORGET = """
DELETE FROM shared_limits WHERE (endpoint, model) IN (
    SELECT endpoint, model FROM shared_limits
    WHERE at < clock_timestamp() - interval '7 days' FOR UPDATE SKIP LOCKED
)
"""

_BEGIN = """
INSERT INTO shared_limits AS old (
    endpoint, model, requests_per_minute, requests_level, tokens_per_minute, tokens_level, at
)
VALUES (
    $1, $2, $3::float8, CASE WHEN $3 IS NULL THEN 0 ELSE greatest(1, $3 / 600) END,
    $4::float8, coalesce($4, 0), clock_timestamp()
)
ON CONFLICT (endpoint, model) DO UPDATE SET
    requests_per_minute = CASE
        WHEN excluded.requests_per_minute IS NOT NULL OR old.requests_heard_at IS NULL
        THEN excluded.requests_per_minute ELSE old.requests_per_minute END,
    requests_heard_at = CASE
        WHEN excluded.requests_per_minute IS NULL THEN old.requests_heard_at END,
    requests_level = CASE
        WHEN old.requests_per_minute IS NULL THEN excluded.requests_level ELSE old.requests_level END,
    tokens_per_minute = CASE
        WHEN excluded.tokens_per_minute IS NOT NULL OR old.tokens_heard_at IS NULL
        THEN excluded.tokens_per_minute ELSE old.tokens_per_minute END,
    tokens_heard_at = CASE
        WHEN excluded.tokens_per_minute IS NULL THEN old.tokens_heard_at END,
    tokens_level = CASE
        WHEN old.tokens_per_minute IS NULL THEN excluded.tokens_level ELSE old.tokens_level END
"""


def _filled(rows: str) -> str:
    """The beginning of a statement that knows what is left `now` of each of `rows`.

    Configured requests are spread evenly (a tenth of a second's worth at once, so that a high rate
    does not take a question for each); tokens, and what a provider told, may be used in one go.
    What was told is believed for five minutes.
    """
    return f"""
WITH old AS (
    SELECT * FROM shared_limits {rows}
), timed AS (  -- the clock is read when the row is ours
    SELECT *, clock_timestamp() AS now FROM old
), known AS (
    SELECT *,
        greatest(0, extract(epoch FROM now - at))::float8 AS passed_s,
        CASE WHEN coalesce(requests_heard_at > now - interval '5 min', true)
            THEN requests_per_minute END AS rpm,
        CASE WHEN coalesce(tokens_heard_at > now - interval '5 min', true)
            THEN tokens_per_minute END AS tpm
    FROM timed
), filled AS (
    SELECT *,
        CASE WHEN requests_heard_at IS NULL AND rpm IS NOT NULL
            THEN greatest(1, rpm / 600) ELSE rpm END AS requests_room,
        tpm AS tokens_room,
        requests_level + passed_s * rpm / 60 AS requests_then,
        tokens_level + passed_s * tpm / 60 AS tokens_then
    FROM known
), now AS (
    SELECT *,
        least(requests_room, requests_then) AS requests_left,
        least(tokens_room, tokens_then) AS tokens_left
    FROM filled
)"""  # noqa: S608 - put together from our own text only, as those that follow


_FILLED = _filled("WHERE endpoint = $1 AND model = $2 FOR UPDATE")

_LATELY = """
    WHERE at > clock_timestamp() - interval '1 hour' OR cool_until > clock_timestamp()
    ORDER BY at DESC LIMIT 200
"""

# What is left of configured requests says nothing: a tenth of a second's worth is kept at most.
ROWS_NOW = f"""{_filled(_LATELY)}
SELECT endpoint, model, rpm, tpm, tokens_left,
    requests_heard_at IS NULL AS has_set_requests, tokens_heard_at IS NULL AS has_set_tokens,
    CASE WHEN requests_heard_at IS NOT NULL THEN requests_left END AS requests_left,
    coalesce(greatest(0, extract(epoch FROM cool_until - now)), 0)::float8 AS cooling_s
FROM now
"""  # noqa: S608


def row_of(found: Mapping[str, Any]) -> SharedRow:
    """A row of `ROWS_NOW` as people may see it."""
    units: dict[_Unit, float | None] = {"requests": found["rpm"], "tokens": found["tpm"]}
    limits = []
    for unit, per_minute in units.items():
        if per_minute is not None:
            source: LimitSource = "configured" if found[f"has_set_{unit}"] else "told"
            limits.append(LimitReading(unit, per_minute, found[f"{unit}_left"], source))
    return SharedRow(address(found["endpoint"]), found["model"], tuple(limits), found["cooling_s"])


_RESERVE = f"""{_FILLED}, asked AS (
    SELECT *, greatest(
        0,
        extract(epoch FROM cool_until - now)::float8,
        CASE WHEN requests_left < 1 - 1e-9 THEN (1 - requests_left) * 60 / rpm END,
        CASE WHEN tokens_left < least($4::float8, tokens_room) - 1e-6
            THEN (least($4, tokens_room) - tokens_left) * 60 / tpm END
    ) AS wait_s
    FROM now
), answered AS (
    SELECT *, CASE WHEN wait_s > 0 THEN 0 ELSE greatest(1, least(
        $3::int,
        floor(requests_left + 1e-9),
        CASE WHEN $4 > 0 THEN floor(tokens_left / $4 + 1e-9) END,
        CASE WHEN now < cool_until + interval '0.5 s' THEN 1 END
    )) END AS granted
    FROM asked
)
UPDATE shared_limits AS row SET
    at = a.now,
    requests_level = coalesce(a.requests_left - a.granted, 0),
    tokens_level = coalesce(a.tokens_left - a.granted * $4, 0)
FROM answered AS a
WHERE row.endpoint = a.endpoint AND row.model = a.model
RETURNING a.granted, a.wait_s
"""  # noqa: S608

_SETTLE = f"""{_FILLED}
UPDATE shared_limits AS row SET
    at = n.now,
    requests_level = coalesce(least(n.requests_room, n.requests_left + $3::float8), 0),
    tokens_level = coalesce(least(n.tokens_room, n.tokens_left + $4::float8), 0)
FROM now AS n
WHERE row.endpoint = n.endpoint AND row.model = n.model
RETURNING 1
"""  # noqa: S608

_COOL = """
UPDATE shared_limits
SET cool_until = greatest(cool_until, clock_timestamp() + make_interval(secs => $3::float8))
WHERE endpoint = $1 AND model = $2
RETURNING 1
"""


def _learn(unit: str) -> str:
    """A configured limit stays; what remains can only be less than what we count ourselves."""
    other = "tokens" if unit == "requests" else "requests"
    return f"""{_FILLED}
UPDATE shared_limits AS row SET
    at = n.now,
    {unit}_per_minute = CASE WHEN n.is_configured THEN n.{unit}_per_minute ELSE $3::float8 END,
    {unit}_heard_at = CASE WHEN n.is_configured THEN NULL ELSE n.now END,
    {unit}_level = CASE
        WHEN n.is_configured THEN n.{unit}_left
        ELSE least($3, coalesce(n.{unit}_left, $3), coalesce($4::float8, $3)) END,
    {other}_level = coalesce(n.{other}_left, 0)
FROM (
    SELECT *, {unit}_per_minute IS NOT NULL AND {unit}_heard_at IS NULL AS is_configured FROM now
) AS n
WHERE row.endpoint = n.endpoint AND row.model = n.model
RETURNING 1
"""  # noqa: S608


_LEARN: dict[_Unit, str] = {"requests": _learn("requests"), "tokens": _learn("tokens")}
