"""Read JSON that others wrote: models, providers, tools. Pure.

Whatever is wrong with it is one exception, `ValueError`: not JSON, or nested deeper than can be
worked on. What can be read is read: bytes that are no UTF-8 are replaced, as the rules of event
streams say, raw control characters may stand inside strings, and a byte order mark before it. A
number too long to be one is infinite.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 200  # far beyond any schema of ours, far below where Python gives up
_DIGITS_MAX = 4_000  # Python refuses to make a number of more than 4,300


def read_json(data: str | bytes) -> Any:
    """The value in `data`. Raises `ValueError`, and nothing else."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        value = json.loads(text.removeprefix("\ufeff"), strict=False, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _is_too_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS_MAX else float(digits)


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
