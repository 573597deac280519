"""Rate limits over a real socket: what one call is told holds for all, and limits are learned."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import RateLimited
from pipeline.llm.admission import GateRegistry
from tests.fault_server import Answer, FaultServer, completion, error
from tests.unit.llm.conftest import ASK, Log, OpenCaller


def with_headers(answer: Answer, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(answer, headers={**answer.headers, **named})


async def test_one_refusal_holds_every_sibling_back(open_caller: OpenCaller) -> None:
    slow_down = error(429, {"error": {"message": "slow"}}, {"retry-after": "0.4"})
    logs = [Log() for _ in range(4)]

    async with (
        FaultServer(slow_down, default=completion("a")) as server,
        open_caller(server.endpoint, gates=GateRegistry(1)) as caller,
        asyncio.TaskGroup() as group,
    ):
        calls = [group.create_task(caller.call(ASK, log)) for log in logs]

    assert [call.result().text for call in calls] == ["a"] * 4
    refused_s, *later_s = [request.at_s for request in server.requests]
    assert len(later_s) == 4
    assert min(later_s) >= refused_s + 0.4
    assert logs[0].names.count("queued") == 2
    assert {reason for _, reason in logs[0].named("queued")[1:]} == {"cooling"}


async def test_a_server_that_asks_to_wait_holds_every_call_back(
    open_caller: OpenCaller, log: Log
) -> None:
    busy = error(503, {"error": {"message": "busy"}}, {"retry-after": "0.3"})

    async with (
        FaultServer(busy, default=completion("a")) as server,
        open_caller(server.endpoint) as caller,
    ):
        await caller.call(ASK, log)

    first_s, second_s = [request.at_s for request in server.requests]
    assert second_s >= first_s + 0.3


OPENAI_429 = {
    "error": {
        "message": "Rate limit reached for gpt-3.5-turbo in organization org-x on requests per "
        "min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit the page.",
        "type": "requests",
        "code": "rate_limit_exceeded",
    }
}


async def test_limits_are_learned_from_the_words_of_a_refusal(
    open_caller: OpenCaller, log: Log
) -> None:
    gates = GateRegistry(4)

    async with (
        FaultServer(error(429, OPENAI_429)) as server,
        open_caller(server.endpoint, gates=gates) as caller,
    ):
        call = asyncio.create_task(caller.call(ASK, log))
        await log.seen("backoff")
        (snapshot,) = gates.snapshot().values()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    (limit,) = snapshot.limits
    assert (limit.unit, limit.per_minute, limit.source) == ("requests", 3.0, "429 body")
    assert snapshot.cooling_s == pytest.approx(20.0, abs=0.5)
    assert (snapshot.refused, snapshot.refused_last_minute) == (1, 1)
    ((_, delay_s, failed),) = log.named("backoff")
    assert delay_s >= 19.5
    assert isinstance(failed, RateLimited) and failed.retry_after_s == 20.0


async def test_limits_are_learned_from_the_headers_of_a_good_answer(
    open_caller: OpenCaller, log: Log
) -> None:
    gates = GateRegistry(4)
    answer = with_headers(
        completion("a"),
        x_ratelimit_limit_requests="3500",
        x_ratelimit_remaining_requests="3498",
        x_ratelimit_reset_requests="34ms",
        x_ratelimit_limit_tokens="90000",
        x_ratelimit_remaining_tokens="60000",
        x_ratelimit_reset_tokens="20s",
    )

    async with (
        FaultServer(default=answer) as server,
        open_caller(server.endpoint, gates=gates) as caller,
    ):
        await caller.call(ASK, log)
        await caller.call(ASK, log)  # tokens are estimated from now on

    (snapshot,) = gates.snapshot().values()
    found = {limit.unit: (limit.per_minute, limit.source) for limit in snapshot.limits}
    assert found == {"requests": (3500.0, "header"), "tokens": (90000.0, "header")}


@pytest.mark.slow
async def test_a_call_is_patient_with_a_limit_it_only_learns(
    open_caller: OpenCaller, log: Log
) -> None:
    refusals: list[Any] = [error(429, {"error": {"message": "slow"}})] * 4

    async with (
        FaultServer(*refusals, completion("a")) as server,
        open_caller(server.endpoint, rate_patience_s=60.0) as caller,
    ):
        reply = await caller.call(ASK, log)

    assert reply.text == "a"
    times = [request.at_s for request in server.requests]
    waits = [b - a for a, b in itertools.pairwise(times)]
    assert len(waits) == 4
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(waits))
