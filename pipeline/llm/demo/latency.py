"""Decide how long an answer takes: drawn from (seed, agent, call number), never from the clock.

Two runs with the same seed therefore have the same latencies, whatever their mode. Pure: the
server carries the schedule out.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.models import Speed

WRITE_EVERY_S = 0.020  # at high rates several tokens share one write
FAST_FACTOR = 10.0
FIRST_TOKEN_S = (0.3, 1.2)
TOKENS_PER_S = (60.0, 90.0)

_TOKEN = re.compile(r"\s*\S{1,6}|\s+")


@dataclass(frozen=True, slots=True)
class Pace:
    """When the first token comes and how many follow per second; None: all at once."""

    first_token_s: float
    tokens_per_s: float | None

    def due_s(self, tokens: int) -> float:
        """When the token after the first `tokens` is due, in seconds since the request."""
        return self.first_token_s + (tokens / self.tokens_per_s if self.tokens_per_s else 0.0)


INSTANT = Pace(0.0, None)


def draw_pace(speed: Speed, seed: int, agent: str, call: int) -> Pace:
    """The pace of an agent's `call`th call (from 1) under `speed`."""
    if speed == "instant":
        return INSTANT
    rng = stable_random(seed, agent, call, "latency")
    first_s, rate = rng.uniform(*FIRST_TOKEN_S), rng.uniform(*TOKENS_PER_S)
    factor = FAST_FACTOR if speed == "fast" else 1.0
    return Pace(first_s / factor, rate * factor)


def schedule(tokens: list[str], pace: Pace, *, sent: int = 0) -> Iterator[tuple[float, list[str]]]:
    """Groups of tokens, each with the second (since the request) at which it is due.

    `sent` tokens of the same answer went before.
    """
    rate = pace.tokens_per_s
    size = max(1, round(rate * WRITE_EVERY_S)) if rate else max(1, len(tokens))
    for start in range(0, len(tokens), size):
        yield pace.due_s(sent + start), tokens[start : start + size]


def tokenize(text: str) -> list[str]:
    """Split into pieces of about a token's size; joined they are `text` again."""
    return _TOKEN.findall(text)


def stable_random(*parts: object) -> random.Random:
    """A generator that is the same for the same parts, in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "replace")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))
