"""A site is asked for its rules once, also when several pages of it are read at once."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from pipeline.tools.base import ToolError
from pipeline.tools.web.robots import RobotsRules

PAGES = [URL(f"http://site.example/{n}") for n in range(6)]


class Site:
    """Answers when it is let."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.is_asked = asyncio.Event()

    async def ask(self, url: URL) -> tuple[int, str]:
        self.asked += 1
        self.is_asked.set()
        await self.may_answer.wait()
        return self.status, "User-agent: *\nDisallow: /5\n"


async def test_pages_read_at_once_share_one_answer() -> None:
    site = Site()
    rules = RobotsRules(site.ask)
    checks = [asyncio.create_task(rules.check(page)) for page in PAGES]

    await site.is_asked.wait()
    site.may_answer.set()
    told = await asyncio.gather(*checks, return_exceptions=True)

    assert site.asked == 1
    assert told[:5] == [None] * 5
    assert isinstance(told[5], ToolError)


async def test_pages_read_at_once_share_a_refusal_and_the_next_one_asks_again() -> None:
    site = Site(status=503)
    rules = RobotsRules(site.ask)
    checks = [asyncio.create_task(rules.check(page)) for page in PAGES]
    await site.is_asked.wait()
    site.may_answer.set()
    told = await asyncio.gather(*checks, return_exceptions=True)

    site.status = 200
    await rules.check(PAGES[0])

    assert all(isinstance(error, ToolError) for error in told)
    assert site.asked == 2


async def test_when_the_one_who_asks_is_stopped_another_asks() -> None:
    site = Site()
    rules = RobotsRules(site.ask)
    first, *others = [asyncio.create_task(rules.check(page)) for page in PAGES[:3]]
    await site.is_asked.wait()

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    site.may_answer.set()
    await asyncio.gather(*others)

    assert site.asked == 2


async def test_one_who_waits_and_is_stopped_stops_nobody_else() -> None:
    site = Site()
    rules = RobotsRules(site.ask)
    first, waiting = [asyncio.create_task(rules.check(page)) for page in PAGES[:2]]
    await site.is_asked.wait()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    site.may_answer.set()
    await first

    assert site.asked == 1
