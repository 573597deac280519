"""Rows of the fault matrix that need more than a broken answer: tools, parameters, the machine."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.assembly import build_runtime
from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.engine import Runtime
from pipeline.engine.loop_thread import LoopThread
from pipeline.events import CallSent, ParameterDropped, RunFinished, ToolsFinished
from pipeline.llm.client import make_client
from pipeline.models import AgentState, Endpoint, RunRecord, RunSpec, RunStatus
from pipeline.settings import Settings
from pipeline.store import database_file, database_url
from pipeline.tools.samples import sample_research
from tests.fault_front import FaultFront
from tests.fault_server import DONE, Answer, data, error, finish, stream
from tests.faults.test_matrix import IN_TIME, TOPIC, check_texts, place

QUERY = json.dumps({"query": "heat pumps"})
TOOL = "kb_search"


def call(**fields: Any) -> dict[str, Any]:
    return {"type": "function", **fields}


def tool_stream(*deltas: list[dict[str, Any]]) -> Answer:
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": each}}]} for each in deltas]
    return stream(*map(data, chunks), finish("tool_calls"), DONE)


HALF = len(QUERY) // 2
TOOL_SHAPES = {
    "without an index": tool_stream([call(id="a", function={"name": TOOL, "arguments": QUERY})]),
    "whole in one delta": tool_stream(
        [call(index=0, id="a", function={"name": TOOL, "arguments": QUERY})]
    ),
    "id and name in every delta": tool_stream(
        [call(index=0, id="a", function={"name": TOOL, "arguments": QUERY[:HALF]})],
        [call(index=0, id="a", function={"name": TOOL, "arguments": QUERY[HALF:]})],
    ),
    "two at once": tool_stream(
        [
            call(index=0, id="a", function={"name": TOOL, "arguments": QUERY}),
            call(index=1, id="b", function={"name": TOOL, "arguments": QUERY}),
        ]
    ),
}


async def test_19_a_closed_port_ends_the_run_in_two_attempts_or_three(tmp_path: Path) -> None:
    async with FaultFront() as front:
        endpoint = front.endpoint
    async with make_client(endpoint) as client:  # nobody listens there any more
        result = await ChatOrchestrator(client, model="m", research=sample_research()).run_pipeline(
            "Tidal power"
        )

    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert (result.error.code, result.outputs) == ("unreachable", {})
    assert "connection refused" in result.error.message
    assert sum(isinstance(e, CallSent) for e in result.journal.events) <= 3


async def test_19_an_unknown_name_ends_the_run(tmp_path: Path) -> None:
    async with make_client(Endpoint("http://no-such-host.invalid/v1", "sk-1234567")) as client:
        result = await ChatOrchestrator(client, model="m", research=sample_research()).run_pipeline(
            "Tidal power"
        )

    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.code == "unreachable"


@pytest.mark.parametrize("answer", TOOL_SHAPES.values(), ids=TOOL_SHAPES)
async def test_21_tool_calls_are_understood_in_every_shape(answer: Answer) -> None:
    async with place(IN_TIME) as here:
        here.front.faults["kb_researcher"] = [answer]

        result = await here.run()

        assert result.status is RunStatus.DONE
        first_answered = here.front.requests_of("kb_researcher")[1].body["messages"]
        asked = [m for m in first_answered if m["role"] == "assistant"][-1]["tool_calls"]
        assert {(c["function"]["name"], c["function"]["arguments"]) for c in asked} == {
            (TOOL, QUERY)
        }
        assert result.outputs["kb_researcher"].sources
        check_texts(here.front, result)


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [(TOOL, '{"query": ', TOOL), ("format_disk", "{}", "There is no tool `format_disk`")],
    ids=["arguments that are no JSON", "an unknown tool"],
)
async def test_22_a_bad_tool_call_goes_back_to_the_model(
    name: str, arguments: str, problem: str
) -> None:
    bad = tool_stream([call(index=0, id="a", function={"name": name, "arguments": arguments})])
    async with place(IN_TIME) as here:
        here.front.faults["kb_researcher"] = [bad]

        result = await here.run()

        assert result.settled["kb_researcher"].state is AgentState.DONE
        told = here.front.requests_of("kb_researcher")[1].body["messages"][-1]
        assert "error" in json.loads(told["content"])
        failed = [e.failed for e in result.journal.events if isinstance(e, ToolsFinished)]
        assert any(problem in line for lines in failed for line in lines)
        assert result.settled["web_researcher"].state is AgentState.DONE


@pytest.mark.parametrize("status", [400, 500])
async def test_24_a_schema_that_is_not_taken_is_left_out_once_and_that_is_remembered(
    status: int,
) -> None:
    refusal = {"error": {"message": "response_format json_schema is not supported"}}
    async with place(IN_TIME) as here:
        here.front.faults["topic_planner"] = [error(status, refusal)]

        result = await here.run()

        assert result.status is RunStatus.DONE
        dropped = [e for e in result.journal.events if isinstance(e, ParameterDropped)]
        assert len(dropped) == 1
        kinds = [
            (asked.body.get("response_format") or {}).get("type") for asked in here.front.asked
        ]
        assert kinds.count("json_schema") == 1


@dataclass
class Engine:
    front: FaultFront
    settings: Settings

    def spec(self, topic: str = TOPIC) -> RunSpec:
        return RunSpec(
            topic=topic,
            provider="openai",
            key_source="configured",
            model="gantry-demo-instant",
            base_url=self.front.endpoint.base_url,
        )


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """What a runtime on the front needs; the front lives in a loop of its own."""
    thread = LoopThread("front")
    thread.start()
    front = thread.call(FaultFront().__aenter__(), 10)
    monkeypatch.setenv("OPENAI_API_KEY", front.endpoint.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", str(front.endpoint.base_url))
    yield Engine(front, Settings(data_dir=tmp_path, database_url=None))
    thread.call(front.__aexit__(None, None, None), 10)
    thread.close(10)


def ended(runtime: Runtime, run_id: str) -> RunRecord:
    record = runtime.wait(run_id, 60)
    assert record is not None
    return record


def test_29_a_database_locked_for_a_while_delays_runs_and_loses_nothing(engine: Engine) -> None:
    file = database_file(database_url(engine.settings))
    with build_runtime(engine.settings) as runtime:
        run_ids = [runtime.submit(engine.spec()) for _ in range(3)]
        released = threading.Event()

        def hold() -> None:
            with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as other:
                other.execute("BEGIN IMMEDIATE")
                released.wait(1.0)
                other.execute("ROLLBACK")

        holder = threading.Thread(target=hold)
        holder.start()
        records = [ended(runtime, run_id) for run_id in run_ids]
        released.set()
        holder.join(10)

        assert {record.status for record in records} == {RunStatus.DONE}
        for run_id in run_ids:
            events = runtime.events(run_id)
            assert [e.seq for e in events] == list(range(1, len(events) + 1))


class Backwards(dt.datetime):
    """A wall clock that was set back by an hour."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return dt.datetime.fromtimestamp(time.monotonic(), tz) - dt.timedelta(hours=1)


async def test_33_a_clock_that_jumps_back_an_hour_changes_no_duration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with place(IN_TIME) as here:
        running = asyncio.create_task(here.run())
        async with asyncio.timeout(20):
            while not here.front.asked:  # noqa: ASYNC110 - the run is under way
                await asyncio.sleep(0)
        monkeypatch.setattr("pipeline.journal.datetime", Backwards)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 3_600.0)

        result = await running

        assert result.status is RunStatus.DONE
        times = [e.at_s for e in result.journal.events]
        assert times == sorted(times)
        assert result.timing.makespan_s is not None
        assert 0 < result.timing.makespan_s < 60
        check_texts(here.front, result)


@pytest.mark.slow
def test_34_ten_runs_at_once_all_end(engine: Engine) -> None:
    with build_runtime(engine.settings) as runtime:
        run_ids = [runtime.submit(engine.spec(TOPIC)) for _ in range(10)]

        records = [ended(runtime, run_id) for run_id in run_ids]

        assert {record.status for record in records} == {RunStatus.DONE}
        for run_id in run_ids:
            ends = [e for e in runtime.events(run_id) if isinstance(e, RunFinished)]
            assert len(ends) == 1
