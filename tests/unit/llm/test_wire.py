"""The two wires: what they send, how much they take, and what they leave open."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from openai import AsyncOpenAI

from pipeline.errors import NotAnEndpoint, StreamBroken
from pipeline.llm.transport import translate
from pipeline.llm.wire import ERROR_BODY_MAX_BYTES, Refused, WiredOpenAI, make_client, post
from pipeline.models import Endpoint
from tests.fault_server import KEY, Answer, FaultServer, Repeat, Reset, completion

PATH = "/chat/completions"
OF_A_CONNECTION = {"host", "connection", "accept-encoding", "content-length"}
OF_THE_SDKS_RETRIES = {"x-stainless-retry-count", "x-stainless-read-timeout", "idempotency-key"}


async def test_both_wires_send_the_same() -> None:
    async with (
        FaultServer(completion("a"), completion("a")) as server,
        make_client(server.endpoint) as ours,
        AsyncOpenAI(api_key=KEY, base_url=server.endpoint.base_url) as other,
    ):
        for client in (ours, other):
            await (await post(client, PATH, b'{"model":"m"}')).aclose()

    direct, sdk = server.requests
    assert (direct.method, direct.path, direct.json) == (sdk.method, sdk.path, sdk.json)
    ignored = OF_A_CONNECTION | OF_THE_SDKS_RETRIES
    assert {n: v for n, v in direct.headers.items() if n not in ignored} == {
        n: v for n, v in sdk.headers.items() if n not in ignored
    }


async def test_an_endless_error_page_is_not_read_to_its_end() -> None:
    page = Answer([Repeat(b"x" * 100_000, 0.0)], status=500)

    async with FaultServer(page) as server, make_client(server.endpoint) as client:
        with pytest.raises(Refused) as caught:
            await post(client, PATH, b"{}")

    assert caught.value.status == 500
    assert len(caught.value.body) == ERROR_BODY_MAX_BYTES
    assert translate(caught.value, "http://x/v1").status == 500


async def test_a_proxy_in_the_environment_is_the_sdks_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "inside.example")

    async with (
        make_client(Endpoint("http://outside.example/v1", KEY)) as outside,
        make_client(Endpoint("http://inside.example/v1", KEY)) as inside,
    ):
        assert isinstance(outside, WiredOpenAI) and isinstance(inside, WiredOpenAI)
        assert await outside.direct_wire() is None
        assert await inside.direct_wire() is not None


async def test_a_connection_that_was_closed_in_the_pool_costs_no_attempt() -> None:
    async with (
        FaultServer(completion("a"), completion("b")) as server,
        make_client(server.endpoint) as client,
    ):
        first = await post(client, PATH, b"{}")
        while await first.next_block():
            pass
        server.hang_up()  # and in the same turn of the loop, before the client can notice:
        answer = await post(client, PATH, b"{}")

        assert await answer.next_block()
        await answer.aclose()
        assert server.connections == 2


async def test_a_new_connection_that_breaks_is_the_endpoints_failure() -> None:
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with make_client(Endpoint(f"http://127.0.0.1:{port}/v1", KEY)) as client:
            with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
                await post(client, PATH, b"{}")

    assert connections == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\nzz\r\n", StreamBroken),
        (HEAD + b"Content-Length: many\r\n\r\n", StreamBroken),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotAnEndpoint),
    ],
    ids=["a chunk without a size", "a length that is none", "another protocol"],
)
async def test_bytes_that_break_the_rules_of_http(answer: bytes, kind: type[Exception]) -> None:
    """In the packet of the head: what is wrong with a later one is found while the reply is read."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        base_url = f"http://127.0.0.1:{port}/v1"
        async with make_client(Endpoint(base_url, KEY)) as client:
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await post(client, PATH, b"{}")

    assert type(translate(caught.value, base_url)) is kind


@pytest.mark.parametrize(
    "headers", [{"x-policy": "a" * 20_000}, {f"x-{n}": "a" for n in range(300)}]
)
async def test_long_headers_and_many_are_read(headers: dict[str, str]) -> None:
    refused = Answer([b"{}"], status=429, headers=headers | {"retry-after": "300"})

    async with FaultServer(refused) as server, make_client(server.endpoint) as client:
        with pytest.raises(Refused) as caught:
            await post(client, PATH, b"{}")

    assert (caught.value.status, caught.value.headers["retry-after"]) == (429, "300")


async def test_a_refusal_whose_words_are_cut_keeps_its_status() -> None:
    cut = Answer([b'{"error": {"mess', Reset()], status=503)

    async with FaultServer(cut) as server, make_client(server.endpoint) as client:
        with pytest.raises(Refused) as caught:
            await post(client, PATH, b"{}")

    assert (caught.value.status, caught.value.body) == (503, b'{"error": {"mess')


async def test_a_redirect_is_told_and_not_followed() -> None:
    elsewhere = "https://elsewhere.example/v1/chat/completions"
    moved = Answer([], status=307, headers={"Location": elsewhere}, framing="length")

    async with FaultServer(moved) as server, make_client(server.endpoint) as client:
        with pytest.raises(Refused) as caught:
            await post(client, PATH, b"{}")

    error = translate(caught.value, "http://x/v1")
    assert isinstance(error, NotAnEndpoint)
    assert elsewhere in error.hint


async def test_a_copy_of_a_client_goes_the_sdks_way_and_leaves_nothing_open() -> None:
    async with FaultServer(completion("a")) as server, make_client(server.endpoint) as client:
        copy = client.with_options(max_retries=0)
        assert isinstance(copy, WiredOpenAI)

        await (await post(copy, PATH, b"{}")).aclose()

        assert await copy.direct_wire() is None


async def test_a_closed_client_leaves_no_connection() -> None:
    async with FaultServer(completion("a")) as server:
        async with make_client(server.endpoint) as client:
            answer = await post(client, PATH, b"{}")
            while await answer.next_block():
                pass
            assert answer.is_over
            assert server.open_connections == 1

        await server.until_idle()
        assert server.open_connections == 0
