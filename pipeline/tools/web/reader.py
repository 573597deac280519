"""`GuardedReader`: read one public page within a deadline, by the site's rules, as Markdown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from pipeline.tools.base import ToolError, WebPage
from pipeline.tools.web.addresses import readable_url
from pipeline.tools.web.body import decoded, limited_body
from pipeline.tools.web.extract import page_from_html, page_from_text, took_too_long
from pipeline.tools.web.opener import (
    Lookup,
    OpenSocket,
    guarded_session,
    plain_socket,
    system_lookup,
)
from pipeline.tools.web.robots import MAX_BYTES as ROBOTS_MAX_BYTES
from pipeline.tools.web.robots import RobotsRules

PAGE_MAX_BYTES = 2 * 1024 * 1024  # unpacked
FETCH_S = 15.0  # robots.txt, redirects and body together
EXTRACTED_AT_ONCE = 2  # pages whose HTML is taken apart, each in a process of its own
REDIRECTS_MAX = 5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXT = frozenset({"text/plain", "text/markdown", "text/x-markdown"})
_ACCEPT = ", ".join(sorted(_HTML | _TEXT))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came at the end of all redirects."""

    url: URL
    status: int
    content_type: str
    charset: str | None
    body: bytes
    has_more: bool


class GuardedReader:
    """Reads pages for all runs of a process. Belongs to one loop; whoever makes it closes it.

    The arguments are for the laboratory of the tests: no setting reaches them.
    """

    def __init__(
        self, *, lookup: Lookup = system_lookup, open_socket: OpenSocket = plain_socket
    ) -> None:
        self._open = partial(guarded_session, lookup, open_socket)
        self._session: aiohttp.ClientSession | None = None
        self._robots = RobotsRules(self._robots_text)
        self._extracting = asyncio.Semaphore(EXTRACTED_AT_ONCE)

    async def read(self, url: str) -> WebPage:
        """The page at `url`, which may not be public: then, as for whatever fails, `ToolError`."""
        target = readable_url(url)
        try:
            async with asyncio.timeout(FETCH_S):
                answer = await self._get(target, PAGE_MAX_BYTES, self._robots.check, _check_head)
        except TimeoutError as error:
            raise took_too_long(FETCH_S) from error
        if answer.has_more:
            raise ToolError(
                f"The page is larger than {PAGE_MAX_BYTES // 1024**2} MB, so it was not read.",
                "Use a shorter page.",
            )
        text = decoded(answer.body, answer.charset)
        if answer.content_type not in _HTML:
            return page_from_text(text, str(answer.url))
        async with self._extracting:
            return await page_from_html(text, str(answer.url))

    async def aclose(self) -> None:
        """End every connection."""
        if self._session is not None:
            await self._session.close()

    async def _robots_text(self, url: URL) -> tuple[int, str]:
        answer = await self._get(url, ROBOTS_MAX_BYTES)
        return answer.status, answer.body.decode("utf-8", "replace").removeprefix("\ufeff")

    async def _get(
        self,
        url: URL,
        max_bytes: int,
        check_url: Callable[[URL], Awaitable[None]] | None = None,
        check_head: Callable[[aiohttp.ClientResponse], None] | None = None,
    ) -> _Answer:
        """Follow redirects by hand, so that every one of them is judged like a new address."""
        for _ in range(REDIRECTS_MAX + 1):
            if check_url is not None:
                await check_url(url)
            step = await self._step(url, max_bytes, check_head)
            if isinstance(step, _Answer):
                return step
            url = step
        raise ToolError(
            f"The address was passed on more than {REDIRECTS_MAX} times.", "Use another page."
        )

    async def _step(
        self,
        url: URL,
        max_bytes: int,
        check_head: Callable[[aiohttp.ClientResponse], None] | None,
    ) -> _Answer | URL:
        """One request: the answer, or where it says to go on."""
        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.get(
                url, allow_redirects=False, headers={"Accept": _ACCEPT}
            ) as response:
                location = response.headers.get("Location")
                if response.status in _REDIRECTS and location is not None:
                    return readable_url(_joined(url, location))
                if check_head is not None:
                    check_head(response)
                body, has_more = await limited_body(response, max_bytes)
                return _Answer(
                    url, response.status, _type(response), response.charset, body, has_more
                )
        except aiohttp.ClientSSLError as error:
            raise ToolError(
                "The site's certificate cannot be trusted, so the page was not read.",
                "Use another source.",
            ) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ToolError(
                "The site did not answer, or broke off.", "Try again later, or use another source."
            ) from error


def _check_head(response: aiohttp.ClientResponse) -> None:
    """Raises `ToolError` for an answer whose body is not worth taking."""
    status = response.status
    if status in (404, 410):
        raise ToolError("There is no page at this address (any more).", "Use another address.")
    if status in (401, 402, 403, 407, 451):
        raise ToolError("The site does not let this page be read freely.", "Use another source.")
    if status == 429:
        raise ToolError("The site gets too many requests.", "Use another source for now.")
    if status >= 500:
        raise ToolError(f"The site failed (status {status}).", "Try again later.")
    if status != 200:
        raise ToolError(f"The site answered with status {status}.", "Use another address.")
    kind = _type(response)
    if kind == "application/pdf":
        raise ToolError(
            "This address is a PDF, and only web pages and plain text are read.",
            "A person can add the PDF as a document of their own. Use a web page.",
        )
    if kind not in _HTML | _TEXT:
        raise ToolError(
            "This address is not a web page or plain text.", "Use the address of an article."
        )


def _type(response: aiohttp.ClientResponse) -> str:
    """The content type; a server that names none is taken to send a web page."""
    return response.content_type if "Content-Type" in response.headers else "text/html"


def _joined(url: URL, location: str) -> str:
    try:
        return urljoin(str(url), location)
    except ValueError as error:
        raise ToolError(
            "The address is passed on to one that is none.", "Use another page."
        ) from error
