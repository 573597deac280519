"""A small internet on loopback: names and addresses are made up, servers and sockets are real.

Every address a connection is made to is written down, before it is led to the one real server.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pipeline.tools.web import GuardedReader
from pipeline.tools.web.opener import AddressInfo

HOST = "127.0.0.1"
PUBLIC = "93.184.215.14"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

ARTICLE = """<html><head><title>Bees - The Hive</title><meta property="og:site_name" content="The Hive">
<meta property="article:published_time" content="2024-03-05T10:00:00Z"></head><body>
<nav><a href="/">Home</a></nav><article><h1>Bees</h1><p>{words}</p><h2>Spring</h2><p>{words}</p></article>
</body></html>""".format(words="Bees live in hives and make honey, as everybody knows by now. " * 6)


class Lab:
    """`names` says what a host resolves to, one list per question; the last is repeated."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.pages: dict[str, Answer] = {}  # `host/path`
        self.connected: list[str] = []
        self.asked: list[str] = []
        self.agents: Counter[str] = Counter()
        self.port = 0

    def site(self, host: str, *addresses: str) -> None:
        self.names[host] = [list(addresses or (PUBLIC,))]

    def page(self, where: str, body: str | bytes = ARTICLE, **answer: Any) -> None:
        answer.setdefault("content_type", "text/html")
        if isinstance(body, str):
            body = body.encode()

        async def respond(request: web.Request) -> web.StreamResponse:
            return web.Response(body=body, **answer)

        self.pages[where] = respond

    def redirect(self, where: str, to: str, status: int = 302) -> None:
        async def respond(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": to})

        self.pages[where] = respond

    async def lookup(self, host: str, port: int) -> list[AddressInfo]:
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        answers = self.names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (_family(a), socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (a, port)) for a in addresses
        ]

    def open_socket(self, info: AddressInfo) -> socket.socket:
        lab = self

        class LedHere(socket.socket):
            def connect(self, address: Any) -> None:
                lab.connected.append(str(info[4][0]))
                super().connect((HOST, lab.port))

        return LedHere(socket.AF_INET, socket.SOCK_STREAM)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        where = f"{request.host.partition(':')[0]}{request.rel_url.raw_path_qs}"
        self.asked.append(where)
        self.agents[request.headers.get("User-Agent", "")] += 1
        page = self.pages.get(where)
        if page is None:
            return web.Response(status=404, text="no such page")
        return await page(request)  # type: ignore[arg-type]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@asynccontextmanager
async def opened_lab() -> AsyncIterator[tuple[Lab, GuardedReader]]:
    lab = Lab()
    runner = web.ServerRunner(web.Server(lab.answer), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    assert isinstance(site._server, asyncio.Server)
    lab.port = site._server.sockets[0].getsockname()[1]
    reader = GuardedReader(lookup=lab.lookup, open_socket=lab.open_socket)
    try:
        yield lab, reader
    finally:
        await reader.aclose()
        await runner.cleanup()
