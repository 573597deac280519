"""Stored facts: written by today's process, read by older and newer ones."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given

from pipeline.events import (
    AgentFinished,
    AnyEvent,
    BackoffStarted,
    RunStarted,
    decode,
    encode,
    to_dict,
)
from tests.unit.simulated import Simulation, simulations, unhurried

STARTED = RunStarted(epoch=1, seq=1, at_s=0.0, wall_at="2026-01-01T00:00:00.000+00:00")


@unhurried
@given(simulations(epochs=2))
def test_a_fact_reads_back_as_it_was_written(simulation: Simulation) -> None:
    for event in simulation.events:
        assert decode(encode(event)) == event


def test_the_kind_comes_first_in_what_is_stored() -> None:
    assert encode(STARTED).startswith(b'{"kind":"run_started"')
    assert STARTED.kind == "run_started"


def test_a_kind_of_a_newer_process_is_skipped() -> None:
    assert decode('{"kind": "agent_praised", "epoch": 1, "seq": 1, "at_s": 0.5}') is None


def test_a_field_of_a_newer_process_is_ignored() -> None:
    stored = {**to_dict(STARTED), "mood": "good"}

    assert decode(json.dumps(stored)) == STARTED


def test_a_fact_stored_before_a_field_existed_reads_with_its_default() -> None:
    stored = (
        '{"kind":"agent_finished","epoch":1,"seq":4,"at_s":2.0,"agent":"editor","state":"done"}'
    )

    event = decode(stored)

    assert event == AgentFinished(epoch=1, seq=4, at_s=2.0, agent="editor", state="done")


def test_a_broken_fact_of_a_known_kind_is_an_error_not_a_skip() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode('{"kind": "first_token", "epoch": 1, "seq": 1, "at_s": "soon"}')


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        STARTED.seq = 2  # type: ignore[misc]


def test_every_kind_has_a_name_of_its_own() -> None:
    kinds = [event_type.__struct_config__.tag for event_type in AnyEvent.__args__]

    assert len(kinds) == len(set(kinds))


def test_a_fact_as_plain_values_is_the_same_from_bytes_and_from_the_object() -> None:
    event = BackoffStarted(
        epoch=1, seq=2, at_s=1.5, agent="editor", call=1, attempt=1, delay_s=3.0, error="busy"
    )

    assert to_dict(event) == to_dict(encode(event))
    assert to_dict(event)["kind"] == "backoff_started"
