"""The child process: quick to start, the same address after a restart, never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
import uvloop
from openai import AsyncOpenAI

from pipeline.llm.demo import HOST
from pipeline.llm.demo.process import PROJECT, DemoProcess
from pipeline.llm.demo.server import serve
from pipeline.models import Endpoint

pytestmark = pytest.mark.slow

LIMIT_S = 20.0


def port_of(endpoint: Endpoint) -> int:
    return int(str(endpoint.base_url).rpartition(":")[2].partition("/")[0])


async def test_a_started_demo_answers_the_sdk() -> None:
    async with DemoProcess("instant") as demo:
        endpoint = await demo.endpoint()
        async with AsyncOpenAI(
            base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0
        ) as client:
            models = [model.id async for model in client.models.list()]

        assert await demo.healthy()
    assert "gantry-demo" in models
    assert endpoint.label == "Offline demo"


async def test_a_child_that_died_comes_back_at_the_same_address() -> None:
    async with DemoProcess("instant") as demo:
        before, pid = await demo.endpoint(), demo.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(LIMIT_S):
            while demo.is_running:
                await demo.healthy()

        assert not await demo.healthy()
        assert await demo.endpoint() == before
        assert await demo.healthy()
        assert demo.pid != pid


async def test_closing_ends_the_child_and_may_be_done_twice() -> None:
    demo = DemoProcess("instant")
    endpoint = await demo.start()
    await demo.aclose()
    await demo.aclose()

    assert not demo.is_running
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, port_of(endpoint))


async def test_two_first_callers_share_one_child() -> None:
    async with DemoProcess("instant") as demo:
        first, second = await asyncio.gather(demo.endpoint(), demo.endpoint())

        assert first == second


async def test_the_child_ends_when_its_parent_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT), stdout=asyncio.subprocess.PIPE, cwd=PROJECT
    )
    assert parent.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        url = (await parent.stdout.readline()).decode().strip()
    endpoint = Endpoint(url, "")
    reader, writer = await asyncio.open_connection(HOST, port_of(endpoint))

    parent.kill()
    await parent.wait()

    async with asyncio.timeout(LIMIT_S):
        assert await reader.read() == b""
    writer.close()


_PARENT = """
import asyncio
from pipeline.llm.demo.process import DemoProcess

async def main():
    endpoint = await DemoProcess("instant").start()
    print(endpoint.base_url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
async def test_the_token_is_neither_an_argument_nor_in_the_environment() -> None:
    async with DemoProcess("instant") as demo:
        token = (await demo.endpoint()).api_key.encode()
        folder = Path(f"/proc/{demo.pid}")

        assert token not in (folder / "cmdline").read_bytes()
        assert token not in (folder / "environ").read_bytes()


async def test_the_child_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline.llm.demo.__main__, pipeline.llm.demo.process\n"
        "print({'openai', 'streamlit', 'numpy', 'bm25s', 'sqlalchemy'} & set(sys.modules))"
    )
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE, cwd=PROJECT
    )
    async with asyncio.timeout(LIMIT_S):
        said, _ = await child.communicate()

    assert said.strip() == b"set()"


async def test_serve_announces_its_address_and_ends_when_told() -> None:
    announced: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
    told = asyncio.Event()
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        group.create_task(
            serve(0, "instant", "a-token", announce=announced.set_result, until=told.wait())
        )
        endpoint = await announced
        async with AsyncOpenAI(
            base_url=endpoint.base_url, api_key="a-token", max_retries=0
        ) as client:
            await client.models.list()
        told.set()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, port_of(endpoint))


async def test_serving_alone_prints_what_another_program_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def soon() -> None:
        return

    async with asyncio.timeout(LIMIT_S):
        await serve(0, "instant", "a-token", until=soon())

    said = dict(line.split("=") for line in capsys.readouterr().out.splitlines()[1:])
    assert said["OPENAI_API_KEY"] == "a-token"
    assert said["OPENAI_BASE_URL"].startswith(f"http://{HOST}:")
    assert said["OPENAI_MODEL"] == "gantry-demo"


def test_the_demo_does_not_hold_the_port_of_a_dashboard_that_was_killed() -> None:
    """uvloop hands on what is inheritable, as Streamlit makes its server's socket."""

    async def ports_of_the_demo() -> list[int]:
        async with DemoProcess("instant") as demo:
            await demo.start()
            return [c.laddr.port for c in psutil.Process(demo.pid).net_connections()]

    with socket.create_server((HOST, 0)) as listening:
        listening.set_inheritable(True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ports = runner.run(ports_of_the_demo())

        assert ports  # its own
        assert listening.getsockname()[1] not in ports
