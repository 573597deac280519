"""One call over a real socket with the real client: replies, and every fault a provider has."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from pipeline.errors import (
    AuthError,
    BadRequest,
    CallError,
    DeadlineExceeded,
    GantryError,
    ModelNotFound,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unreachable,
)
from pipeline.llm import attempt
from pipeline.llm.admission import GateRegistry
from pipeline.llm.call import CallRequest, Deadlines, ToolCall
from pipeline.llm.client import ModelCaller, make_client
from pipeline.models import Endpoint, Usage
from tests.fault_server import (
    DONE,
    KEY,
    SILENCE,
    Answer,
    Close,
    FaultServer,
    Repeat,
    Reset,
    Step,
    Wait,
    completion,
    data,
    delta,
    error,
    finish,
    json_body,
    page,
    stream,
    text,
    usage,
)
from tests.unit.llm.conftest import ASK, Log, OpenCaller, Sleeps

STREAMS = Path(__file__).parents[2] / "data" / "streams"
QUICK = Deadlines(first_token_s=0.5, idle_s=0.5, total_s=10.0)  # a busy machine keeps these


async def failure(
    server: FaultServer,
    open_caller: OpenCaller,
    log: Log,
    *,
    request: CallRequest = ASK,
    **options: Any,
) -> CallError:
    """Make a call that has to fail; return its error."""
    async with open_caller(server.endpoint, **options) as caller:
        with pytest.raises(CallError) as caught:
            await caller.call(request, log)
    return caught.value


# Replies


async def test_a_reply_is_told_step_by_step(open_caller: OpenCaller, log: Log) -> None:
    release = asyncio.Event()
    answer = stream(text("Hel"), Wait(release), text("lo") + finish() + usage(3, 2) + DONE)

    async with FaultServer(answer) as server, open_caller(server.endpoint) as caller:
        call = asyncio.create_task(caller.call(ASK, log))
        await log.seen("text")
        release.set()
        reply = await call

    assert (reply.text, reply.finish_reason, reply.usage) == ("Hello", "stop", Usage(3, 2))
    assert log.steps == [
        ("queued", 1, ""),
        ("admitted", 1),
        ("sent", 1, "m"),
        ("first_token", 1),
        ("text", "Hel"),
        ("text", "lo"),
        ("finished", 1, reply),
    ]


async def test_the_request_says_what_was_asked(open_caller: OpenCaller, log: Log) -> None:
    request = replace(ASK, max_output_tokens=50, temperature=0.5, seed=7)

    async with FaultServer(completion("a")) as server, open_caller(server.endpoint) as caller:
        await caller.call(request, log)

    sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
        "temperature": 0.5,
        "seed": 7,
    }


async def test_a_reply_does_not_wait_for_the_end_of_the_body(
    open_caller: OpenCaller, log: Log
) -> None:
    release = asyncio.Event()
    answer = stream(text("a"), finish(), Wait(release), usage(3, 2) + DONE)

    async with FaultServer(answer) as server, open_caller(server.endpoint) as caller:
        reply = await caller.call(ASK, log)
        told_before = log.named("usage")
        release.set()
        await caller.aclose()

    assert reply.usage == Usage()
    assert told_before == []
    assert log.named("usage") == [(Usage(3, 2),)]


async def test_late_usage_is_told_at_done_even_when_the_body_never_ends(
    open_caller: OpenCaller, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "DRAIN_LIMIT_S", 0.1)
    release = asyncio.Event()
    answer = stream(text("a"), finish(), Wait(release), usage(3, 2) + DONE, SILENCE)

    async with FaultServer(answer) as server:
        async with open_caller(server.endpoint) as caller:
            await caller.call(ASK, log)
            release.set()
            await log.seen("usage")
        await server.until_idle()

    assert log.named("usage") == [(Usage(3, 2),)]


async def test_the_last_usage_wins(open_caller: OpenCaller, log: Log) -> None:
    answer = stream(
        data({"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 9}})
        + data({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None})
        + usage(9, 1)
        + usage(9, 4)
        + DONE
    )

    async with FaultServer(answer) as server, open_caller(server.endpoint) as caller:
        reply = await caller.call(ASK, log)

    assert reply.usage == Usage(9, 4)


async def test_calls_in_turn_share_one_connection(open_caller: OpenCaller, log: Log) -> None:
    async with (
        FaultServer(default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        for _ in range(3):
            await caller.call(ASK, log)
            await caller.aclose()

    assert (len(server.requests), server.connections) == (3, 1)


async def test_a_client_brought_along_works_and_does_not_retry_by_itself(log: Log) -> None:
    answers = [error(500, {"error": {"message": "down"}}), completion("a")]

    async with (
        FaultServer(*answers) as server,
        openai.AsyncOpenAI(api_key=KEY, base_url=server.endpoint.base_url, max_retries=5) as client,
    ):
        caller = ModelCaller(client, sleep=Sleeps())
        reply = await caller.call(ASK, log)
        await caller.aclose()

    assert (reply.text, len(server.requests)) == ("a", 2)
    assert len(log.named("backoff")) == 1


async def test_a_plain_json_completion_counts_as_a_reply(open_caller: OpenCaller, log: Log) -> None:
    message = {"message": {"content": "a"}, "finish_reason": "stop"}
    body = {"choices": [message], "model": "m-1", "usage": {"prompt_tokens": 1}}

    async with FaultServer(json_body(body)) as server, open_caller(server.endpoint) as caller:
        reply = await caller.call(ASK, log)

    assert (reply.text, reply.response_model, log.shown) == ("a", "m-1", "a")


async def test_the_names_in_a_reply_do_not_hold_the_key(open_caller: OpenCaller, log: Log) -> None:
    body = {
        "choices": [{"message": {"content": "a"}, "finish_reason": f"stop {KEY}"}],
        "model": f"m-1 {KEY}",
    }

    async with FaultServer(json_body(body)) as server, open_caller(server.endpoint) as caller:
        reply = await caller.call(ASK, log)

    assert reply.response_model.startswith("m-1 ") and reply.finish_reason.startswith("stop ")
    assert KEY not in reply.response_model + reply.finish_reason


async def test_tool_calls_and_refusals_are_part_of_the_reply(
    open_caller: OpenCaller, log: Log
) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "search", "arguments": '{"q":1}'}}
    answers = [
        stream(delta(tool_calls=[call]) + finish("tool_calls") + DONE),
        stream(delta(refusal="No.") + finish() + DONE),
    ]
    tools = [{"type": "function", "function": {"name": "search", "parameters": {}}}]

    async with FaultServer(*answers) as server, open_caller(server.endpoint) as caller:
        asked = await caller.call(replace(ASK, tools=tools), log)
        refused = await caller.call(ASK, log)

    assert asked.tool_calls == (ToolCall("c1", "search", '{"q":1}'),)
    assert (refused.text, refused.refusal) == ("", "No.")
    assert server.requests[0].json["tools"] == tools
    assert server.requests[0].json["tool_choice"] == "auto"
    assert "tools" not in server.requests[1].json


@pytest.mark.parametrize(
    "entry",
    json.loads((STREAMS / "index.json").read_text())["streams"],
    ids=lambda entry: entry["file"],
)
async def test_a_recorded_stream_is_one_reply_whole_or_event_by_event(
    entry: dict[str, Any], open_caller: OpenCaller
) -> None:
    body = (STREAMS / entry["file"]).read_bytes()
    events = [event + b"\n\n" for event in re.split(rb"(?:\r?\n){2,}", body) if event]
    logs = [Log(), Log()]

    async with (
        FaultServer(stream(body), stream(*events)) as server,
        open_caller(server.endpoint) as caller,
    ):
        whole, cut = [await caller.call(ASK, log) for log in logs]

    assert replace(cut, usage=whole.usage) == whole
    assert whole.finish_reason == entry["expect"]["finish"]["0"]
    told = entry["expect"]["usage"] or {}
    for log in logs:
        assert log.shown == whole.text
        used = [reply.usage for _, reply in log.named("finished")]
        late = [usage for (usage,) in log.named("usage")]
        assert [*used, *late][-1] == Usage(told.get("prompt_tokens"), told.get("completion_tokens"))


async def test_an_error_after_the_reply_is_only_logged(
    open_caller: OpenCaller, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    late = data({"error": {"message": f"too late, {KEY}"}})
    answers = [stream(text("a") + finish() + late + DONE), stream(text("a") + finish(), late, DONE)]

    async with FaultServer(*answers) as server, open_caller(server.endpoint) as caller:
        for _ in answers:
            assert (await caller.call(ASK, log)).text == "a"

    told = [record.getMessage() for record in caplog.records if "too late" in record.getMessage()]
    assert len(told) == 2
    assert KEY not in caplog.text


# Faults in the stream: tried again from the start

WHOLE = completion("good")
BROKEN: dict[str, tuple[Answer, type[GantryError]]] = {
    "reset in the middle": (stream(text("bad"), Reset()), StreamBroken),
    "cut in the middle": (stream(text("bad"), Close()), StreamBroken),
    "clean end without finish_reason": (stream(text("bad")), StreamBroken),
    "clean end of a connection: close body": (stream(text("bad"), framing="close"), StreamBroken),
    "[DONE] without finish_reason": (stream(text("bad") + DONE), StreamBroken),
    "an event stream without events": (stream(), StreamBroken),
    "chunk that is not JSON": (stream(text("bad"), b"data: {nonsense\n\n", SILENCE), StreamBroken),
    "broken JSON body": (error(200, '{"choices": [{"mess'), StreamBroken),
    "error object in the stream": (
        stream(text("bad"), data({"error": {"message": "overloaded", "code": 502}}), SILENCE),
        StreamBroken,
    ),
    "event: error": (
        stream(text("bad"), b'event: error\ndata: {"message": "overloaded"}\n\n', SILENCE),
        StreamBroken,
    ),
    "error line": (
        stream(text("bad"), b'error: {"code": 500, "message": "slot unavailable"}\n\n', SILENCE),
        StreamBroken,
    ),
    "raw JSON among the events": (
        stream(text("bad"), b'{"error": {"message": "out of memory"}}\n', SILENCE),
        StreamBroken,
    ),
    "error of a choice": (
        stream(text("bad"), data({"choices": [{"error": {"message": "busy"}}]}), SILENCE),
        StreamBroken,
    ),
    "bare error in the stream": (
        stream(text("bad"), data({"detail": "worker died"}), SILENCE),
        StreamBroken,
    ),
    "finish_reason error": (stream(text("bad"), finish("error"), SILENCE), StreamBroken),
    "no first token": (stream(SILENCE), DeadlineExceeded),
    "no headers in time": (Answer([SILENCE]), DeadlineExceeded),
    "silence in the middle": (stream(text("bad"), SILENCE), DeadlineExceeded),
    "keep-alives for ever": (stream(Repeat(b": keep-alive\n\n", 0.01)), DeadlineExceeded),
    "keep-alives after text": (
        stream(text("bad"), Repeat(b": keep-alive\n\n", 0.01)),
        DeadlineExceeded,
    ),
    "empty deltas for ever": (stream(Repeat(delta(content=""), 0.01)), DeadlineExceeded),
    "server error": (error(503, "<html>busy</html>"), ServerFailed),
    "time-out of the server": (error(408, {}), ServerFailed),
    "conflict": (error(409, {}), ServerFailed),
    "too early": (error(425, {}), ServerFailed),
    "no capacity": (error(498, {"error": {"message": "capacity exceeded"}}), ServerFailed),
    "rate limit": (error(429, {"error": {"message": "slow down"}}), RateLimited),
    "reset before the answer": (Answer([Reset()], framing="chunked"), StreamBroken),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_attempt_is_discarded_and_made_again_from_the_start(
    name: str, open_caller: OpenCaller, log: Log, sleeps: Sleeps
) -> None:
    answer, kind = BROKEN[name]

    async with (
        FaultServer(answer, WHOLE) as server,
        open_caller(server.endpoint, deadlines=QUICK) as caller,
    ):
        reply = await caller.call(ASK, log)
        assert server.open_connections <= 1  # the broken one is closed

    assert (reply.text, log.shown) == ("good", "good")
    ((number, failed),) = log.named("discarded")
    assert (number, type(failed)) == (1, kind)
    assert failed.message and failed.hint
    assert [(n, e) for n, _, e in log.named("backoff")] == [(1, failed)]
    # refused by a rate limit it waits in the queue, else by itself
    assert len(sleeps.slept_s) == (0 if kind is RateLimited else 1)
    assert len(server.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
async def test_a_client_on_another_transport_breaks_the_same_way(name: str, log: Log) -> None:
    answer, kind = BROKEN[name]

    async with (
        FaultServer(answer, WHOLE) as server,
        openai.AsyncOpenAI(api_key=KEY, base_url=server.endpoint.base_url) as client,
    ):
        caller = ModelCaller(client, deadlines=QUICK, sleep=Sleeps())
        reply = await caller.call(ASK, log)
        await caller.aclose()

    assert (reply.text, log.shown) == ("good", "good")
    assert [type(failed) for _, failed in log.named("discarded")] == [kind]


async def test_the_words_of_an_error_in_the_stream_are_told(
    open_caller: OpenCaller, log: Log
) -> None:
    answer = stream(text("a"), b'error: {"code": 500, "message": "slot unavailable"}\n\n')

    async with FaultServer(default=answer) as server:
        failed = await failure(server, open_caller, log)

    assert "slot unavailable" in failed.message
    assert len(server.requests) == 3


async def test_tools_refused_in_the_stream_are_a_refusal(open_caller: OpenCaller, log: Log) -> None:
    tools = [{"type": "function", "function": {"name": "search", "parameters": {}}}]
    refusal = stream(data({"error": {"message": "this model does not support tools"}}))

    async with FaultServer(refusal) as server:
        failed = await failure(server, open_caller, log, request=replace(ASK, tools=tools))

    assert isinstance(failed, ParameterRefused)
    assert len(server.requests) == 1


async def test_three_attempts_are_the_most(
    open_caller: OpenCaller, log: Log, sleeps: Sleeps
) -> None:
    async with FaultServer(default=error(500, {"error": {"message": "down"}})) as server:
        failed = await failure(server, open_caller, log)

    assert isinstance(failed, ServerFailed)
    assert "down" in str(failed)
    assert (len(server.requests), len(sleeps.slept_s)) == (3, 2)
    assert [number for number, _ in log.named("discarded")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "is_sign"), [(stream(text("a"), SILENCE), False), (stream(SILENCE), True)]
)
async def test_only_a_reply_that_did_not_begin_is_a_sign_of_overload(
    open_caller: OpenCaller, log: Log, answer: Answer, is_sign: bool
) -> None:
    gates = GateRegistry(8)

    async with FaultServer(answer, WHOLE) as server:
        async with open_caller(
            server.endpoint, deadlines=QUICK, gates=gates, hedge=False
        ) as caller:
            await caller.call(ASK, log)
        gate = gates.gate_for(caller.base_url, ASK.model)

    assert (gate.snapshot().window < 8) is is_sign


async def test_the_total_deadline_ends_a_stream_that_never_does(
    open_caller: OpenCaller, log: Log
) -> None:
    deadlines = Deadlines(first_token_s=5.0, idle_s=5.0, total_s=0.1)

    async with FaultServer(default=stream(Repeat(text("on and "), 0.005))) as server:
        failed = await failure(server, open_caller, log, deadlines=deadlines)

    assert isinstance(failed, DeadlineExceeded)
    assert "0.1 s" in failed.message


async def test_text_that_keeps_coming_pushes_the_idle_deadline_back(
    open_caller: OpenCaller, log: Log
) -> None:
    steps: list[Step] = []
    for _ in range(12):
        steps += [text("a"), Wait(_set_in(0.06))]
    deadlines = QUICK  # each pause is shorter, all together are longer

    async with (
        FaultServer(stream(*steps, finish())) as server,
        open_caller(server.endpoint, deadlines=deadlines) as caller,
    ):
        reply = await caller.call(ASK, log)

    assert reply.text == "a" * 12
    assert len(server.requests) == 1


def _set_in(delay_s: float) -> asyncio.Event:
    """An event that is set some time after it is first waited for."""

    class Later(asyncio.Event):
        async def wait(self) -> bool:  # type: ignore[override]
            await asyncio.sleep(delay_s)
            return True

    return Later()


# Faults that another attempt would not mend: exactly one request

HOPELESS: dict[str, tuple[Answer, type[CallError], str]] = {
    "wrong key": (
        error(401, {"error": {"message": f"Incorrect API key: {KEY}", "code": "invalid_api_key"}}),
        AuthError,
        "key",
    ),
    "forbidden": (error(403, {"error": {"message": "no"}}), AuthError, "403"),
    "unknown model": (
        error(
            404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}
        ),
        ModelNotFound,
        "`m`",
    ),
    "no credit": (
        error(429, {"error": {"message": "quota", "code": "insufficient_quota"}}),
        QuotaError,
        "credit",
    ),
    "bad request": (error(400, {"error": {"message": "messages is odd"}}), BadRequest, "is odd"),
    "unprocessable": (error(422, {"detail": "no"}), BadRequest, "refused"),
    "wait five minutes": (
        error(429, {"error": {"message": "later"}}, {"retry-after": "300"}),
        RateLimited,
        "300 s",
    ),
    "web page": (page(), NotAnEndpoint, "web page"),
    "web page without an end": (
        Answer([b"<html>", SILENCE], headers={"content-type": "text/html"}),
        NotAnEndpoint,
        "web page",
    ),
    "web page with 404": (page("<h1>Not Found</h1>", 404), NotAnEndpoint, "/v1"),
    "JSON of something else": (json_body({"status": "up"}), NotAnEndpoint, "something else"),
    "empty page": (
        Answer([], headers={"content-type": "text/plain"}, framing="length"),
        NotAnEndpoint,
        "empty",
    ),
    "JSON error with 200": (
        json_body({"error": {"message": "the moon is full"}}),
        BadRequest,
        "the moon is full",
    ),
    "JSON server error with 200": (
        json_body({"error": {"message": "the moon is full", "code": 500}}),
        ServerFailed,
        "the moon is full",
    ),
    "JSON lines of another protocol": (
        stream(b'{"model": "m", "message": {"content": "hi"}, "done": false}\n', SILENCE),
        NotAnEndpoint,
        "something else",
    ),
    "bare status in mid-stream": (
        stream(data({"message": "Unauthorized: subscription ended", "code": 401})),
        AuthError,
        "subscription ended",
    ),
    "key refused in mid-stream": (
        stream(text("a"), data({"error": {"message": "revoked", "code": "invalid_api_key"}})),
        AuthError,
        "key",
    ),
}


@pytest.mark.parametrize("name", HOPELESS)
async def test_a_hopeless_call_fails_at_once_and_says_what_to_do(
    name: str, open_caller: OpenCaller, log: Log, sleeps: Sleeps
) -> None:
    answer, kind, words = HOPELESS[name]

    async with FaultServer(answer) as server:
        failed = await failure(server, open_caller, log)

    assert type(failed) is kind
    assert words in str(failed)
    assert failed.hint
    assert KEY not in str(failed) + failed.provider_text
    assert (len(server.requests), sleeps.slept_s) == (1, [])
    assert log.names[-1] == "discarded"


async def test_an_unreachable_endpoint_is_named(open_caller: OpenCaller, log: Log) -> None:
    async with open_caller(Endpoint("http://127.0.0.1:1/v1?token=x", KEY)) as caller:
        with pytest.raises(Unreachable) as caught:
            await caller.call(ASK, log)

    assert "http://127.0.0.1:1/v1:" in caught.value.message
    assert len(log.named("sent")) == 3


@asynccontextmanager
async def answering(raw: bytes) -> AsyncIterator[int]:
    """A server that says `raw` to whoever comes; gives its port."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_https_to_a_plain_server_is_explained(open_caller: OpenCaller, log: Log) -> None:
    async with (
        answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        open_caller(Endpoint(f"https://127.0.0.1:{port}/v1", KEY)) as caller,
    ):
        with pytest.raises(Unreachable) as caught:
            await caller.call(ASK, log)

    assert "http://" in caught.value.hint


