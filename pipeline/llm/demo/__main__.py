"""The child process: `python -m pipeline.llm.demo --port P --speed S`, for `process.py` only.

Reads the token as the first line of standard input, writes one JSON line with the port, serves
until standard input closes. People use `python -m pipeline demo-provider`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from typing import get_args

from pipeline.errors import DemoUnavailable
from pipeline.isolation.child import close_inherited
from pipeline.llm.demo.server import serve
from pipeline.models import Endpoint, Speed


def main() -> int:
    close_inherited()
    parser = argparse.ArgumentParser(description="Child process of the offline demo.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", choices=get_args(Speed), default="realistic")
    options = parser.parse_args()
    token = sys.stdin.readline().strip()
    if not token:
        return 0  # the parent is gone already
    try:
        asyncio.run(_serve(options.port, options.speed, token))
    except DemoUnavailable as error:
        _say(error=str(error))
        return 1
    except KeyboardInterrupt:
        return 0  # Ctrl+C in a terminal reaches the whole group; the parent says what it means
    return 0


async def _serve(port: int, speed: Speed, token: str) -> None:
    await serve(port, speed, token, announce=_announce, until=_input_closed())


def _announce(endpoint: Endpoint) -> None:
    port = int((endpoint.base_url or "").rpartition(":")[2].partition("/")[0])
    _say(port=port)


def _say(**news: object) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


async def _input_closed() -> None:
    """Return when standard input ends.

    A daemon thread reads, because pipes cannot be awaited on every platform; it cannot hold up
    the end of the process.
    """
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def read() -> None:
        while sys.stdin.read(1024):
            pass
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=read, name="parent-watch", daemon=True).start()
    await closed.wait()


if __name__ == "__main__":
    sys.exit(main())
