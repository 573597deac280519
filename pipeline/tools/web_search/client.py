"""Ask a search service, within a time and a size, and say what to do when it does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar

from pipeline.foreign_json import read_json
from pipeline.tools.base import Hit, ToolError
from pipeline.tools.web_search.forms import FORMS, Ask, Form, hits, language_code

TOTAL_S = 10.0  # of one request
ANSWER_BYTES = 2_000_000
ATTEMPTS = 3  # only after "too many requests": free plans allow one a second
WAIT_MAX_S = 5.0  # a longer wait is for a person to decide
_KEY_STATUS = (401, 403)
_SPENT_STATUS = (402, 432, 433)  # Tavily has numbers of its own for a plan that is used up


class SearchService:
    """A `SearchProvider` over one of `FORMS`, with one session for all runs, opened when first used.

    `base` is the operator's word and may be a private address: one's own SearXNG, or a proxy before a
    service. What the service finds is never trusted so; the page reader judges it.
    """

    def __init__(self, name: str, *, base: str = "", key: str = "") -> None:
        self._form: Form = FORMS[name]
        self._base = (base or self._form.base).rstrip("/")
        self._key = key
        self._session: ClientSession | None = None

    @property
    def name(self) -> str:
        return self._form.title

    async def search(self, query: str, *, limit: int, language: str) -> list[Hit]:
        """Raises `ToolError` when the service cannot be asked or answers with something else."""
        ask = self._form.ask(query, limit, language_code(language), self._key)
        for attempt in range(1, ATTEMPTS + 1):
            status, wait_s, body = await self._request(ask)
            if status != 429 or attempt == ATTEMPTS or wait_s > WAIT_MAX_S:
                break
            await asyncio.sleep(wait_s)
        self._check(status)
        try:
            answer = read_json(body)
            if not isinstance(answer, dict):
                raise ValueError("not an object")
            return hits(self._form, answer, limit)
        except ValueError as error:
            raise ToolError(
                f"{self.name} answers in another form than its documentation says.",
                "Check GANTRY_SEARCH and GANTRY_SEARCH_URL; for SearXNG, `json` must be among its "
                "`search.formats`.",
            ) from error

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(self, ask: Ask) -> tuple[int, float, str]:
        """Status, seconds to wait where the service says so, and the body."""
        method = "GET" if ask.body is None else "POST"
        try:
            async with self._open().request(
                method,
                f"{self._base}{ask.path}",
                params=ask.params,
                json=ask.body,
                headers=ask.headers,
                allow_redirects=False,  # the key is for this address alone
            ) as response:
                return response.status, _wait_s(response), await self._text(response)
        except (ClientError, OSError, ValueError, TimeoutError) as error:
            # not `from error`: it may quote the request with its key
            raise ToolError(
                f"{self.name} does not answer ({type(error).__name__}).",
                "Try again later, or check GANTRY_SEARCH_URL and the network.",
            ) from None

    async def _text(self, response: ClientResponse) -> str:
        body = bytearray()
        async for piece in response.content.iter_chunked(65_536):
            body += piece
            if len(body) > ANSWER_BYTES:
                raise ValueError("the answer is too large")
        return body.decode("utf-8", errors="replace")

    def _check(self, status: int) -> None:
        if status == 200:
            return
        if status in _KEY_STATUS:
            key_hint = "Check GANTRY_SEARCH_KEY."
            own_hint = "Allow `json` among `search.formats` in the settings of your SearXNG."
            hint = key_hint if self._form.needs_key else own_hint
            raise ToolError(f"{self.name} refuses the request (status {status}).", hint)
        if status in _SPENT_STATUS:
            raise ToolError(
                f"The plan at {self.name} is used up.", "Renew it, or use another service."
            )
        if status == 429:
            raise ToolError(
                f"{self.name} gets too many requests.", "Wait a minute, or use a larger plan."
            )
        raise ToolError(f"{self.name} answers with status {status}.", "Try again later.")

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                timeout=ClientTimeout(total=TOTAL_S),
                headers={"Accept": "application/json", "User-Agent": "Gantry/1.0"},
            )
        return self._session


def _wait_s(response: ClientResponse) -> float:
    told: Any = response.headers.get("Retry-After", "")
    try:
        return max(0.1, float(told))
    except ValueError:  # a date, or nothing
        return 1.1
