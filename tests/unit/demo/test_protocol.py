"""The wire: what is sent fits the published schemas, and what is wrong is refused in their form."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError

from pipeline.errors import DemoUnavailable
from pipeline.llm.demo.server import MAX_BODY_BYTES, DemoServer
from pipeline.tools import tool_definitions
from tests.unit.demo.conftest import Fits

MODELS = {"gantry-demo", "gantry-demo-instant", "gantry-demo-fast", "gantry-demo-realistic"}
PLAIN = [{"role": "user", "content": "Tell me about bread"}]
RESEARCHER = [
    {"role": "system", "content": "Agent: kb_researcher\nYou collect evidence."},
    {"role": "user", "content": '<section name="brief">\n{"topic": "Home composting"}\n</section>'},
]
SEARCH = tool_definitions(["web_search"])


async def post(
    demo: DemoServer,
    body: object,
    *,
    token: str | None = None,
    path: str = "/chat/completions",
    **headers: str,
) -> tuple[int, Any, bytes]:
    """Status, parsed JSON (None when it is no JSON) and bytes of a raw request."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    auth = {"Authorization": f"Bearer {demo.token if token is None else token}"}
    async with (
        aiohttp.ClientSession(headers={**auth, **headers}) as session,
        session.post(f"{demo.endpoint.base_url}{path}", data=io.BytesIO(raw)) as response,
    ):
        content = await response.read()
        is_json = response.content_type == "application/json"
        return response.status, json.loads(content) if is_json else None, content


def events(raw: bytes) -> list[Any]:
    """The JSON events of a stream; checks that it ends with [DONE]."""
    lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n\n") if line]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_the_model_list_fits_the_published_schema(
    demo: DemoServer, client: AsyncOpenAI, fits: Fits
) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {demo.token}"}) as session,
        session.get(f"{demo.endpoint.base_url}/models") as response,
    ):
        fits("ListModelsResponse", await response.json())

    assert {model.id async for model in client.models.list()} == MODELS
    assert (await client.models.retrieve("gantry-demo-fast")).id == "gantry-demo-fast"


async def test_a_whole_response_fits_the_published_schema(demo: DemoServer, fits: Fits) -> None:
    status, body, _ = await post(demo, {"model": "gantry-demo", "messages": PLAIN})

    assert status == 200
    fits("CreateChatCompletionResponse", body)
    assert "not written by a language model" in body["choices"][0]["message"]["content"]
    assert body["usage"]["total_tokens"] == (
        body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    )


@pytest.mark.parametrize("messages", [PLAIN, RESEARCHER], ids=["text", "tool calls"])
async def test_every_chunk_of_a_stream_fits_the_published_schema(
    demo: DemoServer, fits: Fits, messages: list[dict[str, str]]
) -> None:
    body = {"model": "gantry-demo", "messages": messages, "stream": True, "tools": SEARCH}

    status, _, raw = await post(demo, body | {"stream_options": {"include_usage": True}})

    chunks = events(raw)
    for chunk in chunks:
        fits("CreateChatCompletionStreamResponse", chunk)
    assert status == 200
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0
    assert chunks[-2]["choices"][0]["finish_reason"] in ("stop", "tool_calls")


async def test_usage_is_sent_only_when_asked_for(demo: DemoServer) -> None:
    _, _, raw = await post(demo, {"model": "gantry-demo", "messages": PLAIN, "stream": True})

    assert not any("usage" in chunk for chunk in events(raw))


async def test_finish_reason_usage_and_done_leave_in_one_write(demo: DemoServer) -> None:
    body = {
        "model": "gantry-demo",
        "messages": PLAIN,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    pieces: list[bytes] = [b""]
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {demo.token}"}) as session,
        session.post(f"{demo.endpoint.base_url}/chat/completions", json=body) as response,
    ):
        async for data, is_end_of_write in response.content.iter_chunks():
            pieces[-1] += data
            if is_end_of_write:
                pieces.append(b"")

    last = [piece for piece in pieces if piece][-1]
    assert b'"finish_reason":"stop"' in last
    assert b'"usage"' in last
    assert last.endswith(b"data: [DONE]\n\n")


async def test_a_stream_and_a_whole_response_say_the_same(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="gantry-demo", messages=RESEARCHER, seed=3)
    stream = await client.chat.completions.create(
        model="gantry-demo", messages=RESEARCHER, seed=3, stream=True
    )

    parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]

    assert "".join(parts) == whole.choices[0].message.content


async def test_tool_calls_come_in_parallel_unless_the_caller_forbids_it(
    client: AsyncOpenAI,
) -> None:
    both = await client.chat.completions.create(
        model="gantry-demo", messages=RESEARCHER, tools=SEARCH
    )
    one = await client.chat.completions.create(
        model="gantry-demo", messages=RESEARCHER, tools=SEARCH, parallel_tool_calls=False
    )

    calls = both.choices[0].message.tool_calls or []
    assert both.choices[0].finish_reason == "tool_calls"
    assert all(json.loads(call.function.arguments)["query"] for call in calls)
    assert len({call.id for call in calls}) == 2
    assert len(one.choices[0].message.tool_calls or []) == 1


