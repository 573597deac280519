"""Connect to public addresses only. The check sits where the connection is made.

aiohttp asks `_PublicResolver` once for each connection and dials what it answered, so a second answer
that differs is never heard. It skips the resolver for literal addresses; `socket_factory` sees the very
address of every connection, those too. Only its public extension points are used.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.tools.web.addresses import is_public, not_public

AGENT = "GantryReader"  # the name that a robots.txt can speak of
USER_AGENT = f"{AGENT}/1.0 (reads single pages to cite them)"
CONNECT_S = 5.0
SILENCE_S = 10.0
PER_HOST = 2  # connections at once
ANSWERS_MAX = 8  # addresses of one host that are tried

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
Lookup = Callable[[str, int], Awaitable[list[AddressInfo]]]
OpenSocket = Callable[[AddressInfo], socket.socket]


async def system_lookup(host: str, port: int) -> list[AddressInfo]:
    """Every address the system knows for `host`. Raises `OSError` when it knows none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(found)


def plain_socket(info: AddressInfo) -> socket.socket:
    return socket.socket(family=info[0], type=info[1], proto=info[2])


def guarded_session(lookup: Lookup, open_socket: OpenSocket) -> ClientSession:
    """A session that reaches nothing but public addresses, keeps no cookies and uses no proxy.

    Both arguments are for the laboratory of the tests; `open_socket` is asked only after the check.
    Raises `ToolError` (`not_public`) out of a request to any other address. The caller closes it.
    """

    def checked_socket(info: AddressInfo) -> socket.socket:
        if not is_public(str(info[4][0])):
            raise not_public()
        return open_socket(info)

    connector = TCPConnector(
        resolver=_PublicResolver(lookup),
        socket_factory=checked_socket,
        use_dns_cache=False,
        happy_eyeballs_delay=None,  # one after the other: a refusal ends the attempt
        limit_per_host=PER_HOST,
    )
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # `body.py` unpacks, and stops in time
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
    )


class _PublicResolver(AbstractResolver):
    """All addresses of a host, or a refusal when one of them is not public."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._lookup(host, port)
        except (OSError, UnicodeError) as error:
            raise not_public() from error
        # one bad answer spoils all: a host that mixes them is playing for the next try
        if not found or not all(is_public(str(info[4][0])) for info in found):
            raise not_public()
        return [
            ResolveResult(
                hostname=host,
                host=str(info[4][0]),
                port=port,
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for info in found[:ANSWERS_MAX]
        ]

    async def close(self) -> None:
        """Nothing is held."""
