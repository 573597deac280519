"""Serve on loopback until told to stop; print the base URL first."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal

from benchmarks.machine import claim, new_event_loop
from benchmarks.mock_server.server import Connection, State


async def serve(port: int) -> None:
    state, loop = State(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", port, backlog=4096)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    host, bound = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{bound}/v1", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--core", type=int, help="the only core to run on")
    options = parser.parse_args()
    claim(options.core)
    gc.disable()  # it only keeps a log; a pause here would look like the client's
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(options.port))


if __name__ == "__main__":
    main()