@pytest.mark.parametrize(
    "address",
    ["localhost/v1", "ftp://127.0.0.1/v1", "http://user:secret@127.0.0.1:1/v1", "http://"],
)
async def test_an_address_that_cannot_be_one_is_refused(
    address: str, open_caller: OpenCaller, log: Log
) -> None:
    async with open_caller(Endpoint(address, KEY)) as caller:
        with pytest.raises(NotAnEndpoint) as caught:
            await caller.call(ASK, log)

    assert "http://" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:abc/v1", "http://a\u202eb/v1", "http://xn--\u00e9/v1"]
)
def test_an_address_the_client_cannot_take_is_refused_in_our_words(address: str) -> None:
    with pytest.raises(NotAnEndpoint) as caught:
        make_client(Endpoint(address, KEY))

    assert "Check the base URL" in caught.value.hint


def test_an_empty_address_is_openais_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://configured.example/v1")

    assert str(make_client(Endpoint(None, KEY)).base_url) == "https://api.openai.com/v1/"


async def test_what_does_not_speak_http_is_not_an_endpoint(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        answering(b"220 mail.example ESMTP\r\n") as port,
        open_caller(Endpoint(f"http://127.0.0.1:{port}/v1", KEY)) as caller,
    ):
        with pytest.raises(NotAnEndpoint):
            await caller.call(ASK, log)


