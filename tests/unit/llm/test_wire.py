"""The two wires: what they send, how much they take, and what they leave open."""

from __future__ import annotations

import pytest
from openai import AsyncOpenAI

from pipeline.llm.transport import translate
from pipeline.llm.wire import ERROR_BODY_MAX_BYTES, Refused, WiredOpenAI, make_client, post
from tests.fault_server import KEY, Answer, FaultServer, Repeat, completion

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
        WiredOpenAI(api_key=KEY, base_url="http://outside.example/v1") as outside,
        WiredOpenAI(api_key=KEY, base_url="http://inside.example/v1") as inside,
    ):
        assert await outside.direct_wire() is None
        assert await inside.direct_wire() is not None


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
