"""Send one request and read its answer in blocks of bytes, with as little between as possible.

Two wires. A client made by `make_client` has a *direct* one: the SDK decides address and headers,
once, and every request goes over an aiohttp session of our own, which costs a third of the CPU
of the SDK's way. Any other client, and one behind a proxy, takes the *SDK's* way: it may carry
hooks, authentication or a transport we know nothing of.

What an exception means is `transport.py`'s, what the bytes mean `stream.py`'s.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import httpx2
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient

from pipeline.base_url import OPENAI_URL, address
from pipeline.errors import NotAnEndpoint
from pipeline.models import Endpoint

CONNECT_TIMEOUT_S = 4.0  # two packets may get lost on the way
POOL_TIMEOUT_S = 10.0  # a free connection, name lookup included
READ_TIMEOUT_S = 600.0  # far beyond our own deadlines, which decide
MAX_CONNECTIONS = 1_000  # far above any limit on calls
ERROR_BODY_MAX_BYTES = 65_536  # nobody explains an error at greater length
ERROR_BODY_S = 5.0
HEADER_MAX_BYTES, HEADERS_MAX = 65_536, 1_000  # gateways and policies add long ones, and many


class Refused(Exception):
    """The endpoint answered with a status that is not 2xx. `body` is at most 64 KiB of it."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


class Answer(Protocol):
    """An answer with status 2xx whose body is on its way."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def is_over(self) -> bool:
        """True when nothing is left to read or to close."""

    async def next_block(self) -> bytes:
        """What has come since the last call, at least one byte; b"" at the body's end."""

    async def aclose(self) -> None:
        """Let go of the connection: close it, or hand it back when the body was read to its end."""


def make_client(endpoint: Endpoint, *, max_connections: int = MAX_CONNECTIONS) -> AsyncOpenAI:
    """A client without retries of its own, its pool far above any limit we set.

    Call it inside the loop that will use the client, and close the client there. Raises
    `NotAnEndpoint` for an address that no request can be made of.
    """
    # said outright: without an address the SDK takes OPENAI_BASE_URL, and a key that was typed for
    # OpenAI would go there
    base_url = endpoint.base_url or OPENAI_URL
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=POOL_TIMEOUT_S)
    limits = httpx2.Limits(
        max_connections=max_connections, max_keepalive_connections=max_connections
    )
    try:
        client = WiredOpenAI(
            api_key=endpoint.api_key,
            base_url=httpx2.URL(base_url),
            max_retries=0,
            http_client=DefaultAioHttpClient(
                limits=limits, timeout=timeout, verify=_trusted_roots()
            ),
        )
        client.has_wire = True
        return client
    except (httpx2.InvalidURL, ValueError) as exc:
        raise NotAnEndpoint(
            f"{address(base_url)} cannot be asked.",
            "Check the base URL: http:// or https://, a host, and usually /v1 at the end. A proxy "
            "set in the environment must be an address too.",
        ) from exc


@functools.cache
def _trusted_roots() -> ssl.SSLContext:
    """The SDK's own choice of certificates, read once: it takes tens of milliseconds, on the loop."""
    return httpx2.create_ssl_context()


class WiredOpenAI(AsyncOpenAI):
    """An `AsyncOpenAI` with a direct wire, which is opened when first used and closed with it.

    A copy (`with_options`) has none: it may have other headers, and nobody closes copies.
    """

    has_wire = False
    _wire: DirectWire | None = None

    @property
    def user_agent(self) -> str:
        """The SDK's, which names the class: a subclass is nobody's business."""
        return super().user_agent.replace(type(self).__name__, AsyncOpenAI.__name__)

    async def direct_wire(self) -> DirectWire | None:
        """None where a proxy stands between: the SDK knows how to ask one."""
        if self._wire is None and self.has_wire and not _is_behind_proxy(str(self.base_url)):
            # asks the platform about itself, which may block; remembered by the SDK
            await asyncio.to_thread(self.platform_headers)
            if self._wire is None and self.has_wire:  # else it was closed meanwhile
                headers = {**self.default_headers, **self.auth_headers}
                self._wire = DirectWire(str(self.base_url), headers)
        return self._wire

    async def close(self) -> None:
        wire, self._wire, self.has_wire = self._wire, None, False
        if wire is not None:
            await wire.aclose()
        await super().close()


