"""One run's view of the web: what was asked once is not asked again, and only known pages are read.

An agent reads the addresses a search of this run returned and those the person gave, no others: what a
page says cannot send it anywhere.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urldefrag

from pipeline.tools.base import Hit, PageReader, SearchProvider, ToolError, WebPage


class RunWeb:
    """A search provider and a page reader for one run, with its memory. Failures are not kept.

    Either may be missing; the tools that need it are not offered then.
    """

    def __init__(
        self,
        search: SearchProvider | None,
        pages: PageReader | None,
        given: Iterable[str],
        topic: str,
    ) -> None:
        self._search = search
        self._pages = pages
        self._hits: dict[tuple[str, int, str], list[Hit]] = {}
        self._read: dict[str, WebPage] = {}
        self._turns: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known = {_key(url): url for url in given}
        self.queries = [topic]  # what the run is about: the topic, and what was searched for

    @property
    def name(self) -> str:
        return self._search.name if self._search else ""

    async def search(self, query: str, *, limit: int, language: str) -> list[Hit]:
        """As the provider's. Two that ask the same at once wait for one answer."""
        if self._search is None:
            raise ToolError("Web search is not configured.", "Read the given pages instead.")
        asked = (" ".join(query.split()), limit, language)
        async with self._turns[asked]:
            if asked not in self._hits:
                self.queries.append(asked[0])
                found = await self._search.search(asked[0], limit=limit, language=language)
                self._hits[asked] = found
                for hit in found:
                    self._known.setdefault(_key(hit.url), hit.url)
        return self._hits[asked]

    async def read(self, url: str) -> WebPage:
        """The page at a known address. Raises `ToolError` for any other."""
        key = _key(url)
        if self._pages is None:
            raise ToolError("Pages cannot be read here.", "Answer from what the search returned.")
        if key not in self._known:
            raise ToolError(
                f"`{url[:200]}` is no address that a search of this run returned.",
                "Use `url` of a search result, letter for letter.",
            )
        async with self._turns[key]:
            if key not in self._read:
                self._read[key] = await self._pages.read(self._known[key])
        return self._read[key]

    async def aclose(self) -> None:
        """Nothing: provider and reader belong to all runs."""


def _key(url: str) -> str:
    return urldefrag(url.strip())[0]
