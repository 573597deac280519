"""Read a chat-completions stream: bytes in, a reply out. No I/O, no clock.

Decides what the bytes mean, whatever a provider does with the format: any line ending, comments,
a byte order mark, data over several lines, missing or oddly typed fields, no `[DONE]`, a plain
JSON body or a JSON line per chunk instead of a stream, errors in any place. Whether to wait for more, to try again or to give up is the
caller's business.

A reply is over with its first choice's `finish_reason`, whatever follows (an error, more text,
another stream): what it is must not depend on how the network cut the bytes. With
`whole_body=True` the reader goes on, for those who want to know all that was sent.

Well-formed chunks take the fast path (one typed msgspec decode); the rest is read by
`odd_chunks.py` into the same structs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from pipeline.llm.call import ToolCall
from pipeline.llm.odd_chunks import Chunk, Delta, UsageCount, read_chunk
from pipeline.llm.tool_deltas import add_tool
from pipeline.models import Usage

MAX_EVENT_BYTES = 4_000_000  # one line, or a whole body that is not a stream
MAX_EVENT_LINES = 500
MAX_REPLY_CHARS = 2_000_000  # text and reasoning of one reply
MAX_TOOL_CALLS = 128  # in one reply
_BOM = b"\xef\xbb\xbf"

_decode = msgspec.json.Decoder(Chunk).decode
# named events that say nothing but "still there"; what they carry is nobody's
_KEEP_ALIVES = (b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # by the fast path


@dataclass(slots=True)
class ChoiceState:
    """What one choice has said so far. `text` is None until it sent any text, even empty."""

    text: list[str] | None = None
    half: str = ""  # of a character that two chunks share
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tool_calls: dict[int, ToolCall] = field(default_factory=dict)
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class StreamError:
    """The provider reported an error inside a body with status 200."""

    body: object  # decoded JSON, or the text itself


class StreamReader:
    """Feed it bytes as they come, then `close` it; read the result from its attributes.

    After the reply is over only `usage` still changes, unless the whole body is asked for.
    """

    def __init__(self, *, whole_body: bool = False) -> None:
        self._is_whole_body_read = whole_body
        self.choices: dict[int, ChoiceState] = {}
        self.usage: Usage | None = None
        self.response_model = ""
        self.error: StreamError | None = None
        self.malformed = ""  # why the stream cannot be trusted
        self.afterthought = ""  # what was wrong after the reply was over
        self.done = False  # `[DONE]` was seen
        self.kind = ""  # "", then "events", "json", "html" or "foreign" (JSON of something else)
        self.is_recognised = False  # at least one line was an event stream's, or the JSON a reply
        self.progress = 0  # grows with content: text, reasoning, refusal, tool calls
        self._fresh: list[str] = []
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._pending: list[bytes] = []
        self._event = b""
        self._skip_newline = False
        self._is_json_by_line: bool | None = None  # decided when the first line has ended

    @property
    def text(self) -> str:
        """Text of the first choice."""
        state = self.choices.get(0)
        return "".join(state.text or ()) if state else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None while it has not."""
        state = self.choices.get(0)
        return state.finish_reason if state else None

    def feed(self, data: bytes) -> str:
        """Take the next bytes; return the text they add to the first choice."""
        if self.done or self.malformed:
            return ""
        if not self.kind:
            data = self._sniff(data)
        if self.kind == "events":
            self._feed_lines(data)
        elif self.kind == "json":
            self._feed_json(data)
        return self._take_fresh()

    def close(self) -> str:
        """The body has ended. Return text that only now became complete."""
        rest = b"".join(self._tail)
        self._tail.clear()
        if self.kind == "json" and not self._is_json_by_line:
            self._read_body(rest)
        elif self.kind == "json":
            self._json_line(rest, is_last=True)
        elif self.kind == "events" and not self.done:
            if rest:
                self._line(rest, is_last=True)
            self._pending.clear()  # a chunk cut in the middle: incomplete, not malformed
        return self._take_fresh()

    def _take_fresh(self) -> str:
        if not self._fresh:
            return ""
        fresh = "".join(self._fresh)
        self._fresh.clear()
        return fresh

    def _sniff(self, data: bytes) -> bytes:
        """Find out what the body is; return its bytes so far once that is known."""
        self._keep(data)
        head = b"".join(self._tail)
        if _BOM.startswith(head[:3]) and len(head) < 3:
            return b""
        start = head.removeprefix(_BOM).lstrip()
        if not start:
            return b""
        self.kind = {b"<": "html", b"{": "json", b"[": "json"}.get(start[:1], "events")
        self._tail, self._tail_bytes = [], 0
        return start

    def _keep(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_bytes += len(data)
        if self._tail_bytes > MAX_EVENT_BYTES:
            self._too_large()

    def _too_large(self) -> None:
        self._spoil(
            f"a single event of more than {MAX_EVENT_BYTES:,} bytes or {MAX_EVENT_LINES} lines"
        )

    def _feed_json(self, data: bytes) -> None:
        """One value that ends with the body; or, when the first line is whole, one per line."""
        if self._is_json_by_line is None and b"\n" in data:
            first = b"".join(self._tail) + data.split(b"\n", 1)[0]
            self._is_json_by_line = read_chunk(first) is not None
        if self._is_json_by_line:
            self._feed_lines(data)
        else:
            self._keep(data)

    def _feed_lines(self, data: bytes) -> None:
        if self._skip_newline and data:
            self._skip_newline = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_newline = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        if lines:
            if self._tail:
                lines[0] = b"".join(self._tail) + lines[0]
                self._tail.clear()
                self._tail_bytes = 0
            for line in lines:
                if line:
                    self._line(line)
                elif self._pending or self._event:
                    self._end_of_event()
                if self.done or self.malformed or self.kind == "foreign":
                    return
        if rest:
            self._keep(rest)

    def _line(self, line: bytes, *, is_last: bool = False) -> None:
        if line.startswith(b"data:"):
            self.is_recognised = True
            self._data(line[5:], is_last)
        elif self.kind == "json":
            self._json_line(line)
        elif line.startswith(b"event:"):
            self.is_recognised = True
            self._event = line[6:].strip()
        elif line.startswith((b":", b"id:", b"retry:")):
            self.is_recognised = True
        elif line.startswith(b"error:"):  # older llama.cpp
            self.is_recognised = True
            self._report(_error_in(line[6:]))
        elif line.startswith(b"{"):  # a server or proxy that fell out of the format
            stray = read_chunk(line, is_whole_body=True)
            if stray is not None and stray.error:
                self._report(stray.error)

    def _json_line(self, line: bytes, *, is_last: bool = False) -> None:
        if not line.strip():
            return
        chunk = read_chunk(line, is_whole_body=True)
        if chunk is None:
            if not is_last:  # else: cut in the middle, so incomplete
                self._spoil("a line that is not JSON")
        elif chunk.choices or chunk.error is not None or self.is_recognised:
            self.is_recognised = True
            self._apply(chunk)
        else:
            self.kind = "foreign"

    def _data(self, payload: bytes, is_last: bool) -> None:
        """Read one data line at once: most providers send a chunk per line.

        A line that is not JSON by itself waits for the lines after it.
        """
        if not self._pending and self._event != b"error":
            try:
                chunk = _decode(payload)
            except _UNREADABLE:
                pass
            else:
                self._apply(chunk if chunk.choices is not None else read_chunk(payload) or chunk)
                return
        stripped = payload.strip()
        if stripped == b"[DONE]":
            self.done = True
            return
        if not stripped:
            return
        self._pending.append(payload)
        whole = b"\n".join(self._pending)
        if len(whole) > MAX_EVENT_BYTES or len(self._pending) > MAX_EVENT_LINES:
            self._too_large()
        elif odd := read_chunk(whole, is_error=self._event == b"error"):
            self._pending.clear()
            self._apply(odd)
        elif self._event == b"error" and is_last:
            self._end_of_event()

    def _end_of_event(self) -> None:
        if self._pending:
            whole = b"\n".join(self._pending).decode("utf-8", "replace")
            self._pending.clear()
            if self._event == b"error":
                self._report(whole.strip())
            elif self._event.lower() not in _KEEP_ALIVES:
                self._spoil(f"a chunk that is not JSON: {whole[:80]}")
        self._event = b""

    def _read_body(self, body: bytes) -> None:
        chunk = read_chunk(body, is_whole_body=True)
        if chunk is None:
            self.malformed = "a body that is not whole JSON"
            return
        if not chunk.choices and chunk.error is None:
            return  # JSON, but nothing of ours
        self.is_recognised = True
        self._apply(chunk)

    @property
    def _is_over(self) -> bool:
        return self.finish_reason is not None and not self._is_whole_body_read

    def _report(self, body: object) -> None:
        if self._is_over:
            self.afterthought = self.afterthought or f"an error: {body}"
        else:
            self.error = self.error or StreamError(body)

    def _spoil(self, why: str) -> None:
        """Stop reading."""
        if self._is_over:
            self.afterthought, self.done = self.afterthought or why, True
        else:
            self.malformed = why

    def _apply(self, chunk: Chunk) -> None:
        if chunk.error:
            self._report(chunk.error)
        if chunk.model:
            self.response_model = chunk.model
        if chunk.usage is not None:
            self._count(chunk.usage)
        if chunk.x_groq is not None:
            if chunk.x_groq.usage is not None:
                self._count(chunk.x_groq.usage)
            if chunk.x_groq.error:
                self._report(chunk.x_groq.error)
        for choice in chunk.choices or ():
            if choice.error:
                self._report(choice.error)
            index = choice.index or 0
            state = self.choices.get(index)
            if state is None:
                state = self.choices[index] = ChoiceState()
            elif state.finish_reason is not None and not self._is_whole_body_read:
                continue
            delta = choice.delta
            if delta is None and choice.message is not None and not state.text:
                delta = choice.message  # a whole reply where a piece was expected
            if delta is not None:
                self._add(state, delta, is_first=index == 0)
            if choice.finish_reason and choice.finish_reason != "null":
                state.finish_reason = choice.finish_reason

    def _count(self, usage: UsageCount) -> None:
        """The last value wins, field by field."""
        told, known = usage.tokens(), self.usage or Usage()
        if told != Usage():
            self.usage = Usage(
                known.input_tokens if told.input_tokens is None else told.input_tokens,
                known.output_tokens if told.output_tokens is None else told.output_tokens,
            )

    def _add(self, state: ChoiceState, delta: Delta, *, is_first: bool) -> None:
        text = delta.content
        if text is not None:
            if state.text is None:
                state.text = []
            if (state.half or not text.isascii()) and text:
                text = _mended(state, text)
            if text:
                self._grow(len(text))
                state.text.append(text)
                if is_first:
                    self._fresh.append(text)
        if reasoning := delta.reasoning_content or delta.reasoning:
            self._grow(len(reasoning))
            state.reasoning.append(reasoning)
        if delta.refusal:
            self._grow(len(delta.refusal))
            state.refusal.append(delta.refusal)
        for tool in delta.tool_calls or ():
            self._grow(len(tool.written) + 1)
            add_tool(state.tool_calls, tool, is_over=state.finish_reason is not None)
            if len(state.tool_calls) > MAX_TOOL_CALLS:
                self._spoil(f"more than {MAX_TOOL_CALLS} tool calls in one reply")
                return

    def _grow(self, amount: int) -> None:
        self.progress += amount
        if self.progress > MAX_REPLY_CHARS:
            self._spoil(f"more than {MAX_REPLY_CHARS:,} characters without an end")


def _error_in(payload: bytes) -> object:
    chunk = read_chunk(payload, is_error=True)
    return payload.decode("utf-8", "replace").strip() if chunk is None else chunk.error


def _mended(state: ChoiceState, text: str) -> str:
    """Join characters that were sent in two halves; keep a half at the end for the next chunk."""
    text, state.half = state.half + text, ""
    try:
        text.encode()
    except UnicodeEncodeError:
        if "\ud800" <= text[-1] <= "\udbff":
            text, state.half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
