"""When a circuit opens and closes, and who may try whether the endpoint is back."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    AuthError,
    CallError,
    DeadlineExceeded,
    EndpointDown,
    NoConnection,
    RateLimited,
    ServerFailed,
    StreamBroken,
    Unreachable,
)
from pipeline.llm.admission import Breaker, CircuitRules
from pipeline.llm.admission.circuit import FORGOTTEN_S, Circuit, verdict_of

RULES = CircuitRules(probe_every_s=5.0, patience_s=60.0)
DOWN = ServerFailed("down", status=503)


def stalled() -> DeadlineExceeded:
    error = DeadlineExceeded("stalled")
    error.began = True
    return error


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (Unreachable("refused"), "down"),
        (NoConnection("dropped"), "down"),
        (ServerFailed("failed", status=500), "down"),
        (ServerFailed("failed", status=503), "down"),
        (ServerFailed("conflict", status=409), "alive"),
        (ServerFailed("in a 200", status=200), "alive"),
        (DeadlineExceeded("no first token"), "down"),
        (stalled(), "alive"),
        (StreamBroken("cut"), "alive"),
        (RateLimited("slow down"), "alive"),
        (AuthError("no", status=401), "alive"),
        (AuthError("a key no header takes"), "unknown"),
    ],
)
def test_only_what_speaks_for_the_endpoint_being_down_counts(
    error: CallError, verdict: str
) -> None:
    assert verdict_of(error) == verdict


def test_it_opens_after_three_failures_in_a_row_and_closes_on_a_sign_of_life() -> None:
    circuit = Circuit(RULES)
    circuit.failed(0.0, "m", "down")
    circuit.failed(1.0, "m", "down")
    circuit.alive()
    circuit.failed(2.0, "m", "down")
    circuit.failed(3.0, "m", "down")
    assert not circuit.is_open

    circuit.failed(4.0, "m", "down")
    assert circuit.is_open

    circuit.alive()
    assert not circuit.is_open


def test_failures_of_long_ago_do_not_open_it() -> None:
    circuit = Circuit(RULES)
    for at_s in (0.0, 1.0, FORGOTTEN_S + 2.0):
        circuit.failed(at_s, "m", "down")

    assert not circuit.is_open


def test_a_model_nobody_tried_since_gets_one_probe_of_its_own() -> None:
    circuit = opened(0.0)

    assert circuit.may_probe(0.1, "other")
    circuit.probe_goes("other")
    circuit.probe_sent(0.1)
    assert not circuit.may_probe(0.2, "other")
    assert circuit.may_probe(5.1, "m")


def opened(at_s: float) -> Circuit:
    circuit = Circuit(RULES)
    for _ in range(3):
        circuit.failed(at_s, "m", "down")
    return circuit


@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_there_is_never_more_than_one_probe_an_interval(steps: list[float]) -> None:
    circuit, now, sent = opened(0.0), 0.0, [0.0]
    for step in steps:
        now += step
        if circuit.may_probe(now, "m"):
            circuit.probe_goes("m")
            circuit.probe_sent(now)
            circuit.failed(now, "m", "down")
            sent.append(now)

    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert all(gap >= RULES.probe_every_s for gap in gaps)


def broken(rules: CircuitRules = RULES) -> Breaker:
    breaker = Breaker("http://h/v1", rules)
    for _ in range(3):
        breaker.failed("m", DOWN)
    return breaker


async def test_who_failed_least_probes_first_and_all_go_when_it_closes() -> None:
    breaker = broken(CircuitRules(0.05, 10.0))
    turns = {n: asyncio.create_task(breaker.turn("m", n)) for n in (2, 0, 1)}

    done, _ = await asyncio.wait(turns.values(), return_when=asyncio.FIRST_COMPLETED)
    assert done == {turns[0]}
    assert turns[0].result() is not None

    breaker.alive()
    assert [await turns[1], await turns[2]] == [None, None]


async def test_a_probe_that_is_never_sent_makes_room_for_the_next() -> None:
    breaker = broken(CircuitRules(0.02, 10.0))
    probe = await breaker.turn("m", 0)
    assert probe is not None
    waiting = asyncio.create_task(breaker.turn("m", 0))

    breaker.probe_over(probe)

    assert await waiting is not None


async def test_a_call_that_gives_up_in_the_moment_of_its_turn_passes_it_on() -> None:
    breaker = broken(CircuitRules(0.02, 10.0))
    first = asyncio.create_task(breaker.turn("m", 0))
    second = asyncio.create_task(breaker.turn("m", 1))
    await asyncio.sleep(0)
    breaker._wake_at(0.0)  # the turn is given and the call cancelled in one turn of the loop
    asyncio.get_running_loop().call_soon(first.cancel)

    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second is not None


async def test_patience_ends_with_a_sentence_that_says_what_to_do() -> None:
    breaker = broken(CircuitRules(10.0, 0.02))

    with pytest.raises(EndpointDown, match="http://h/v1 has been down") as caught:
        await breaker.turn("m", 0)

    assert "Continue the run" in caught.value.hint
    assert breaker.reading() is not None
