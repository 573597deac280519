"""The demo's HTTP server: OpenAI's chat-completions protocol on loopback.

Decides who may ask (bearer token, Host header; no CORS) and what is refused. What an answer says
is `compose`'s matter, how long it takes `latency`'s, how it leaves `answer`'s.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import ValidationError

from pipeline.errors import DemoUnavailable
from pipeline.llm.demo import HOST, LABEL, wire
from pipeline.llm.demo.answer import Answer
from pipeline.llm.demo.compose import compose
from pipeline.llm.demo.latency import draw_pace
from pipeline.models import DEMO_LABEL, Endpoint, Speed

MAX_BODY_BYTES = 4 * 1024 * 1024
SHUTDOWN_S = 1.0  # how long streams in flight may hold the server open

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def tell(endpoint: Endpoint) -> None:
    """Print what another program needs to use this demo."""
    sys.stdout.write(
        f"{DEMO_LABEL}. Stop with Ctrl+C.\n"
        f"OPENAI_BASE_URL={endpoint.base_url}\n"
        f"OPENAI_API_KEY={endpoint.api_key}\n"
        f"OPENAI_MODEL={wire.DEMO_MODEL}\n"
    )
    sys.stdout.flush()


async def serve(
    port: int = 0,
    speed: Speed = "realistic",
    token: str | None = None,
    *,
    announce: Callable[[Endpoint], None] = tell,
    until: Awaitable[object] | None = None,
) -> None:
    """Serve until cancelled, or until `until` is done. `announce` is told the address and key."""
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
    pace = draw_pace(speed, asked.seed or 0, reply.agent, reply.call)
    answer = Answer.to(asked, reply, pace, started_s)
    return await answer.stream(request) if asked.stream else await answer.whole()


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
