"""Against WireMock: faults of the connection itself, made by a server on the Java network stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.errors import CallError, DeadlineExceeded, NotAnEndpoint, ServerFailed
from pipeline.llm.call import Deadlines
from tests.fault_server import DONE, delta, finish
from tests.interop.conftest import Log, OpenCaller, Server
from tests.unit.llm.conftest import ASK

TEXT = "A heat pump moves heat instead of making it."
PIECES = [TEXT[at : at + 6] for at in range(0, len(TEXT), 6)]
STREAM = (b"".join(delta(content=piece) for piece in PIECES) + finish("stop") + DONE).decode()
STREAMED = {
    "status": 200,
    "headers": {"Content-Type": "text/event-stream"},
    "body": STREAM,
}


async def answer(server: Server, response: Mapping[str, Any], **scenario: str) -> None:
    """From now on, or in that state of a scenario, every call is answered so."""
    request = {"method": "POST", "urlPath": "/v1/chat/completions"}
    await server.post("/__admin/mappings", {"request": request, "response": response, **scenario})


async def sent(server: Server) -> int:
    """How many requests reached it."""
    requests = await server.get("/__admin/requests")
    return int(requests["meta"]["total"])


async def test_a_stream_dribbled_in_pieces_is_whole(
    wiremock: Server, open_caller: OpenCaller, log: Log
) -> None:
    dribble = {"numberOfChunks": 37, "totalDuration": 300}
    await answer(wiremock, {**STREAMED, "chunkedDribbleDelay": dribble})

    async with open_caller(wiremock.endpoint) as caller:
        reply = await caller.call(ASK, log)

    assert reply.text == log.shown == TEXT


@pytest.mark.parametrize(
    "fault",
    [
        "EMPTY_RESPONSE",
        "MALFORMED_RESPONSE_CHUNK",
        "RANDOM_DATA_THEN_CLOSE",
        "CONNECTION_RESET_BY_PEER",
    ],
)
async def test_a_broken_connection_is_tried_again_and_said_when_it_goes_on(
    wiremock: Server, open_caller: OpenCaller, log: Log, fault: str
) -> None:
    await answer(wiremock, {"status": 200, "fault": fault})
    # aiohttp does not wake who reads when the framing of a chunk is garbage: the deadline does
    patience = Deadlines(first_token_s=1.0, idle_s=1.0, total_s=5.0)

    async with open_caller(wiremock.endpoint, deadlines=patience, hedge=False) as caller:
        with pytest.raises(CallError) as caught:
            await caller.call(ASK, log)

    assert caught.value.message
    assert caught.value.hint
    assert log.shown == ""
    # garbage that comes with the headers says that this is no such endpoint, garbage after them does not
    tries = await sent(wiremock)
    assert tries == 3 or isinstance(caught.value, NotAnEndpoint)


@pytest.mark.parametrize("first", [{"status": 503}, {"fault": "CONNECTION_RESET_BY_PEER"}])
async def test_what_is_back_at_the_second_attempt_costs_nothing_but_time(
    wiremock: Server, open_caller: OpenCaller, log: Log, first: dict[str, Any]
) -> None:
    began = {"scenarioName": "outage", "requiredScenarioState": "Started"}
    await answer(wiremock, first, **began, newScenarioState="back")
    await answer(wiremock, STREAMED, scenarioName="outage", requiredScenarioState="back")

    async with open_caller(wiremock.endpoint) as caller:
        reply = await caller.call(ASK, log)

    assert reply.text == log.shown == TEXT
    assert await sent(wiremock) == 2


async def test_a_server_that_stays_broken_is_named(
    wiremock: Server, open_caller: OpenCaller, log: Log
) -> None:
    body = json.dumps({"error": {"message": "overloaded", "type": "server_error"}})
    await answer(wiremock, {"status": 503, "body": body})

    async with open_caller(wiremock.endpoint) as caller:
        with pytest.raises(ServerFailed, match=r"503|overloaded"):
            await caller.call(ASK, log)


async def test_an_answer_that_does_not_begin_is_given_up(
    wiremock: Server, open_caller: OpenCaller, log: Log
) -> None:
    await answer(wiremock, {**STREAMED, "fixedDelayMilliseconds": 5_000})
    patience = Deadlines(first_token_s=0.2, idle_s=0.2, total_s=2.0)

    async with open_caller(wiremock.endpoint, deadlines=patience, hedge=False) as caller:
        with pytest.raises(DeadlineExceeded):
            await caller.call(ASK, log)

    assert log.shown == ""