@pytest.mark.parametrize("key", ["sk-“quoted”", "sk-two\nlines"])
async def test_a_key_that_cannot_be_sent_is_a_wrong_key(
    key: str, open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer() as server,
        open_caller(replace(server.endpoint, api_key=key)) as caller,
    ):
        with pytest.raises(AuthError) as caught:
            await caller.call(ASK, log)

    assert key not in str(caught.value)
    assert server.requests == []


async def test_text_that_cannot_be_sent_is_a_bad_request(open_caller: OpenCaller, log: Log) -> None:
    async with FaultServer() as server, open_caller(server.endpoint) as caller:
        with pytest.raises(BadRequest):
            await caller.call(CallRequest("m", [{"role": "user", "content": "\ud800"}]), log)

    assert len(log.named("sent")) == 1


async def test_a_rate_limited_attempt_waits_as_long_as_the_server_asks_and_all_with_it(
    open_caller: OpenCaller, log: Log, sleeps: Sleeps
) -> None:
    slow_down = error(429, {"error": {"message": "slow"}}, {"retry-after-ms": "2500"})

    async with FaultServer(slow_down) as server, open_caller(server.endpoint) as caller:
        call = asyncio.create_task(caller.call(ASK, log))
        await log.seen("queued", 2, "cooling")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    ((number, delay_s, _),) = log.named("backoff")
    assert (number, delay_s) == (1, pytest.approx(2.5, abs=0.1))
    assert sleeps.slept_s == []  # the gate holds it back, and every other call with it
    assert len(server.requests) == 1


