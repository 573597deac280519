"""Answer requests on a hand-written protocol, so that the server does not limit its clients.

One HTTP/1.1 connection is one `Connection`; nothing is parsed but the length, the script and
the agent's name. Paced answers follow an absolute schedule, so that lateness does not add up.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast

from benchmarks.mock_server import replies
from benchmarks.workload import MODEL, Pace, Script, agent_in

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream" *: *true')
_HEADERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_FAULT_AFTER = 0.5  # a faulty answer breaks after this share of its tokens


@dataclass(slots=True)
class Arrival:
    """One request, in seconds of the monotonic clock. `status` 0: still being answered."""

    tag: str
    agent: str
    arrived_s: float
    first_byte_s: float = 0.0
    ended_s: float = 0.0
    status: int = 0
    fault: str = ""


@dataclass(slots=True)
class Bucket:
    """A token bucket nobody is told of."""

    per_s: float
    burst: float
    level: float = 0.0
    at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        self.level = min(self.burst, self.level + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


@dataclass(slots=True)
class State:
    """What all connections share. `spoiled` are the calls that were answered badly once."""

    log: list[Arrival] = field(default_factory=list)
    bucket: Bucket | None = None
    spoiled: set[tuple[str, str]] = field(default_factory=set)

    def reset(self, per_s: float, burst: float) -> None:
        self.log, self.spoiled = [], set()
        self.bucket = Bucket(per_s, burst, burst, time.monotonic()) if per_s else None


class Connection(asyncio.Protocol):
    def __init__(self, state: State) -> None:
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._wanted = 0  # bytes of the request being read, 0: its head is not complete
        self._body_at = 0
        self._timer: asyncio.TimerHandle | None = None
        self._arrival: Arrival | None = None
        # the answer under way
        self._events: tuple[bytes, ...] = ()
        self._tail = b""
        self._next = 0
        self._start_s = 0.0
        self._pace = Pace()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._arrival is not None:
            self._end(499)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._wanted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            found = _LENGTH.search(self._buffer, 0, end + 2)
            self._body_at = end + 4
            self._wanted = self._body_at + (int(found[1]) if found else 0)
        if len(self._buffer) >= self._wanted:
            request = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = 0
            self._answer(request[: request.find(b"\r\n")], request[self._body_at :])

    def _answer(self, line: bytes, body: bytes) -> None:
        if b"/chat/completions" in line:
            self._chat(body)
        elif b"/bench/reset" in line:
            asked = json.loads(body or b"{}")
            self._state.reset(asked.get("per_s", 0.0), asked.get("burst", 0.0))
            self._json(200, {})
        elif b"/bench/log" in line:
            rows = [_row(arrival) for arrival in self._state.log]
            self._json(200, {"requests": rows, "cpu_s": time.process_time()})
        elif b"/models" in line:
            self._json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self._json(404, _error("there is no such address"))

    def _chat(self, body: bytes) -> None:
        now_s = time.monotonic()
        script, agent = Script.find(body), agent_in(body)
        if script is None or not _STREAM.search(body):
            self._json(400, _error("a request needs a script and stream=true"))
            return
        arrival = self._arrival = Arrival(script.tag, agent, now_s)
        self._state.log.append(arrival)
        if self._state.bucket is not None and not self._state.bucket.take(now_s):
            self._json(429, _error("Rate limit reached", "rate_limit_exceeded"))
            self._end(429)
            return
        if script.fault and (script.tag, agent) not in self._state.spoiled:
            self._state.spoiled.add((script.tag, agent))
            arrival.fault = script.fault
        self._pace = script.of(agent)
        self._events = replies.chunks(agent, self._pace.tokens, script.sections)
        self._tail = replies.tail(self._pace.tokens)
        self._next, self._start_s = 0, now_s
        if self._pace.first_token_s:
            self._timer = self._loop.call_later(self._pace.first_token_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        assert self._transport is not None and self._arrival is not None
        self._arrival.first_byte_s = time.monotonic()
        start = _HEADERS + replies.head()
        if self._pace.tokens_per_s or self._arrival.fault:
            self._transport.write(start)
            self._write_due()
            return
        self._transport.write(start + b"".join(self._events) + self._tail)
        self._end(200)

    def _write_due(self) -> None:
        """Write what is due by the schedule, and come back for the rest."""
        transport, arrival = self._transport, self._arrival
        assert transport is not None and arrival is not None
        count = len(self._events)
        since_s = time.monotonic() - self._start_s - self._pace.first_token_s
        rate = self._pace.tokens_per_s or float("inf")
        due = count if rate == float("inf") else min(count, int(since_s * rate + 1e-6) + 1)
        if arrival.fault and due >= count * _FAULT_AFTER:
            self._spoil(transport, arrival.fault)
            return
        if due > self._next:
            transport.write(b"".join(self._events[self._next : due]))
            self._next = due
        if since_s * rate + 1e-6 >= count:
            transport.write(self._tail)
            self._end(200)
            return
        at_s = self._start_s + self._pace.first_token_s + self._next / rate
        self._timer = self._loop.call_later(max(0.0, at_s - time.monotonic()), self._write_due)

    def _spoil(self, transport: asyncio.Transport, fault: str) -> None:
        """Break the answer in its middle: a clean end too early, nonsense, or silence."""
        transport.write(b"".join(self._events[self._next : int(len(self._events) * _FAULT_AFTER)]))
        if fault == "truncate":
            transport.write(b"0\r\n\r\n")
        elif fault == "malformed":
            broken = b'data: {"choices":[{"delta":{"content":"x\n\n'
            transport.write(b"%x\r\n%b\r\n" % (len(broken), broken) + self._tail)
        if fault != "stall":  # the client ends a stalled one
            self._end(200)

    def _end(self, status: int) -> None:
        assert self._arrival is not None
        self._arrival.ended_s, self._arrival.status = time.monotonic(), status
        self._arrival = None

    def _json(self, status: int, value: object) -> None:
        assert self._transport is not None
        body = json.dumps(value).encode()
        self._transport.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )


def _error(message: str, code: str = "") -> dict[str, object]:
    return {"error": {"message": message, "type": "requests", "param": None, "code": code or None}}


def _row(arrival: Arrival) -> dict[str, object]:
    return {name: getattr(arrival, name) for name in Arrival.__slots__}