async def test_tool_choice_none_is_obeyed(client: AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model="gantry-demo", messages=RESEARCHER, tools=SEARCH, tool_choice="none"
    )

    assert reply.choices[0].message.tool_calls is None
    assert reply.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "web_search"}}]
)
async def test_an_insisting_caller_gets_a_call_with_fitting_arguments(
    client: AsyncOpenAI, choice: Any
) -> None:
    reply = await client.chat.completions.create(
        model="gantry-demo", messages=PLAIN, tools=SEARCH, tool_choice=choice
    )

    (call,) = reply.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments) == {"query": "Offline demo"}


@pytest.mark.parametrize("parameter", ["max_tokens", "max_completion_tokens"])
async def test_a_token_limit_cuts_the_text_and_says_so(client: AsyncOpenAI, parameter: str) -> None:
    limit: dict[str, Any] = {parameter: 5}
    reply = await client.chat.completions.create(model="gantry-demo", messages=PLAIN, **limit)

    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None and reply.usage.completion_tokens == 5


async def test_a_schema_of_an_unknown_agent_gets_a_fitting_instance(client: AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["b", "a"]},
            "names": {"type": "array", "items": {"$ref": "#/$defs/name"}, "minItems": 2},
            "size": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
        },
        "required": ["kind", "names", "size"],
        "$defs": {"name": {"type": "string", "minLength": 20, "maxLength": 25}},
    }
    reply = await client.chat.completions.create(
        model="gantry-demo",
        messages=PLAIN,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )

    value = json.loads(reply.choices[0].message.content or "")
    assert value == {"kind": "b", "names": ["Offline demo........"] * 2, "size": 3}


async def test_json_object_gets_a_json_object(client: AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(
        model="gantry-demo", messages=PLAIN, response_format={"type": "json_object"}
    )

    assert json.loads(reply.choices[0].message.content or "")["topic"] == "Bread"


async def test_an_unknown_model_is_named_in_a_404(client: AsyncOpenAI, fits: Fits) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-x", messages=PLAIN)

    assert caught.value.code == "model_not_found"
    fits("ErrorResponse", caught.value.response.json())


async def test_a_wrong_key_is_refused_on_every_route(demo: DemoServer, fits: Fits) -> None:
    for path in ("/chat/completions", "/nowhere"):
        status, body, _ = await post(demo, {}, token="wrong", path=path)

        assert status == 401
        fits("ErrorResponse", body)
    wrong = AsyncOpenAI(base_url=demo.endpoint.base_url, api_key="wrong", max_retries=0)
    async with wrong:
        with pytest.raises(AuthenticationError):
            await wrong.models.list()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{not json", None),
        ({"model": "gantry-demo"}, "messages"),
        ({"model": "gantry-demo", "messages": []}, "messages"),
        ({"model": "gantry-demo", "messages": PLAIN, "n": 2}, "n"),
        ({"model": "gantry-demo", "messages": PLAIN, "max_tokens": 0}, "max_tokens"),
        ({"model": "gantry-demo", "messages": [{"role": "wizard"}]}, "messages.0.role"),
    ],
)
async def test_a_bad_request_is_a_400_that_names_the_parameter(
    demo: DemoServer, fits: Fits, body: object, param: str | None
) -> None:
    status, answer, _ = await post(demo, body)

    assert status == 400
    fits("ErrorResponse", answer)
    assert answer["error"]["param"] == param


async def test_the_sdk_sees_a_bad_request_as_one(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError, match="less than or equal to 1"):
        await client.chat.completions.create(model="gantry-demo", messages=PLAIN, n=2)


async def test_an_unknown_route_and_a_wrong_method_have_openai_errors(
    demo: DemoServer, fits: Fits
) -> None:
    for path, expected in (("/embeddings", 404), ("/models", 405)):
        status, body, _ = await post(demo, {}, path=path)

        assert status == expected
        fits("ErrorResponse", body)


async def test_a_huge_body_is_refused(demo: DemoServer, fits: Fits) -> None:
    status, body, _ = await post(demo, b" " * (MAX_BODY_BYTES + 1))

    assert status == 413
    fits("ErrorResponse", body)


async def test_a_foreign_host_name_is_refused(demo: DemoServer, fits: Fits) -> None:
    status, body, _ = await post(demo, {}, Host="attacker.example")

    assert status == 403
    fits("ErrorResponse", body)


async def test_pages_of_other_origins_get_no_permission(demo: DemoServer) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.options(
            f"{demo.endpoint.base_url}/chat/completions", headers={"Origin": "http://a.example"}
        ) as response,
    ):
        assert response.status == 401
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_a_caller_that_leaves_mid_stream_disturbs_nobody(
    demo: DemoServer, client: AsyncOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        stream = await client.chat.completions.create(
            model="gantry-demo-realistic", messages=PLAIN, stream=True
        )
        await anext(aiter(stream))
        await stream.close()

        again = await client.chat.completions.create(model="gantry-demo", messages=PLAIN)

    assert again.choices[0].finish_reason == "stop"
    assert not caplog.records


async def test_a_port_in_use_is_a_clear_error(demo: DemoServer) -> None:
    second = DemoServer(port=demo.port)

    with pytest.raises(DemoUnavailable, match=f"cannot listen on 127.0.0.1:{demo.port}"):
        await second.start()


async def test_the_key_stays_out_of_the_endpoints_repr(demo: DemoServer) -> None:
    assert demo.token not in repr(demo.endpoint)
