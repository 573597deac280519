"""What a site's robots.txt lets this reader read, remembered for a while (RFC 9309)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from yarl import URL

from pipeline.tools.base import ToolError
from pipeline.tools.web.opener import AGENT

if TYPE_CHECKING:
    from protego import Protego

KEPT_S = 3_600.0
KEPT_SITES = 500
MAX_BYTES = 500 * 1024  # more of a robots.txt is not read, as the RFC allows

# The status a site answered with, and the text.
Ask = Callable[[URL], Awaitable[tuple[int, str]]]


class RobotsRules:
    """The rules of the sites read lately. `ask` gets one robots.txt, redirects followed."""

    def __init__(self, ask: Ask, now: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._now = now
        self._kept: dict[URL, tuple[float, Protego | None]] = {}
        self._asking: dict[URL, asyncio.Future[Protego | None]] = {}

    async def check(self, url: URL) -> None:
        """Raises `ToolError` when the site wants `url` left alone or does not say."""
        rules = await self._rules_of(url.origin())
        if rules is not None and not rules.can_fetch(str(url), AGENT):
            raise ToolError(
                "The site asks programs not to read this page (robots.txt), so it was not read.",
                "Use another source.",
            )

    async def _rules_of(self, site: URL) -> Protego | None:
        """The site's rules; who comes while they are asked for waits for the same answer, or refusal."""
        while True:
            kept = self._kept.get(site)
            if kept is not None and self._now() - kept[0] <= KEPT_S:
                return kept[1]
            asking = self._asking.get(site)
            if asking is None:
                return await self._ask_for_all(site)
            await asyncio.wait([asking])
            if not asking.cancelled():
                return asking.result()
            # whoever asked was stopped: the first of those who waited asks now

    async def _ask_for_all(self, site: URL) -> Protego | None:
        asking = self._asking[site] = asyncio.get_running_loop().create_future()
        try:
            rules = await self._rules(site)
        except ToolError as error:
            asking.set_exception(error)
            asking.exception()  # nobody else may have waited for it
            raise
        else:
            asking.set_result(rules)
            self._keep(site, rules)
            return rules
        finally:
            asking.cancel()  # does nothing once it is answered
            del self._asking[site]

    def _keep(self, site: URL, rules: Protego | None) -> None:
        self._kept.pop(site, None)
        self._kept[site] = self._now(), rules
        while len(self._kept) > KEPT_SITES:
            del self._kept[next(iter(self._kept))]

    async def _rules(self, site: URL) -> Protego | None:
        """`None` where everything may be read. What could not be asked is asked again next time."""
        from protego import Protego

        status, text = await self._ask(site / "robots.txt")
        if 400 <= status < 500 and status != 429:
            return None  # there are no rules
        if status != 200:
            raise ToolError(
                "The site does not say now what programs may read there (robots.txt), so nothing was read.",
                "Try again later, or use another source.",
            )
        return Protego.parse(text)
