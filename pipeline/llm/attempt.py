"""One attempt of a call: send, read until `finish_reason`, keep the deadlines.

Raises one of our errors or returns a complete reply; whether to try again is `client.py`'s
business. The body's end is not waited for: whoever ran the attempt calls `drain` for usage that
comes late and for the connection to be used again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from openai import AsyncOpenAI

from pipeline.base_url import address
from pipeline.errors import (
    AuthError,
    CallError,
    ContextTooLong,
    DeadlineExceeded,
    ModelNotFound,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
    StreamBroken,
)
from pipeline.llm.call import AttemptObserver, Deadlines, ModelReply
from pipeline.llm.endings import Ending, ending_of
from pipeline.llm.failures import classify
from pipeline.llm.redact import as_sentence, provider_words
from pipeline.llm.stream import StreamError, StreamReader
from pipeline.llm.transport import translate, translate_midway, transport_errors
from pipeline.llm.wire import Answer, post
from pipeline.models import Usage

DRAIN_LIMIT_S = 2.0  # after the reply: for late usage and the body's end
CLOSE_LIMIT_S = 0.5
_LATE_SHARE = 0.05  # the idle deadline may fire this much late, so that it is set anew less often
_HOPELESS = (  # whenever they are told
    AuthError,
    ContextTooLong,
    ModelNotFound,
    NotAnEndpoint,
    ParameterRefused,
    QuotaError,
)

_logger = logging.getLogger(__name__)


class Attempt:
    """Use once: `run`, and after it returned `drain`.

    `on_headers` is given the headers of an answer that is not an error, before its body;
    `on_first_token` is called when content begins, whoever else is told.
    `sent_s` and `first_token_s` are the loop's time.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        body: dict[str, Any],
        deadlines: Deadlines,
        observer: AttemptObserver,
        number: int,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
        on_first_token: Callable[[], None] | None = None,
    ) -> None:
        self.sent_s = 0.0
        self.first_token_s: float | None = None
        self._on_headers = on_headers
        self._on_first_token = on_first_token
        self._client = client
        self._body = body
        self._deadlines = deadlines
        self._observer = observer
        self._number = number
        self._reader = StreamReader()
        self._answer: Answer | None = None
        self._told_usage: Usage | None = None
        self._progress = 0
        self._armed_s = 0.0
        self._has_content = False

    async def run(self) -> ModelReply:
        """Return the reply as soon as its `finish_reason` is there.

        Raises `CallError`. On any way out but a reply the connection is closed.
        """
        self.sent_s = _now()
        self._observer.sent(self._number, self._body["model"])
        first_s = min(self._deadlines.first_token_s, self._deadlines.total_s)
        try:
            async with asyncio.timeout(first_s) as limit:
                await self._send()
                await self._read(limit)
        except BaseException as exc:
            await self._close()
            if isinstance(exc, TimeoutError) and limit.expired():
                raise self._deadline_exceeded() from exc
            raise
        if self.is_over:
            self._note_afterthought()
        return self._reply()

    @property
    def is_over(self) -> bool:
        """True when the body has ended with the reply: there is nothing to drain."""
        return self._answer is not None and self._answer.is_over

    async def drain(self) -> None:
        """Read on to the body's end, for 2 s at most, and report usage that came after the reply."""
        answer = self._answer
        if answer is None:
            return
        try:
            async with asyncio.timeout(DRAIN_LIMIT_S):
                while data := await answer.next_block():
                    self._reader.feed(data)
                    if self._reader.done:
                        self._report_late_usage()
        except transport_errors() as exc:  # the limit's own TimeoutError among them
            # The reply is complete; only the provider's late figures may be missing.
            _logger.debug("the body did not end after the reply: %r", exc)
        finally:
            self._report_late_usage()
            self._note_afterthought()
            await self._close()

    @property
    def written(self) -> str:
        """The text that has come so far."""
        return self._reader.text

    @property
    def usage(self) -> Usage:
        """What has been told so far."""
        return self._reader.usage or Usage()

    async def _send(self) -> None:
        try:
            content = msgspec.json.encode(self._body)
            self._answer = await post(self._client, "/chat/completions", content)
        except transport_errors() as exc:
            raise translate(
                exc, self._base_url, model=self._body["model"], secrets=self._secrets
            ) from exc
        if self._on_headers is not None:
            self._on_headers(self._answer.headers)

    async def _read(self, limit: asyncio.Timeout) -> None:
        reader, answer = self._reader, self._answer
        assert answer is not None, "an answer is read after it was asked for"
        try:
            while data := await answer.next_block():
                self._take(reader.feed(data), limit)
                if reader.finish_reason is not None:
                    return
        except transport_errors() as exc:
            raise translate_midway(exc) from exc
        self._take(reader.close(), limit)
        if reader.finish_reason is None:
            raise self._incomplete()

    def _take(self, text: str, limit: asyncio.Timeout) -> None:
        """Pass on what came, push the idle deadline back, and stop at what cannot be a reply."""
        reader = self._reader
        if reader.progress != self._progress:
            self._progress = reader.progress
            if not self._has_content:
                self._has_content = True
                self.first_token_s = _now()
                if self._on_first_token is not None:
                    self._on_first_token()
                self._observer.first_token(self._number)
            self._push_back(limit)
            if text:
                self._observer.text(text)
        if reader.error is not None:
            raise self._reported(reader.error)
        if reader.malformed:
            raise StreamBroken(
                f"The endpoint sent {provider_words(reader.malformed, self._secrets)}.",
                "Try again; if it goes on, use another endpoint.",
            )
        if reader.kind in ("html", "foreign"):
            what = "a web page" if reader.kind == "html" else "something else"
            raise self._not_an_endpoint(what)
        if reader.finish_reason and ending_of(reader.finish_reason) is Ending.BROKEN:
            reason = provider_words(reader.finish_reason, self._secrets)
            raise StreamBroken(f"The endpoint broke the reply off ({reason}).", "Try again.")

    def _push_back(self, limit: asyncio.Timeout) -> None:
        now, idle_s = _now(), self._deadlines.idle_s
        end_s = self.sent_s + self._deadlines.total_s
        if self._armed_s < now + idle_s:  # not at every read: setting a timer costs more than one
            self._armed_s = now + idle_s * (1 + _LATE_SHARE)
            limit.reschedule(min(self._armed_s, end_s))

    def _reported(self, error: StreamError) -> CallError:
        """The provider's own error, sent with status 200."""
        told = classify(
            200, {}, {"error": error.body}, model=self._body["model"], secrets=self._secrets
        )
        if self._reader.kind == "json" or isinstance(told, _HOPELESS):
            return told
        return StreamBroken(
            "The endpoint reported an error while it was writing: "
            + as_sentence(told.provider_text or "no details"),
            "Try again; if it goes on, choose another model or endpoint.",
            provider_text=told.provider_text,
        )

    def _incomplete(self) -> CallError:
        reader = self._reader
        if reader.is_recognised or (self._is_event_stream and not reader.kind):
            return StreamBroken(
                "The reply ended before it was complete.",
                "Try again; if it goes on, check the endpoint and any proxy between.",
            )
        return self._not_an_endpoint("something else" if reader.kind else "an empty page")

    def _not_an_endpoint(self, what: str) -> NotAnEndpoint:
        return NotAnEndpoint(
            f"{address(self._base_url)} is not an OpenAI-compatible endpoint: it answered with {what}.",
            "Check the base URL; it usually ends in /v1.",
            status=200,
        )

    def _deadline_exceeded(self) -> DeadlineExceeded:
        limits = self._deadlines
        if _now() - self.sent_s >= limits.total_s:
            what = f"The reply was not complete after {limits.total_s:g} s."
        elif self._has_content:
            what = f"The model stopped writing: nothing came for {limits.idle_s:g} s."
        else:
            what = f"The model did not begin to write within {limits.first_token_s:g} s."
        error = DeadlineExceeded(what, "Try again in a while, or use another model.")
        error.began = self._has_content
        return error

    def _reply(self) -> ModelReply:
        reader = self._reader
        state = reader.choices[0]
        self._told_usage = reader.usage
        return ModelReply(
            text=reader.text,
            finish_reason=provider_words(state.finish_reason or "", self._secrets),
            tool_calls=tuple(call for _, call in sorted(state.tool_calls.items())),
            usage=reader.usage or Usage(),
            response_model=provider_words(reader.response_model, self._secrets),
            refusal="".join(state.refusal),
        )

    def _note_afterthought(self) -> None:
        """What followed the reply does not undo it, but somebody may look for it."""
        if words := provider_words(self._reader.afterthought, self._secrets):
            _logger.warning("after its reply the endpoint sent %s", words)

    def _report_late_usage(self) -> None:
        usage = self._reader.usage
        if usage is not None and usage != self._told_usage:
            self._told_usage = usage
            self._observer.usage(usage)

    async def _close(self) -> None:
        """Close the socket, or hand it back when the body was read to its end."""
        if self._answer is None:
            return
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._answer.aclose()
        except transport_errors() as exc:  # a TimeoutError among them
            _logger.debug("the connection did not close cleanly: %r", exc)

    @property
    def _is_event_stream(self) -> bool:
        headers = self._answer.headers if self._answer is not None else {}
        return "event-stream" in headers.get("content-type", "")

    @property
    def _base_url(self) -> str:
        return str(self._client.base_url)

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (self._client.api_key,)


def _now() -> float:
    return asyncio.get_running_loop().time()
