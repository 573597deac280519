"""Refused parameters are dropped once and remembered, over real sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import BadRequest, ParameterRefused, ServerFailed
from pipeline.llm.call import CallRequest, OutputSchema
from pipeline.llm.capabilities import Capabilities, spell
from tests.fault_server import Answer, FaultServer, completion, error
from tests.unit.llm.conftest import ASK, Log, OpenCaller, Sleeps

SCHEMA = OutputSchema("plan", {"type": "object", "properties": {"title": {"type": "string"}}})
STRUCTURED = replace(ASK, output_schema=SCHEMA)
TOOLS = [{"type": "function", "function": {"name": "search", "parameters": {}}}]
EVERYTHING = replace(STRUCTURED, max_output_tokens=9, temperature=0.5, seed=7)
URL = "http://h/v1"


def refusal(parameter: str, status: int = 400) -> Answer:
    said = {
        "message": "Unsupported parameter.",
        "param": parameter,
        "code": "unsupported_parameter",
    }
    return error(status, {"error": said})


def formats(server: FaultServer) -> list[Any]:
    return [request.json.get("response_format", {}).get("type") for request in server.requests]


async def test_a_schema_falls_back_step_by_step_and_is_remembered(
    open_caller: OpenCaller, log: Log, sleeps: Sleeps
) -> None:
    answers = [refusal("response_format"), refusal("response_format")]

    async with (
        FaultServer(*answers, default=completion("{}")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(STRUCTURED, log)
        await caller.call(STRUCTURED, log)

    assert formats(server) == ["json_schema", "json_object", None, None]
    assert log.named("parameter_dropped") == [("json_schema",), ("json_object",)]
    assert sleeps.slept_s == []
    assert [number for number, _ in log.named("sent")] == [1, 2, 3, 1]
    assert '"title"' in server.requests[2].json["messages"][0]["content"]


async def test_the_schema_goes_into_the_system_message_that_is_there(
    open_caller: OpenCaller, log: Log
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *ASK.messages]

    async with (
        FaultServer(refusal("response_format"), completion("{}")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(replace(STRUCTURED, messages=messages), log)

    system, user = server.requests[1].json["messages"]
    assert system["content"].startswith("Be brief.\n\n")
    assert "JSON Schema" in system["content"]
    assert user == ASK.messages[0]
    assert messages[0]["content"] == "Be brief."


@pytest.mark.parametrize("parameter", ["stream_options", "temperature", "seed"])
async def test_a_refused_parameter_is_dropped_once_for_all_calls(
    parameter: str, open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(refusal(parameter, 422), default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(EVERYTHING, log)
        await caller.call(EVERYTHING, log)

    assert [parameter in request.json for request in server.requests] == [True, False, False]
    assert log.named("parameter_dropped") == [(parameter,)]
    without = {*server.requests[0].json} - {parameter}
    assert {*server.requests[1].json} == without


async def test_the_token_limit_is_renamed_and_only_then_dropped(
    open_caller: OpenCaller, log: Log
) -> None:
    answers = [refusal("max_tokens"), refusal("max_completion_tokens")]

    async with (
        FaultServer(*answers, default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(EVERYTHING, log)

    limits = [
        [name for name in request.json if name.startswith("max_")] for request in server.requests
    ]
    assert limits == [["max_tokens"], ["max_completion_tokens"], []]


def test_openai_itself_gets_the_newer_name_at_once() -> None:
    known = Capabilities()

    body = spell(EVERYTHING, known.spelling("https://api.openai.com/v1/", "m"))

    assert (body["max_completion_tokens"], "max_tokens" in body) == (9, False)


async def test_what_is_known_of_one_model_is_not_assumed_of_another(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(refusal("seed"), default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(EVERYTHING, log)
        await caller.call(replace(EVERYTHING, model="other"), log)

    assert ["seed" in request.json for request in server.requests] == [True, False, True]


async def test_drops_leave_all_three_attempts_to_real_failures(
    open_caller: OpenCaller, log: Log
) -> None:
    down = error(503, {"error": {"message": "down"}})
    answers = [refusal("seed"), down, refusal("temperature"), down, completion("a")]

    async with FaultServer(*answers) as server, open_caller(server.endpoint) as caller:
        reply = await caller.call(EVERYTHING, log)

    assert (reply.text, len(server.requests), len(log.named("backoff"))) == ("a", 5, 2)


async def test_an_endpoint_that_refuses_everything_ends_the_call(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(default=refusal("seed")) as server,
        open_caller(server.endpoint) as caller,
    ):
        with pytest.raises(ParameterRefused) as caught:
            await caller.call(EVERYTHING, log)

    assert caught.value.parameter == "seed"
    assert len(server.requests) == 2


async def test_a_parameter_that_was_not_sent_is_not_dropped(
    open_caller: OpenCaller, log: Log
) -> None:
    async with FaultServer(refusal("seed")) as server, open_caller(server.endpoint) as caller:
        with pytest.raises(ParameterRefused):
            await caller.call(ASK, log)

    assert log.named("parameter_dropped") == []


async def test_refused_tools_are_the_callers_business_and_remembered(
    open_caller: OpenCaller, log: Log
) -> None:
    with_tools = replace(ASK, tools=TOOLS)

    async with (
        FaultServer(refusal("tools"), default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        known_before = caller.supports_tools("m")
        for _ in range(2):
            with pytest.raises(ParameterRefused, match="tools"):
                await caller.call(with_tools, log)
        reply = await caller.call(ASK, log)

        assert (known_before, caller.supports_tools("m")) == (True, False)
        assert caller.supports_tools("other")
    assert reply.text == "a"
    assert len(server.requests) == 2  # the second call with tools was not even sent
    assert log.named("parameter_dropped") == [("tools",)]


def says(message: str, status: int = 400) -> Answer:
    return error(status, {"error": {"message": message}})


async def test_a_format_that_does_not_go_with_tools_is_dropped_and_tools_stay(
    open_caller: OpenCaller, log: Log
) -> None:
    refusals = [
        says("Function calling with a response mime type: 'application/json' is unsupported"),
        says("json mode cannot be combined with tool/function calling"),
    ]

    async with (
        FaultServer(*refusals, default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(replace(STRUCTURED, tools=TOOLS), log)

        assert caller.supports_tools("m")
    assert formats(server) == ["json_schema", "json_object", None]
    assert all("tools" in request.json for request in server.requests)


async def test_a_token_limit_out_of_range_is_dropped_in_the_end(
    open_caller: OpenCaller, log: Log
) -> None:
    refusals = [says("max_tokens: 9000 > 8192, which is the maximum allowed number")] * 2

    async with (
        FaultServer(*refusals, default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        reply = await caller.call(replace(ASK, max_output_tokens=9_000), log)

    assert reply.text == "a"
    assert not [name for name in server.requests[-1].json if name.startswith("max_")]


async def test_a_500_that_names_the_tools_is_their_refusal(
    open_caller: OpenCaller, log: Log, sleeps: Sleeps
) -> None:
    async with (
        FaultServer(says("tools param requires --jinja flag", 500)) as server,
        open_caller(server.endpoint) as caller,
    ):
        with pytest.raises(ParameterRefused):
            await caller.call(replace(ASK, tools=TOOLS), log)

        assert not caller.supports_tools("m")
    assert (len(server.requests), sleeps.slept_s) == (1, [])


async def test_a_remark_on_how_tools_are_written_does_not_drop_them(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(says("invalid request: all elements in tools must have a name.")) as server,
        open_caller(server.endpoint) as caller,
    ):
        with pytest.raises(BadRequest):
            await caller.call(replace(ASK, tools=TOOLS), log)

        assert caller.supports_tools("m")


SERVER_ERROR = error(500, {"error": {"message": "grammar"}})


async def test_a_500_on_a_schema_is_taken_for_a_refusal_once(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(SERVER_ERROR, default=completion("{}")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(STRUCTURED, log)
        await caller.call(STRUCTURED, log)

    assert formats(server) == ["json_schema", "json_object", "json_object"]
    assert log.named("parameter_dropped") == [("json_schema",)]


@pytest.mark.slow
async def test_a_server_that_is_simply_down_keeps_its_schema(
    open_caller: OpenCaller, log: Log
) -> None:
    async with (
        FaultServer(*[SERVER_ERROR] * 3, default=completion("{}")) as server,
        open_caller(server.endpoint) as caller,
    ):
        with pytest.raises(ServerFailed):
            await caller.call(STRUCTURED, log)
        await caller.call(STRUCTURED, log)

    assert formats(server) == ["json_schema", "json_object", None, "json_schema"]


async def test_a_502_says_nothing_about_the_schema(open_caller: OpenCaller, log: Log) -> None:
    async with (
        FaultServer(error(502, ""), default=completion("{}")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(STRUCTURED, log)

    assert formats(server) == ["json_schema", "json_schema"]


def refused(known: Capabilities, request: CallRequest, sent: Any, name: str) -> str | None:
    return known.refused(URL, request, sent, ParameterRefused("x", parameter=name))


def test_what_two_calls_learn_at_once_adds_up() -> None:
    known = Capabilities()
    sent = known.spelling(URL, "m")

    dropped = [refused(known, EVERYTHING, sent, name) for name in ("seed", "max_tokens", "seed")]

    spelling = known.spelling(URL, "m")
    assert dropped == ["seed", "max_tokens", "seed"]
    assert spelling.left_out == {"seed"}
    assert spelling.token_limit == "max_completion_tokens"


def test_two_refusals_of_one_spelling_step_down_once() -> None:
    known = Capabilities()
    sent = known.spelling(URL, "m")

    for name in ("response_format", "response_format", "max_tokens", "max_tokens"):
        refused(known, EVERYTHING, sent, name)

    spelling = known.spelling(URL, "m")
    assert (spelling.reply_format, spelling.token_limit) == ("json_object", "max_completion_tokens")


def test_a_schema_that_works_elsewhere_meanwhile_is_not_given_up() -> None:
    known = Capabilities()
    sent = known.spelling(URL, "m")
    known.failed(URL, STRUCTURED, sent, ServerFailed("x", status=500))
    on_trial = known.spelling(URL, "m")

    known.worked(URL, STRUCTURED, sent)

    assert on_trial.reply_format == "json_object"
    assert known.spelling(URL, "m") == sent
