"""What a person is told about an endpoint before a run depends on it."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import AuthError, CallError, DeadlineExceeded, NotAnEndpoint
from pipeline.llm import endpoint
from pipeline.llm.client import make_client
from pipeline.llm.endpoint import ConnectionReport, list_models
from pipeline.models import Endpoint
from tests.fault_server import (
    KEY,
    SILENCE,
    Answer,
    FaultServer,
    completion,
    error,
    json_body,
    page,
)

MODELS = json_body({"object": "list", "data": [{"id": "m-2"}, {"id": "m-1"}, {"id": "m-1"}]})
WRONG_KEY = error(401, {"error": {"message": f"bad key {KEY}", "code": "invalid_api_key"}})
NO_MODEL = error(404, {"error": {"message": "The model `m` does not exist"}})
NO_LIST = error(404, {"detail": "Not Found"})


async def report(*answers: Answer, model: str = "m") -> ConnectionReport:
    async with FaultServer(*answers) as server, make_client(server.endpoint) as client:
        return await endpoint.test_connection(client, model)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"data": [{"id": "m-2"}, {"id": "m-1"}, {"id": "m-1"}]}, ["m-1", "m-2"]),
        ([{"id": "m-1"}], ["m-1"]),
        ({"models": [{"name": "m-1"}]}, ["m-1"]),
        ({"data": []}, []),
    ],
)
async def test_a_list_of_models_is_read_in_the_shapes_there_are(
    body: object, names: list[str]
) -> None:
    async with FaultServer(json_body(body)) as server, make_client(server.endpoint) as client:
        assert await list_models(client) == names

    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (page(), NotAnEndpoint),
        (json_body({"status": "up"}), NotAnEndpoint),
        (json_body("models"), NotAnEndpoint),
        (NO_LIST, NotAnEndpoint),
        (error(404, {"error": {"message": "Not found"}}), NotAnEndpoint),
        (WRONG_KEY, AuthError),
    ],
)
async def test_no_list_of_models_is_explained(answer: Answer, kind: type[CallError]) -> None:
    async with FaultServer(answer) as server, make_client(server.endpoint) as client:
        with pytest.raises(kind) as caught:
            await list_models(client)

    assert caught.value.hint
    assert len(server.requests) == 1


async def test_a_list_that_does_not_come_meets_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "MODELS_TIMEOUT_S", 0.05)

    async with FaultServer(Answer([b"{", SILENCE])) as server:
        async with make_client(server.endpoint) as client:
            with pytest.raises(DeadlineExceeded):
                await list_models(client)
        await server.until_idle()

    assert server.requests[0].hung_up.is_set()


async def test_a_good_endpoint_is_reported_with_its_models() -> None:
    found = await report(MODELS, completion("ok"))

    assert found.ok
    assert "`m`" in found.message
    assert found.models == ("m-1", "m-2")
    assert found.latency_s is not None and found.latency_s > 0


async def test_without_a_model_the_list_is_enough() -> None:
    found = await report(MODELS, model="")

    assert (found.ok, found.models) == (True, ("m-1", "m-2"))


async def test_an_endpoint_without_a_list_is_judged_by_a_call() -> None:
    found = await report(NO_LIST, completion("ok"))

    assert (found.ok, found.models) == (True, ())


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([WRONG_KEY], "key"),
        ([MODELS, WRONG_KEY], "key"),
        ([MODELS, NO_MODEL], "does not offer the model `m`"),
        ([page(), page()], "not an OpenAI-compatible endpoint"),
        ([NO_LIST, NO_LIST], "not an OpenAI-compatible endpoint"),
        ([MODELS, error(500, {"error": {"message": "on fire"}})], "on fire"),
    ],
)
async def test_what_is_wrong_is_said_in_words(answers: list[Answer], words: str) -> None:
    found = await report(*answers)

    assert not found.ok
    assert words in found.message
    assert found.hint
    assert KEY not in found.message + found.hint


async def test_an_unreachable_endpoint_is_said_within_a_second() -> None:
    async with (
        make_client(Endpoint("http://127.0.0.1:1/v1", KEY)) as client,
        asyncio.timeout(10),
    ):
        found = await endpoint.test_connection(client, "m")

    assert not found.ok
    assert "127.0.0.1:1" in found.message
