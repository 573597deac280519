"""The demo's HTTP server: OpenAI's chat-completions protocol on loopback.

Decides who may ask (bearer token, Host header; no CORS) and when bytes leave; what an answer
says is `compose`'s matter, how long it takes `latency`'s.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import ValidationError

from pipeline.errors import GantryError
from pipeline.llm.demo import wire
from pipeline.llm.demo.compose import Reply, compose
from pipeline.llm.demo.latency import INSTANT, Pace, draw_pace, schedule, tokenize
from pipeline.models import Endpoint, Speed

HOST = "127.0.0.1"
MAX_BODY_BYTES = 4 * 1024 * 1024
SHUTDOWN_S = 1.0  # how long streams in flight may hold the server open
LABEL = "Offline demo"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DemoUnavailable(GantryError):
    """The demo provider cannot be started or does not answer."""

    code = "demo_unavailable"


class DemoServer:
    """One listening demo. `port` 0 takes a free one; a missing token is drawn at random."""

    def __init__(self, port: int = 0, speed: Speed = "realistic", token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self._wanted_port = port
        self._runner = web.AppRunner(
            make_app(speed, self.token), access_log=None, shutdown_timeout=SHUTDOWN_S
        )
        self._port = 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://{HOST}:{self._port}/v1", self.token, LABEL)

    async def start(self) -> None:
        """Listen; raises `DemoUnavailable` when the port cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._wanted_port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise DemoUnavailable(
                f"The demo provider cannot listen on {HOST}:{self._wanted_port}: {error}.",
                "Choose another port, or 0 for any free one.",
            ) from error
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        await self._runner.cleanup()

    async def __aenter__(self) -> DemoServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def serve(
    port: int = 0,
    speed: Speed = "realistic",
    token: str | None = None,
    *,
    announce: Callable[[Endpoint], None] = lambda _: None,
    until: Awaitable[object] | None = None,
) -> None:
    """Serve until cancelled, or until `until` is done. `announce` is told the address."""
    async with DemoServer(port, speed, token) as server:
        announce(server.endpoint)
        await (until if until is not None else asyncio.Event().wait())


@dataclass(frozen=True, slots=True)
class _Options:
    speed: Speed
    token: str


_OPTIONS = web.AppKey("options", _Options)


def make_app(speed: Speed, token: str) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors, _guard])
    app[_OPTIONS] = _Options(speed, token)
    app.router.add_get("/v1/models", _list_models)
    app.router.add_get("/v1/models/{model}", _get_model)
    app.router.add_post("/v1/chat/completions", _chat)
    return app


class _Refused(Exception):
    """A request is answered with an error in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = wire.error_body(message, kind, param=param, code=code)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refused as refused:
        return web.json_response(refused.body, status=refused.status)
    except web.HTTPException as error:
        message = _ROUTE_ERRORS.get(error.status, error.reason)
        body = wire.error_body(f"{message} ({request.method} {request.path})", _INVALID)
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response(body, status=error.status, headers=headers)


_INVALID = "invalid_request_error"
_ROUTE_ERRORS = {
    404: "The demo provider has no such address; it knows /v1/chat/completions and /v1/models",
    405: "This address does not take this method",
    413: f"The request is larger than {MAX_BODY_BYTES:,} bytes",
}


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only callers that know the token, and that mean this host (against DNS rebinding)."""
    name = request.host.rpartition(":")[0] or request.host
    if name not in (HOST, "localhost"):
        raise _Refused(403, "The demo provider answers on the loopback address only.")
    expected = f"Bearer {request.app[_OPTIONS].token}".encode()
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, expected):
        raise _Refused(
            401,
            "Incorrect API key provided. The demo provider takes the key it was started with.",
            code="invalid_api_key",
        )
    return await handler(request)


async def _list_models(_: web.Request) -> web.Response:
    return web.json_response(wire.models_body())


async def _get_model(request: web.Request) -> web.Response:
    name = request.match_info["model"]
    _check_model(name)
    return web.json_response(wire.model_body(name))


async def _chat(request: web.Request) -> web.StreamResponse:
    started_s = asyncio.get_running_loop().time()
    asked = _parse(await request.read())
    _check_model(asked.model)
    reply = compose(asked)
    speed = wire.MODEL_SPEEDS[asked.model] or request.app[_OPTIONS].speed
    answer = _Answer(
        asked, reply, draw_pace(speed, asked.seed or 0, reply.agent, reply.call), started_s
    )
    if asked.stream:
        return await answer.stream(request)
    return await answer.whole()


