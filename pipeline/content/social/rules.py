"""The networks' limits, read from the dated data file. How they count is `count`'s."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("limits.toml")


@dataclass(frozen=True, slots=True)
class Platform:
    """One network's rule; see the data file for what the fields mean."""

    name: str
    title: str
    limit: int
    counting: str
    url_length: int
    note: str
    max_bytes: int | None = None
    max_hashtags: int | None = None
    max_links: int | None = None
    clickable: bool = True
    series: bool = False


@cache
def platforms() -> dict[str, Platform]:
    """Every network by name, in the order people see them."""
    table = _read_table()["platforms"]
    return {name: Platform(name=name, **fields) for name, fields in table.items()}


@cache
def checked_on() -> str:
    """The day the limits were last compared with the networks' own pages, ISO 8601."""
    return str(_read_table()["checked_on"])


def limits() -> dict[str, dict[str, object]]:
    """What the social promoter is told: network → limit and how it is counted."""
    return {p.name: {"limit": p.limit, "counting": p.note} for p in platforms().values()}


def _read_table() -> dict[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))
