"""The same pipeline in Gantry, in plain `asyncio.gather` and in other frameworks.

Each module has `run(config, body)`: open everything, carry `body(adapter)` out in the event loop
the adapter works in, close everything, return what `body` returned. A module imports its
framework only when it is used, because the frameworks live in environments of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from benchmarks.workload import Script

MAX_CONNECTIONS = 2_000  # for every adapter, kept alive as well: no pool limits a measurement
KEY = "bench"

ADAPTERS = ("plain", "gantry", "langgraph", "pydantic_ai")


@dataclass(frozen=True, slots=True)
class Config:
    """`cap`: calls in flight at once, 0 for no limit. `uvloop` is plain gather's (Gantry decides
    for itself); the rest only Gantry knows.
    """

    base_url: str
    cap: int = 0
    uvloop: bool = False
    mode: str = "phases"
    options: tuple[str, ...] = ()  # names of run options that are on
    idle_timeout_s: float = 30.0
    folder: str = ""  # where the store's files are; empty: the system's temporary folder


class NotAvailable(Exception):
    """This version of the adapter cannot do what the scenario asks."""


class Adapter(Protocol):
    async def pipeline(self, script: Script) -> None:
        """One run of the ten agents. Raises when it did not come to its end."""

    async def fan(self, script: Script, count: int) -> int:
        """`count` independent agents at once; how many of them succeeded."""


Body = Callable[[Adapter], Awaitable[dict[str, Any]]]


def run(name: str, config: Config, body: Body) -> dict[str, Any]:
    """Carry `body` out on the adapter called `name`."""
    if name not in ADAPTERS:
        raise ValueError(f"There is no adapter {name!r}; known: {', '.join(ADAPTERS)}.")
    result: dict[str, Any] = import_module(f"benchmarks.adapters.{name}").run(config, body)
    return result
