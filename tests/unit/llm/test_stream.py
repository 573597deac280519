"""The stream reader against recordings of real providers, and against what it has to survive."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm import stream
from pipeline.llm.call import ToolCall
from pipeline.llm.stream import StreamReader
from pipeline.models import Usage
from tests.fault_server import DONE, data, delta, finish, text, usage

STREAMS = Path(__file__).parents[2] / "data" / "streams"
INDEX: list[dict[str, Any]] = json.loads((STREAMS / "index.json").read_text())["streams"]


def read(body: bytes, size: int = 0, *, whole_body: bool = False) -> tuple[StreamReader, str]:
    """Read `body` in pieces of `size` bytes; return the reader and the text it handed out."""
    reader = StreamReader(whole_body=whole_body)
    size = size or max(1, len(body))
    given_out = [reader.feed(body[i : i + size]) for i in range(0, len(body), size)]
    given_out.append(reader.close())
    return reader, "".join(given_out)


def summary(reader: StreamReader) -> dict[str, Any]:
    """Everything the reader found out, in the words of `index.json`."""
    choices = {str(index): choice for index, choice in reader.choices.items()}
    texts = {i: "".join(c.text) for i, c in choices.items() if c.text is not None}
    error = reader.error.body if reader.error else None
    return {
        "content_sha16": {i: hashlib.sha256(t.encode()).hexdigest()[:16] for i, t in texts.items()},
        "content_len": {i: len(t) for i, t in texts.items()},
        "content_head": {i: t[:60] for i, t in texts.items()},
        "reasoning_len": {i: len("".join(c.reasoning)) for i, c in choices.items() if c.reasoning},
        "finish": {i: c.finish_reason for i, c in choices.items() if c.finish_reason},
        "tool_calls": {
            f"{i}.{n}": {"id": call.id, "name": call.name, "arguments": call.arguments}
            for i, c in choices.items()
            for n, call in c.tool_calls.items()
        },
        "refusal_len": sum(len("".join(c.refusal)) for c in choices.values()),
        "usage": reader.usage,
        "error": error["code"] if isinstance(error, dict) else error,
    }


def expected(entry: dict[str, Any]) -> dict[str, Any]:
    expect = dict(entry["expect"])
    told = expect["usage"]
    expect["usage"] = told and Usage(told["prompt_tokens"], told["completion_tokens"])
    return expect


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "1-byte", "7-byte"])
@pytest.mark.parametrize("entry", INDEX, ids=[entry["file"] for entry in INDEX])
def test_a_recorded_stream_reads_as_its_index_says(entry: dict[str, Any], size: int) -> None:
    reader, given_out = read((STREAMS / entry["file"]).read_bytes(), size, whole_body=True)

    assert summary(reader) == expected(entry)
    assert given_out == reader.text
    assert not reader.malformed


@given(
    entry=st.sampled_from([e for e in INDEX if e["bytes"] < 30_000]),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    bom=st.booleans(),
    cuts=st.lists(st.integers(0, 30_000), max_size=40),
)
def test_any_line_ending_and_any_cut_give_the_same_result(
    entry: dict[str, Any], ending: bytes, bom: bool, cuts: list[int]
) -> None:
    body = (STREAMS / entry["file"]).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", ending)
    body = b"\xef\xbb\xbf" + body if bom else body
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    reader = StreamReader(whole_body=True)

    for start, end in pairwise(edges):
        reader.feed(body[start:end])
    reader.close()

    assert summary(reader) == expected(entry)


def verdict(reader: StreamReader) -> tuple[Any, ...]:
    """What decides whether there is a reply, and which."""
    state = reader.choices.get(0)
    calls = sorted(state.tool_calls.items()) if state else []
    error = reader.error.body if reader.error else None
    return reader.text, reader.finish_reason, calls, error, reader.malformed


AFTERTHOUGHTS: dict[str, bytes] = {
    "an error": data({"error": {"message": "too late", "code": 400}}),
    "an error line": b"error: too late\n\n",
    "an error of a choice": data({"choices": [{"error": "too late"}]}),
    "a broken chunk": b"data: {nonsense\n\n" + text("late"),
    "more text": text("late"),
    "a tool call": delta(tool_calls=[{"index": 0, "function": {"name": "late"}}]),
    "another reason": finish("length"),
    "another stream": text("late") + finish("tool_calls") + DONE,
}


@pytest.mark.parametrize("size", [0, 1, 7, 60], ids=["whole", "1-byte", "7-byte", "60-byte"])
@pytest.mark.parametrize("name", AFTERTHOUGHTS)
def test_what_follows_the_end_of_a_reply_does_not_change_it(name: str, size: int) -> None:
    reader, given_out = read(text("a") + finish() + usage(3, 2) + AFTERTHOUGHTS[name], size)

    assert verdict(reader) == ("a", "stop", [], None, "")
    assert (given_out, reader.usage) == ("a", Usage(3, 2))
    assert bool(reader.afterthought) == any(w in name for w in ("error", "broken"))


def test_an_error_in_the_chunk_that_ends_the_reply_is_an_error() -> None:
    body = {"choices": [{"delta": {}, "finish_reason": "stop"}], "error": {"message": "no"}}

    reader, _ = read(text("a") + data(body))

    assert reader.error is not None


@given(
    entry=st.sampled_from([e for e in INDEX if e["bytes"] < 30_000]),
    cuts=st.lists(st.integers(0, 30_000), max_size=40),
)
def test_a_recorded_reply_is_the_same_wherever_the_bytes_are_cut(
    entry: dict[str, Any], cuts: list[int]
) -> None:
    body = (STREAMS / entry["file"]).read_bytes()
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    whole, _ = read(body)
    reader = StreamReader()

    given_out = [reader.feed(body[start:end]) for start, end in pairwise(edges)]
    given_out.append(reader.close())

    assert verdict(reader) == verdict(whole)
    assert reader.usage == whole.usage
    assert "".join(given_out) == whole.text


CHUNK = data({"choices": [{"index": 0, "delta": {"content": "é😀"}, "finish_reason": None}]})
ODD_BODIES: dict[str, tuple[bytes, str]] = {
    "comments": (b": ping\n\n" + text("a") + b":\n\n" + finish(), "a"),
    "no space after the colon": (text("a").replace(b"data: ", b"data:") + finish(), "a"),
    "other fields": (b"id: 1\nretry: 5\nevent: message\n" + text("a") + finish(), "a"),
    "one newline between events": (
        (text("a") + text("b") + finish()).replace(b"\n\n", b"\n"),
        "ab",
    ),
    "no newline at the end": (text("a") + finish().rstrip(), "a"),
    "escaped non-ASCII": (CHUNK + finish(), "é😀"),
    "data over several lines": (
        b'data: {"choices": [{"delta":\ndata: {"content": "a"}}]}\n\n' + finish(),
        "a",
    ),
    "content as a list": (
        delta(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]) + finish(),
        "ab",
    ),
    "content as one part": (delta(content={"type": "text", "text": "a"}) + finish(), "a"),
    "null everywhere": (
        data({"choices": None, "usage": None, "model": None, "error": None})
        + data({"choices": [{"index": None, "delta": None, "finish_reason": None}]})
        + delta(content=None, tool_calls=None, role=None)
        + text("a")
        + finish(),
        "a",
    ),
    "null as text": (delta(finish="null", content="a") + text("b") + finish(), "ab"),
    "no index": (data({"choices": [{"delta": {"content": "a"}}]}) + finish(), "a"),
    "numbers as text": (
        data(
            {
                "choices": [{"index": "0", "delta": {"content": "a"}}],
                "usage": {"prompt_tokens": "3"},
            }
        )
        + finish(),
        "a",
    ),
    "choices of no known shape": (data({"choices": "none"}) + text("a") + finish(), "a"),
    "a ping that is no JSON": (
        b"event: ping\ndata: 2026-11-27T07:00:00Z\n\n" + text("a") + finish(),
        "a",
    ),
    "a ping as data": (b"event: ping\ndata: {}\n\n" + text("a") + b"data: 1\n\n" + finish(), "a"),
    "empty data": (b"data:\n\ndata: \n\n" + text("a") + finish(), "a"),
    "text after [DONE]": (text("a") + finish() + DONE + text("b"), "a"),
    "blank lines first": (b"\n\r\n\n" + text("a") + finish(), "a"),
    "cumulative message beside the delta": (
        data({"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]})
        + data({"choices": [{"delta": {"content": "b"}, "message": {"content": "ab"}}]})
        + finish(),
        "ab",
    ),
    "a whole message in one event": (
        data({"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}),
        "ab",
    ),
    "raw control characters": (
        b'data: {"choices": [{"delta": {"content": "a\t\x01b"}}]}\n\n' + finish(),
        "a\t\x01b",
    ),
    "a JSON line per chunk": (
        (text("a") + text("b") + finish()).replace(b"data: ", b"").replace(b"\n\n", b"\n"),
        "ab",
    ),
    "JSON lines with CRLF, the last one without": (
        (text("a") + finish()).replace(b"data: ", b"").replace(b"\n\n", b"\r\n").rstrip(),
        "a",
    ),
    "a plain JSON completion on a line": (
        json.dumps({"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}).encode()
        + b"\n",
        "ab",
    ),
    "a plain JSON completion, indented": (
        json.dumps(
            {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}, indent=1
        ).encode(),
        "ab",
    ),
    "a plain JSON completion": (
        json.dumps({"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}).encode(),
        "ab",
    ),
}


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "1-byte", "7-byte"])
@pytest.mark.parametrize("name", ODD_BODIES)
def test_an_odd_stream_is_read_like_an_ordinary_one(name: str, size: int) -> None:
    body, wanted = ODD_BODIES[name]

    reader, given_out = read(body, size)

    assert (reader.text, given_out) == (wanted, wanted)
    assert reader.finish_reason == "stop"
    assert reader.error is None and not reader.malformed


BAD_UTF8 = b'data: {"choices": [{"delta": {"content": "caf\xe9"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "1-byte", "7-byte"])
@pytest.mark.parametrize("end", [b"", b"\n\n"], ids=["last", "midway"])
def test_bytes_that_are_no_utf8_are_replaced(end: bytes, size: int) -> None:
    reader, given_out = read(text("a ") + BAD_UTF8 + end, size)

    assert (reader.text, given_out, reader.malformed) == ("a caf\ufffd", "a caf\ufffd", "")
    assert reader.finish_reason == "stop"


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"delta": {"content": %s}}]}',
        b'{"choices": [], "logprobs": %s}',
        b'{"choices": [], "error": %s}',
        b'{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": %s}}]}}]}',
    ],
)
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"text":', b"}")])
@pytest.mark.parametrize("depth", [400, 980, 50_000])
def test_nesting_without_end_is_malformed_or_ignored(
    body: bytes, pair: tuple[bytes, bytes], depth: int
) -> None:
    deep = pair[0] * depth + b'"x"' + pair[1] * depth

    for whole in (b"data: " + body % deep, b"data: " + body % deep + b"\n\n", body % deep):
        reader, _ = read(whole)
        assert reader.finish_reason is None
        assert not reader.text


def test_an_emoji_split_into_two_chunks_as_half_characters_is_whole_again() -> None:
    body = b"".join(
        b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % half
        for half in (rb"a\ud83d", rb"\ude00b")
    )

    reader, given_out = read(body + finish())

    assert (reader.text, given_out) == ("a😀b", "a😀b")


def test_half_a_character_that_never_becomes_whole_is_marked_and_can_be_stored() -> None:
    body = rb'data: {"choices": [{"delta": {"content": "a\ud83d"}}]}' + b"\n\n"

    reader, given_out = read(body + text("b") + finish())

    assert reader.text == given_out == "a\ufffdb"


def test_text_is_handed_out_as_it_comes() -> None:
    reader = StreamReader()

    pieces = [reader.feed(part) for part in (text("a"), text("b") + text("c"), finish())]

    assert pieces == ["a", "bc", ""]


def test_only_content_counts_as_progress() -> None:
    reader = StreamReader()

    reader.feed(b": keep-alive\n\n" + delta(role="assistant", content="") + data({"choices": []}))
    before = reader.progress
    reader.feed(delta(reasoning="thinking"))

    assert before == 0
    assert reader.progress > 0


def test_reasoning_is_kept_apart_from_the_text() -> None:
    body = (
        delta(reasoning_content="one ", reasoning="one ")
        + delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "two"}]}])
        + text("answer")
        + finish()
    )

    reader, _ = read(body)

    assert "".join(reader.choices[0].reasoning) == "one two"
    assert reader.text == "answer"


def tool(**fields: Any) -> bytes:
    return delta(tool_calls=[fields])


def calls(body: bytes) -> list[ToolCall]:
    reader, _ = read(body + finish("tool_calls"))
    return [call for _, call in sorted(reader.choices[0].tool_calls.items())]


def test_a_repeated_id_and_name_do_not_double_a_tool_call() -> None:
    body = b"".join(
        tool(index=0, id="c1", function={"name": "search", "arguments": piece})
        for piece in ('{"q":', '"x"}')
    )

    assert calls(body) == [ToolCall("c1", "search", '{"q":"x"}')]


def test_tool_calls_without_an_index_are_told_apart_by_their_id() -> None:
    body = (
        tool(id="c1", function={"name": "search", "arguments": '{"q":'})
        + tool(function={"arguments": "1}"})
        + tool(id="c2", function={"name": "read", "arguments": "{}"})
    )

    assert calls(body) == [ToolCall("c1", "search", '{"q":1}'), ToolCall("c2", "read", "{}")]


def test_parallel_tool_calls_that_share_an_index_stay_two() -> None:
    body = tool(index=0, id="c1", function={"name": "search", "arguments": '{"q":1}'}) + tool(
        index=0, id="c2", function={"name": "search", "arguments": '{"q":2}'}
    )

    assert calls(body) == [
        ToolCall("c1", "search", '{"q":1}'),
        ToolCall("c2", "search", '{"q":2}'),
    ]


def piece(name: str | None, arguments: str | None, **fields: Any) -> bytes:
    return tool(function={"name": name, "arguments": arguments}, **fields)


ONE, TWO = '{"q":1}', '{"q":2}'


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([("a", ONE, {"id": ""}), ("a", TWO, {"id": ""})], [("", "a", ONE), ("", "a", TWO)]),
        ([("a", ONE, {}), ("b", TWO, {})], [("", "a", ONE), ("", "b", TWO)]),
        ([("a", "", {}), ("b", "", {})], [("", "a", ""), ("", "b", "")]),
        ([("a", "", {"id": "1"}), ("a", "", {"id": "2"})], [("1", "a", ""), ("2", "a", "")]),
        ([("a", None, {"id": "1"}), ("b", ONE, {"id": "2"})], [("1", "a", ""), ("2", "b", ONE)]),
        (
            [("a", ONE, {"id": "1"}), ("a", '{"q"', {"id": "2"}), (None, ":2}", {})],
            [("1", "a", ONE), ("2", "a", TWO)],
        ),
        (
            [("a", ONE, {"id": "1"}), ("a", '{"q"', {"id": "2"}), (None, ":2}", {"id": "2"})],
            [("1", "a", ONE), ("2", "a", TWO)],
        ),
        # One call all the same: its name comes again.
        ([("a", '{"q"', {}), ("a", ":1}", {})], [("", "a", ONE)]),
        ([("a", "", {"id": "1"}), ("a", ONE, {})], [("1", "a", ONE)]),
        ([("a", ONE, {"id": "1"}), ("a", "", {}), ("", "\n", {})], [("1", "a", ONE + "\n")]),
    ],
)
@pytest.mark.parametrize("index", [{"index": 0}, {}], ids=["same index", "no index"])
def test_calls_that_share_an_index_are_told_apart(
    pieces: list[tuple[str | None, str | None, dict[str, str]]],
    wanted: list[tuple[str, str, str]],
    index: dict[str, int],
) -> None:
    body = b"".join(piece(name, said, **ids, **index) for name, said, ids in pieces)

    assert calls(body) == [ToolCall(*call) for call in wanted]


def test_a_call_whose_id_changes_on_the_way_stays_one() -> None:
    body = piece("a", '{"q"', index=0, id="1") + piece("a", ":1}", index=0, id="2")

    assert calls(body) == [ToolCall("1", "a", ONE)]


def test_interleaved_calls_with_indexes_of_their_own_stay_apart() -> None:
    body = (
        piece("a", '{"q"', index=0, id="1")
        + piece("b", '{"q"', index=1, id="2")
        + piece(None, ":1}", index=0)
        + piece(None, ":2}", index=1)
        + piece(None, "", index=0)
    )

    assert calls(body) == [ToolCall("1", "a", ONE), ToolCall("2", "b", TWO)]


def test_a_tool_call_that_is_in_no_list_is_one() -> None:
    call = {"id": "c1", "function": {"name": "search", "arguments": '{"q": 1}'}}
    body = data({"choices": [{"index": 0, "delta": {"tool_calls": call}}]})

    assert calls(body) == [ToolCall("c1", "search", '{"q": 1}')]


def test_tool_arguments_sent_as_an_object_become_json_text() -> None:
    body = tool(index=0, id="c1", function={"name": "search", "arguments": {"q": "é"}})

    assert calls(body) == [ToolCall("c1", "search", '{"q": "é"}')]


@pytest.mark.parametrize(
    "body",
    [
        data({"error": {"message": "overloaded", "code": 502}}),
        b'event: error\ndata: {"error": {"message": "overloaded"}}\n\n',
        b'event: error\ndata: {"message": "overloaded"}\n\n',
        b"event: error\ndata: overloaded\n\n",
        b"event: error\ndata: overloaded",
        b'event: error\ndata: "overloaded"\n\n',
        data({"choices": [], "x_groq": {"error": "overloaded"}}),
        data({"object": "error", "message": "overloaded"}),
        data({"type": "error", "message": "overloaded"}),
        b'error: {"code": 500, "message": "overloaded", "type": "server_error"}\n\n',
        b"error: overloaded\n\n",
        b'error: {"message": "overloaded"}',
        b'{"error": {"message": "overloaded"}}',
        data({"message": "overloaded", "code": 401}),
        data({"message": "overloaded", "code": "busy"}),
        data({"message": "overloaded", "type": "invalid_request_error"}),
        data({"type": "notice", "message": "overloaded", "status": 503}),
        data({"status": "error", "message": "overloaded"}),
        data({"detail": "overloaded"}),
        data({"errors": [{"message": "overloaded"}]}),
        data({"error_message": "overloaded", "error_type": "busy"}),
        data({"choices": [{"index": 0, "delta": {}, "error": {"message": "overloaded"}}]}),
        data({"choices": [{"delta": {"content": [1]}, "error": {"message": "overloaded"}}]}),
        b'{"error": "overloaded"}',
        b'{"error": "overloaded"}\n',
        b'{"choices": [{"delta": {"content": "a"}}]}\n{"error": "overloaded"}\n',
        b'[{"error": {"message": "overloaded"}}]',
        b'{"detail": "overloaded"}',
    ],
)
def test_an_error_inside_the_body_is_found(body: bytes) -> None:
    for before in (b"", text("a")):
        if before and body.startswith(b"["):
            continue  # as a whole body only
        reader, _ = read(before + body)

        assert reader.error is not None
        assert "overloaded" in json.dumps(reader.error.body)


def test_a_message_beside_the_stream_is_no_error() -> None:
    notices = [
        {"type": "ping", "message": "still here"},
        {"type": "status", "detail": "warming up", "status": 200},
        {"message": "queued"},
    ]

    reader, _ = read(b"".join(map(data, notices)) + text("a") + finish())

    assert (reader.text, reader.error) == ("a", None)


def test_an_empty_error_field_is_no_error() -> None:
    reader, _ = read(
        data({"choices": [], "error": {}}) + data({"error": ""}) + text("a") + finish()
    )

    assert reader.error is None
    assert reader.finish_reason == "stop"


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "1-byte", "7-byte"])
def test_a_chunk_that_is_not_json_is_malformed(size: int) -> None:
    reader, _ = read(text("a") + b'data: {"choices": [{"del\n\n' + text("b") + finish(), size)

    assert "not JSON" in reader.malformed
    assert reader.finish_reason is None


def test_a_chunk_cut_by_the_end_is_incomplete_and_not_malformed() -> None:
    reader, _ = read(text("a") + text("b")[:-20])

    assert (reader.text, reader.finish_reason, reader.malformed) == ("a", None, "")


@pytest.mark.parametrize("body", [b"<html>", b"\xef\xbb\xbf\r\n <!DOCTYPE html>"])
def test_a_web_page_is_recognised_at_its_first_character(body: bytes) -> None:
    reader = StreamReader()

    for byte in body[: body.index(b"<") + 1]:
        reader.feed(bytes([byte]))

    assert reader.kind == "html"


@pytest.mark.parametrize("body", [b"", b"OK", b"\xef\xbb", b'{"status": "ok"}', b"12\n34\n"])
def test_what_is_neither_stream_nor_reply_is_not_recognised(body: bytes) -> None:
    reader, given_out = read(body)

    assert not reader.is_recognised
    assert (given_out, reader.finish_reason) == ("", None)


OLLAMA = b'{"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": %s}\n'


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "1-byte", "7-byte"])
def test_json_lines_of_another_protocol_are_foreign_at_the_first(size: int) -> None:
    reader, given_out = read(OLLAMA % b"false" + OLLAMA % b"true", size)

    assert (reader.kind, reader.is_recognised, reader.malformed) == ("foreign", False, "")
    assert (given_out, reader.error) == ("", None)


def test_a_json_line_cut_by_the_end_is_incomplete() -> None:
    reader, _ = read(b'{"choices": [{"delta": {"content": "a"}}]}\n{"choices": [{"del')

    assert (reader.text, reader.finish_reason, reader.malformed) == ("a", None, "")


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_an_endless_event_is_cut_off(monkeypatch: pytest.MonkeyPatch, newline: bytes) -> None:
    monkeypatch.setattr(stream, "MAX_EVENT_BYTES", 1_000)
    reader = StreamReader()

    for _ in range(30):
        reader.feed(b"data: " + b"x" * 100 + newline)

    assert "1,000 bytes" in reader.malformed


def test_an_event_of_endless_lines_is_cut_off() -> None:
    reader, _ = read(b"data: {\n" * 2_000)

    assert "500 lines" in reader.malformed


@pytest.mark.parametrize("count", ["1e400", '"' + "9" * 5_000 + '"', "9" * 400, "-1.5", "true"])
def test_a_count_of_tokens_that_is_no_count_does_no_harm(count: str) -> None:
    odd = b'data: {"choices": [], "usage": {"prompt_tokens": %s}}\n\n' % count.encode()

    reader, _ = read(odd + text("a") + finish() + usage(3, 2))

    assert (reader.text, reader.usage) == ("a", Usage(3, 2))


def test_an_endless_reply_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_REPLY_CHARS", 1_000)
    reader = StreamReader()

    for _ in range(30):
        reader.feed(text("x" * 100))

    assert "1,000 characters" in reader.malformed
    assert len(reader.text) <= 1_100


def test_endless_tool_calls_are_cut_off() -> None:
    many = [{"id": f"c{i}", "function": {"name": "a", "arguments": "{}"}} for i in range(5_000)]

    reader, _ = read(delta(tool_calls=many))

    assert "128 tool calls" in reader.malformed
    assert len(reader.choices[0].tool_calls) == 129


@given(st.binary(max_size=400))
def test_no_bytes_at_all_make_the_reader_raise(body: bytes) -> None:
    reader, given_out = read(b"data: " + body, 3)

    assert given_out == reader.text


KEYS = [
    "choices",
    "index",
    "delta",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "usage",
    "prompt_tokens",
    "error",
    "finish_reason",
    "x_groq",
    "thinking",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_at_all_makes_the_reader_raise(value: Any) -> None:
    reader, given_out = read(data(value) + data({"choices": [{"delta": value}]}) + finish())

    assert given_out == reader.text
    given_out.encode()  # can be stored


@pytest.mark.parametrize("count", ["-7", "10000001", "1000000000000", "1e308", "-0.5"])
def test_a_count_of_tokens_that_cannot_be_true_is_not_told(count: str) -> None:
    told = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": %s}}\n\n'

    reader, _ = read(text("a") + finish() + told % count.encode())

    assert reader.usage == Usage(3, None)