def _parse(body: bytes) -> wire.ChatRequest:
    try:
        return wire.ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or None
        message = f"{first['msg']}" + (f" (at `{where}`)" if where else "")
        raise _Refused(400, f"Invalid request: {message}.", param=where) from error


def _check_model(name: str) -> None:
    if name not in wire.MODEL_SPEEDS:
        raise _Refused(
            404,
            f"The model `{name}` does not exist. Known here: {', '.join(wire.MODEL_SPEEDS)}.",
            param="model",
            code="model_not_found",
        )


@dataclass(slots=True)
class _Answer:
    """One composed reply on its way out, on an absolute schedule so that delays do not add up."""

    asked: wire.ChatRequest
    reply: Reply
    pace: Pace
    started_s: float

    async def whole(self) -> web.Response:
        tokens, reason = self._limited()
        calls = () if reason == "length" else self.reply.tool_calls
        *_, (due_s, _) = [
            (self.pace.first_token_s, tokens),
            *schedule(self._timed(tokens), self.pace),
        ]
        await self._sleep_until(due_s)
        return web.json_response(
            self._envelope().completion("".join(tokens), calls, reason, self._usage(tokens))
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        tokens, reason = self._limited()
        envelope = self._envelope()
        await self._sleep_until(self.pace.first_token_s)
        await response.write(wire.sse(envelope.chunk({"role": "assistant", "content": ""})))
        for due_s, group in schedule(tokens, self.pace):
            await self._sleep_until(due_s)
            await response.write(wire.sse(envelope.chunk({"content": "".join(group)})))
        if reason == "tool_calls":
            await self._stream_calls(response, envelope)
        # one write: a client that stops at `finish_reason` has the usage already
        await response.write(self._tail(envelope, reason, tokens))
        await response.write_eof()
        return response

    async def _stream_calls(self, response: web.StreamResponse, envelope: wire.Envelope) -> None:
        arguments = [tokenize(call.function.arguments) for call in self.reply.tool_calls]
        due_s = self.pace.first_token_s
        for index, call in enumerate(self.reply.tool_calls):
            head = call.model_dump() | {"index": index}
            head["function"] = {"name": call.function.name, "arguments": ""}
            await response.write(wire.sse(envelope.chunk({"tool_calls": [head]})))
            pace = Pace(due_s, self.pace.tokens_per_s)
            for due_s, group in schedule(arguments[index], pace):
                await self._sleep_until(due_s)
                delta = {"index": index, "function": {"arguments": "".join(group)}}
                await response.write(wire.sse(envelope.chunk({"tool_calls": [delta]})))

    def _tail(self, envelope: wire.Envelope, reason: str, tokens: Sequence[str]) -> bytes:
        parts = [wire.sse(envelope.chunk({}, reason))]
        if self.asked.wants_usage:
            parts.append(wire.sse(envelope.usage_chunk(self._usage(tokens))))
        return b"".join([*parts, wire.SSE_DONE])

    def _limited(self) -> tuple[list[str], str]:
        """The tokens that fit the caller's limit, and the finish reason."""
        tokens = tokenize(self.reply.text)
        limit = self.asked.token_limit
        if limit is not None and len(self._timed(tokens)) > limit:
            return tokens[:limit], "length"
        return tokens, "tool_calls" if self.reply.tool_calls else "stop"

    def _timed(self, tokens: Sequence[str]) -> list[str]:
        """All that costs time: the text and the arguments of tool calls."""
        calls = self.reply.tool_calls
        return [*tokens, *(t for call in calls for t in tokenize(call.function.arguments))]

    def _usage(self, tokens: Sequence[str]) -> dict[str, int]:
        prompt = sum(len(tokenize(message.text)) for message in self.asked.messages)
        return wire.usage(prompt, len(self._timed(tokens)))

    def _envelope(self) -> wire.Envelope:
        return wire.Envelope(
            f"chatcmpl-demo-{secrets.token_hex(8)}", int(time.time()), self.asked.model
        )

    async def _sleep_until(self, due_s: float) -> None:
        """Wait until `due_s` seconds after the request came."""
        if self.pace is INSTANT:
            return
        delay_s = self.started_s + due_s - asyncio.get_running_loop().time()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