async def post(client: AsyncOpenAI, path: str, content: bytes) -> Answer:
    """Send `content` (JSON) to `path` below the client's base URL and return the answer.

    Raises `Refused`, and what `transport.transport_errors` names.
    """
    wire = await client.direct_wire() if isinstance(client, WiredOpenAI) else None
    if wire is not None:
        return await wire.post(path, content)
    stream = await client.post(
        path,
        cast_to=bytes,
        content=content,
        options={"max_retries": 0},
        stream=True,
        stream_cls=RawStream,
    )
    return _SdkAnswer(stream.response)


class DirectWire:
    """One aiohttp session to one endpoint, with the headers the SDK would send.

    Raises `ValueError` for headers (a key) that cannot be sent.
    """

    def __init__(self, base_url: str, headers: Mapping[str, object]) -> None:
        self._base_url = base_url.rstrip("/")
        # the SDK marks headers it leaves out with an object
        kept = {name: value for name, value in headers.items() if isinstance(value, str)}
        for value in kept.values():
            value.encode("ascii")  # aiohttp would send the key's curly quotes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=_trusted_roots()),
            headers=kept,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=POOL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=HEADER_MAX_BYTES,
            max_field_size=HEADER_MAX_BYTES,
            max_headers=HEADERS_MAX,
            trace_configs=[_noting_reuse()],
        )

    async def post(self, path: str, content: bytes) -> Answer:
        sending = _Sending()
        try:
            response = await self._send(path, content, sending)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not sending.is_reused:
                raise
            # it had been closed while it lay in the pool: nobody has read the request
            response = await self._send(path, content, _Sending())
        if 200 <= response.status < 300:
            return _DirectAnswer(response)
        try:
            body = await _beginning(response.content)
        finally:
            response.close()
        raise Refused(response.status, response.headers, body)

    async def _send(self, path: str, content: bytes, sending: _Sending) -> aiohttp.ClientResponse:
        # no redirects: prompts go where the address says and nowhere else
        return await self._session.post(
            self._base_url + path, data=content, allow_redirects=False, trace_request_ctx=sending
        )

    async def aclose(self) -> None:
        await self._session.close()


@dataclass(slots=True)
class _Sending:
    is_reused: bool = False  # the connection came from the pool


def _noting_reuse() -> aiohttp.TraceConfig:
    async def reused(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.is_reused = True

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(reused)
    return config


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """What explains a refusal, as far as it comes: the status is known and counts without it."""
    body = b""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_S):
            while len(body) < ERROR_BODY_MAX_BYTES and (block := await content.readany()):
                body += block
    return body[:ERROR_BODY_MAX_BYTES]


class _DirectAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.headers: Mapping[str, str] = response.headers

    @property
    def is_over(self) -> bool:
        return self._response.content.at_eof()

    async def next_block(self) -> bytes:
        return await self._response.content.readany()

    async def aclose(self) -> None:
        if not self.is_over:
            self._response.close()


class RawStream(AsyncStream[bytes]):
    """Takes the SDK's response as it is: no decoder, no models, no waiting for the end."""

    def __init__(self, *, response: Any, **_: Any) -> None:
        self.response = response


class _SdkAnswer:
    is_over = False

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._blocks: AsyncIterator[bytes] = response.aiter_bytes()
        self.headers: Mapping[str, str] = response.headers

    async def next_block(self) -> bytes:
        async for block in self._blocks:
            if block:
                return block
        return b""

    async def aclose(self) -> None:
        await self._response.aclose()


def _is_behind_proxy(base_url: str) -> bool:
    parts = urlsplit(base_url)
    proxies = urllib.request.getproxies()
    if not (proxies.get(parts.scheme) or proxies.get("all")):
        return False
    return not urllib.request.proxy_bypass(parts.hostname or "")
