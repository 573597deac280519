"""Read the limits a provider tells: in headers of any answer, in the words of a 429.

Pure. Spellings differ; what they have in common is a quantity (limit, remaining, reset), mostly
a unit (requests, tokens) and sometimes a period. Nothing found is an empty tuple, never a guess.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import replace

from pipeline.llm.retry import read_seconds
from pipeline.models import LimitUnit, ToldLimit

_PERIOD_S = {"second": 1.0, "minute": 60.0, "min": 60.0, "hour": 3_600.0, "day": 86_400.0}
_LETTER_S = {"S": 1.0, "M": 60.0, "H": 3_600.0, "D": 86_400.0}
_QUANTITIES = ("limit", "remaining", "reset")
_PERIOD_WORD = re.compile(r"second|minute|hour|day")
# OpenAI: "… on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s."
_BODY_UNIT = re.compile(r"\b(requests?|tokens?)\s+per\s+(second|minute|min|hour|day)\b", re.I)
_BODY_SHORT = re.compile(r"\b([RT])P([SMHD])\b")
_BODY_LIMIT = re.compile(r"\blimit[:\s]+(?:is\s+)?([\d,]+)", re.I)
_BODY_USED = re.compile(r"\b(?:used|current)[:\s]+([\d,]+)", re.I)
_BODY_WAIT = re.compile(
    r"\b(?:try|retry)(?:ing)?(?:\s+again)?\s+(?:in|after)\s+"
    r"((?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|milliseconds?|seconds?|minutes?|hours?)\b\s*)+|"
    r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+)",
    re.I,
)
_BODY_IN_FLIGHT = re.compile(r"\b(concurren\w+|simultaneous\w*|parallel)\b", re.I)


def limits_from_headers(
    headers: Mapping[str, str], wall_s: float | None = None
) -> tuple[ToldLimit, ...]:
    """What the headers of an answer say, one entry per unit and period. Any case, any order."""
    now_s = time.time() if wall_s is None else wall_s
    found: dict[tuple[LimitUnit, float | None], ToldLimit] = {}
    for raw_name, value in headers.items():
        name = raw_name.lower()
        if "rate" not in name:
            continue
        _, is_limit, name = name.replace("rate-limit-", "ratelimit-").partition("ratelimit-")
        if not is_limit:
            continue
        quantity = next((q for q in _QUANTITIES if q in name), None)
        unit = _unit(name)
        if quantity is None or unit is None:
            continue
        amount = read_seconds(value, now_s) if quantity == "reset" else _number(value)
        if amount is None or amount == math.inf:  # hundreds of digits
            continue
        period = _PERIOD_WORD.search(name)
        period_s = _PERIOD_S[period.group()] if period else None
        told = found.get((unit, period_s), ToldLimit(unit, period_s=period_s))
        if quantity == "limit":
            told = replace(told, limit=amount)
        elif quantity == "remaining":
            told = replace(told, remaining=amount)
        else:
            told = replace(told, reset_s=amount)
        found[unit, period_s] = told
    return tuple(
        told for told in found.values() if told.limit is not None or told.remaining is not None
    )


def limits_from_words(words: str) -> tuple[ToldLimit, ...]:
    """What the message of a 429 says."""
    unit_period = _body_unit(words)
    limit = _first_number(_BODY_LIMIT, words)
    if unit_period is None:
        if _BODY_IN_FLIGHT.search(words):
            return (ToldLimit("in_flight", limit),)
        return ()
    if not limit or limit == math.inf:
        return ()
    unit, period_s = unit_period
    used = _first_number(_BODY_USED, words)
    remaining = None if used is None else max(0.0, limit - used)
    # "try again in" is until there is room for one, not until all is back: no reset
    return (ToldLimit(unit, limit, remaining, None, period_s),)


def wait_from_words(words: str) -> float | None:
    """Seconds, from "try again in 1m3.5s" or "retry after 20 seconds"; None when not said."""
    match = _BODY_WAIT.search(words)
    if match is None:
        return None
    short = re.sub(
        r"(?i)\s*(milliseconds?|seconds?|minutes?|hours?)",
        lambda m: "ms" if m[1][:2].lower() == "mi" and m[1][2].lower() == "l" else m[1][0].lower(),
        match[1],
    )
    return read_seconds(re.sub(r"\s+", "", short).lower(), 0.0)


def _unit(name: str) -> LimitUnit | None:
    if "token" in name:
        # a share of the tokens (input-tokens, output-tokens) is not what a call is counted by here
        return None if "put-tokens" in name else "tokens"
    if "request" in name or name in _QUANTITIES:
        return "requests"
    return None


def _number(value: str) -> float | None:
    match = re.match(r"\s*(\d+(?:\.\d+)?)", value)
    return float(match[1]) if match else None


def _body_unit(words: str) -> tuple[LimitUnit, float] | None:
    if match := _BODY_UNIT.search(words):
        unit: LimitUnit = "requests" if match[1].lower().startswith("request") else "tokens"
        return unit, _PERIOD_S[match[2].lower()]
    if match := _BODY_SHORT.search(words):
        return ("requests" if match[1] == "R" else "tokens"), _LETTER_S[match[2]]
    return None


def _first_number(pattern: re.Pattern[str], words: str) -> float | None:
    match = pattern.search(words)
    return float(match[1].replace(",", "")) if match and match[1].strip(",") else None
