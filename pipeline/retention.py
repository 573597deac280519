"""How long runs are kept: ages as people write them, and removing what is older.

Nothing is removed unless asked for (`python -m pipeline purge`).
"""

from __future__ import annotations

import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import URL

from pipeline.errors import SpecError
from pipeline.store import Store

_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_AGE = re.compile(r"(\d{1,5})([hdw])", re.ASCII)


def age(text: str) -> timedelta:
    """`30d`, `12h` or `2w`. Raises `SpecError` for anything else, and for nothing at all."""
    found = _AGE.fullmatch(text.strip().lower())
    if found is None or not int(found[1]):
        raise SpecError(
            f"`{text}` is not an age.", "Write a number and h, d or w, such as 12h, 30d or 2w."
        )
    return int(found[1]) * _UNITS[found[2]]


async def count_older(url: URL, than: timedelta) -> int:
    """How many runs, of all owners, ended longer ago than that."""
    async with aclosing(await Store.open(url)) as store:
        return await store.ended_before(datetime.now(UTC) - than)


async def remove_older(url: URL, than: timedelta) -> int:
    """Remove them and everything of them; how many there were. Runs that have not ended stay."""
    async with aclosing(await Store.open(url)) as store:
        return await store.purge(datetime.now(UTC) - than)