# Cancelling


@pytest.mark.parametrize(
    "steps", [[SILENCE], [text("a"), SILENCE], [text("a"), Repeat(text("b"), 0.001)]]
)
async def test_cancelling_closes_the_socket_at_once(
    steps: list[Step], open_caller: OpenCaller, log: Log
) -> None:
    async with FaultServer(stream(*steps)) as server, open_caller(server.endpoint) as caller:
        call = asyncio.create_task(caller.call(ASK, log))
        await server.arrived.wait()
        if len(steps) > 1:
            await log.seen("text")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(10):
            await server.requests[0].hung_up.wait()

    assert log.steps[-1] == ("discarded", 1, None)
    assert len(server.requests) == 1


async def test_an_error_body_that_never_ends_meets_the_deadline(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(Answer([b"{", SILENCE], status=500), completion("a")) as server,
        open_caller(server.endpoint, deadlines=QUICK) as caller,
    ):
        reply = await caller.call(ASK, log)
        async with asyncio.timeout(10):
            await server.requests[0].hung_up.wait()

    assert reply.text == "a"
    assert type(log.named("discarded")[0][1]) is DeadlineExceeded


async def test_no_task_and_no_socket_is_left_behind(open_caller: OpenCaller, log: Log) -> None:
    before = asyncio.all_tasks()
    answers = [stream(text("a"), Reset()), stream(text("a"), SILENCE), completion("b")]

    async with FaultServer(*answers) as server:
        async with open_caller(server.endpoint, deadlines=QUICK) as caller:
            await caller.call(ASK, log)
        await server.until_idle()

    assert asyncio.all_tasks() == before
