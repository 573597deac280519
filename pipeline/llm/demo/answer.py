"""One composed reply on its way out: cut to the caller's limit, paced, whole or as a stream."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from pipeline.llm.demo import wire
from pipeline.llm.demo.compose import Reply
from pipeline.llm.demo.latency import Pace, schedule, tokenize


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and its pace; waits on an absolute schedule, so that delays do not add up.

    `started_s` is when the request came, on the running loop's clock.
    """

    asked: wire.ChatRequest
    tokens: list[str]
    tool_calls: tuple[wire.CalledTool, ...]
    finish_reason: str
    pace: Pace
    started_s: float

    @classmethod
    def to(cls, asked: wire.ChatRequest, reply: Reply, pace: Pace, started_s: float) -> Answer:
        """Cut `reply` to the tokens the caller allows; a cut reply makes no tool calls."""
        tokens, calls = tokenize(reply.text), reply.tool_calls
        limit = asked.token_limit
        if limit is not None and len(tokens) + _argument_tokens(calls) > limit:
            return cls(asked, tokens[:limit], (), "length", pace, started_s)
        reason = "tool_calls" if calls else "stop"
        return cls(asked, tokens, calls, reason, pace, started_s)

    async def whole(self) -> web.Response:
        await self._sleep_until(self.pace.due_s(self._count))
        return web.json_response(
            self._envelope().completion(
                "".join(self.tokens), self.tool_calls, self.finish_reason, self._usage()
            )
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        try:
            await self._stream(request, response)
        except ConnectionResetError:
            return response  # the caller has left; there is nobody to tell
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        envelope = self._envelope()
        await self._sleep_until(self.pace.first_token_s)
        await response.write(wire.sse(envelope.chunk({"role": "assistant", "content": ""})))
        for due_s, group in schedule(self.tokens, self.pace):
            await self._sleep_until(due_s)
            await response.write(wire.sse(envelope.chunk({"content": "".join(group)})))
        await self._stream_calls(response, envelope)
        # one write: a client that stops at `finish_reason` has the usage already
        await response.write(self._tail(envelope))
        await response.write_eof()

    async def _stream_calls(self, response: web.StreamResponse, envelope: wire.Envelope) -> None:
        sent = 0
        for index, call in enumerate(self.tool_calls):
            head = call.model_dump() | {"index": index}
            head["function"] = {"name": call.function.name, "arguments": ""}
            await response.write(wire.sse(envelope.chunk({"tool_calls": [head]})))
            arguments = tokenize(call.function.arguments)
            for due_s, group in schedule(arguments, self.pace, sent=sent):
                await self._sleep_until(due_s)
                delta = {"index": index, "function": {"arguments": "".join(group)}}
                await response.write(wire.sse(envelope.chunk({"tool_calls": [delta]})))
            sent += len(arguments)

    def _tail(self, envelope: wire.Envelope) -> bytes:
        parts = [wire.sse(envelope.chunk({}, self.finish_reason))]
        if self.asked.wants_usage:
            parts.append(wire.sse(envelope.usage_chunk(self._usage())))
        return b"".join([*parts, wire.SSE_DONE])

    @property
    def _count(self) -> int:
        return len(self.tokens) + _argument_tokens(self.tool_calls)

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(tokenize(message.text)) for message in self.asked.messages)
        return wire.usage(prompt, self._count)

    def _envelope(self) -> wire.Envelope:
        return wire.Envelope(
            f"chatcmpl-demo-{secrets.token_hex(8)}", int(time.time()), self.asked.model
        )

    async def _sleep_until(self, due_s: float) -> None:
        delay_s = self.started_s + due_s - asyncio.get_running_loop().time()
        if delay_s > 0:
            await asyncio.sleep(delay_s)


_STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
}


def _argument_tokens(calls: Iterable[wire.CalledTool]) -> int:
    return sum(len(tokenize(call.function.arguments)) for call in calls)
