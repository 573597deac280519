"""What a site's robots.txt lets this reader read, remembered for a while (RFC 9309)."""

from __future__ import annotations

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

    async def check(self, url: URL) -> None:
        """Raises `ToolError` when the site wants `url` left alone or does not say."""
        site = url.origin()
        kept = self._kept.get(site)
        if kept is None or self._now() - kept[0] > KEPT_S:
            kept = self._now(), await self._rules(site)
            self._kept.pop(site, None)
            self._kept[site] = kept
            while len(self._kept) > KEPT_SITES:
                del self._kept[next(iter(self._kept))]
        if kept[1] is not None and not kept[1].can_fetch(str(url), AGENT):
            raise ToolError(
                "The site asks programs not to read this page (robots.txt), so it was not read.",
                "Use another source.",
            )

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
