"""A scripted HTTP server on loopback: every request gets the next answer of the script.

It speaks HTTP by hand, so that it can also break it: pause, cut, reset, fall silent, never end.

    async with FaultServer() as server:
        server.script = [error(429, {"error": {"message": "slow down"}}), stream(text("Hello"))]
        client = make_client(server.endpoint)
        ...
        assert server.requests[0].json["model"] == "m"

An answer is a list of steps: bytes to send, or one of `Pause`, `Wait`, `Repeat`, `Reset`, `Close`.
After the last step the body ends as its framing says and the connection stays open.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal

from pipeline.models import Endpoint

KEY = "sk-test-1234567890"


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the event is set, or the client hangs up."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send `data` every `every_s` until the client hangs up."""

    data: bytes
    every_s: float


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in order, but where the body has not ended."""


Step = bytes | Pause | Wait | Repeat | Reset | Close
SILENCE = Pause(60.0)  # longer than any test; ends when the client hangs up


@dataclass(frozen=True, slots=True)
class Answer:
    """`framing`: `chunked`, `length` (steps are bytes only) or `close` (the body ends with the
    connection)."""

    steps: Sequence[Step]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Literal["chunked", "length", "close"] = "chunked"


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float  # the loop's time
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)  # while it was being answered

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FaultServer:
    """`script` is used up in order; then `default` answers, or status 418 when there is none."""

    def __init__(self, *script: Answer, default: Answer | None = None) -> None:
        self.script: list[Answer] = list(script)
        self.default = default
        self.requests: list[Request] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.endpoint = Endpoint(f"http://127.0.0.1:{self.port}/v1", KEY, "fault server")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        self.hang_up()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def hang_up(self) -> None:
        """Close every connection, in the loop's next turn."""
        for task in self._open:
            task.cancel()

    async def until_idle(self) -> None:
        """Wait until every connection is closed."""
        async with asyncio.timeout(5):
            while self._open:
                await asyncio.wait(self._open)

    async def answer_to(self, request: Request) -> Answer:
        """What the next request gets."""
        return self.script.pop(0) if self.script else self.default or _UNSCRIPTED

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._converse(reader, writer)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        while request := await _read_request(reader, first):
            self.requests.append(request)
            self.arrived.set()
            answer = await self.answer_to(request)
            next_byte = asyncio.create_task(reader.read(1))
            try:
                stays_open = await _Sending(writer, answer, next_byte).run()
                if not stays_open:
                    return
                first = await next_byte
            except ConnectionError:
                request.hung_up.set()
                raise
            finally:
                if next_byte.done() and not next_byte.cancelled() and not next_byte.exception():
                    if next_byte.result() == b"":
                        request.hung_up.set()
                else:
                    request.hung_up.set() if next_byte.done() else next_byte.cancel()
            if not first:
                return


async def _read_request(reader: asyncio.StreamReader, first: bytes) -> Request | None:
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = request_line.split(" ", 2)
    return Request(method, path, headers, body, asyncio.get_running_loop().time())


@dataclass(slots=True)
class _Sending:
    """One answer on its way. `next_byte` is done when the client hangs up."""

    writer: asyncio.StreamWriter
    answer: Answer
    next_byte: asyncio.Task[bytes]

    async def run(self) -> bool:
        """Send it all; False when the connection is or must be closed."""
        self._head()
        for step in self.answer.steps:
            if not await self._step(step):
                return False
        if self.answer.framing == "chunked":
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()
        if self.answer.framing == "close":
            return self._close()
        return True

    def _head(self) -> None:
        answer = self.answer
        headers = {"content-type": "text/event-stream", **answer.headers}
        if answer.framing == "chunked":
            headers["transfer-encoding"] = "chunked"
        elif answer.framing == "length":
            headers["content-length"] = str(
                sum(len(s) for s in answer.steps if isinstance(s, bytes))
            )
        else:
            headers["connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def _step(self, step: Step) -> bool:
        match step:
            case bytes():
                await self._send(step)
            case Pause(seconds):
                return await self._idle(seconds)
            case Wait(event):
                return await self._until(event)
            case Repeat(data, every_s):
                while await self._idle(every_s):
                    await self._send(data)
                return False
            case Reset():
                return self._reset()
            case Close():
                await self.writer.drain()
                return self._close()
        return True

    async def _send(self, data: bytes) -> None:
        if self.answer.framing == "chunked":
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.writer.write(data)
        await self.writer.drain()

    async def _idle(self, seconds: float) -> bool:
        done, _ = await asyncio.wait({self.next_byte}, timeout=seconds)
        return not done

    async def _until(self, event: asyncio.Event) -> bool:
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({self.next_byte, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done()
        finally:
            waiting.cancel()

    def _reset(self) -> bool:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        return False

    def _close(self) -> bool:
        self.writer.close()
        return False


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unnamed"


# What endpoints send


def data(chunk: object) -> bytes:
    """One event with JSON in it."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> bytes:
    return data({"choices": [{"index": index, "delta": fields, "finish_reason": finish}]})


def text(content: str) -> bytes:
    return delta(content=content)


def finish(reason: str = "stop") -> bytes:
    return delta(finish=reason)


def usage(sent: int, written: int) -> bytes:
    counts = {"prompt_tokens": sent, "completion_tokens": written}
    return data({"choices": [], "usage": counts})


DONE = b"data: [DONE]\n\n"


def stream(*steps: Step, framing: Literal["chunked", "close"] = "chunked") -> Answer:
    """An event stream of exactly these steps."""
    return Answer(steps, framing=framing)


def completion(content: str, sent: int = 3, written: int = 2) -> Answer:
    """A whole, good stream."""
    return stream(text(content), finish() + usage(sent, written) + DONE)


def error(status: int, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An error response; `body` is JSON, or text as it is."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer([raw], status, {"content-type": "application/json", **(headers or {})}, "length")


def page(html: str = "<!doctype html><title>Welcome</title>", status: int = 200) -> Answer:
    """A web page where an endpoint should be."""
    return Answer([html.encode()], status, {"content-type": "text/html"}, "length")


def json_body(value: object) -> Answer:
    """A JSON answer with status 200."""
    return error(200, value)


_UNSCRIPTED = error(418, {"error": {"message": "no answer is scripted for this request"}})
