"""A way to PostgreSQL that is cut exactly where it hurts: at a COMMIT, before or after it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Cut = Literal["", "before", "after"]


class CuttingProxy:
    """Forwards to `port`. With `cut` set, the next COMMIT never arrives, or its answer does not.

    While it `is_silent`, nothing arrives, and nothing is refused. While it `is_closed`, new
    connections are.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self.cut: Cut = ""
        self.cuts = 0
        self.is_silent = False
        self.is_closed = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[CuttingProxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        if self.is_closed:
            answer.close()
            return
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", self._to)
        back = asyncio.create_task(_copy(incoming, answer))
        try:
            while data := await client.read(65_536):
                cut = self.cut if b"COMMIT" in data else ""
                if cut:
                    self.cut, self.cuts = "", self.cuts + 1
                    back.cancel()
                    await asyncio.wait({back})  # else it still reads
                    if cut == "after":
                        outgoing.write(data)
                        while b"COMMIT" not in await incoming.read(65_536):
                            pass
                    return
                if not self.is_silent:
                    outgoing.write(data)
        except ConnectionError:
            pass
        finally:
            back.cancel()
            await asyncio.wait({back})
            for writer in (answer, outgoing):
                writer.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        to.write(data)
    to.close()
