"""A run that failed on its model goes on with another one, and nothing finished is paid twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.assembly import build_runtime
from pipeline.engine import Runtime
from pipeline.engine.continuing import continued_with
from pipeline.engine.loop_thread import LoopThread
from pipeline.events import AgentFinished, CallSent
from pipeline.models import (
    AgentOutput,
    Checkpoint,
    RunOptions,
    RunRecord,
    RunSpec,
    RunStatus,
    Usage,
)
from pipeline.settings import Settings
from tests.faulty_demo import Answer, FaultyDemo

pytestmark = pytest.mark.slow

FIRST, SECOND = "gantry-demo", "gantry-demo-instant"
GONE = Answer(404, code="model_not_found")
SPEC = RunSpec(
    topic="Heat pumps in old buildings",
    provider="openai",
    key_source="configured",
    model=FIRST,
    options=RunOptions(section_writing=True),
)


@dataclass
class Place:
    demo: FaultyDemo
    runtime: Runtime

    def submit(self, spec: RunSpec = SPEC) -> str:
        return self.runtime.submit(
            spec.model_copy(update={"base_url": self.demo.endpoint.base_url})
        )

    def ended(self, run_id: str) -> RunRecord:
        record = self.runtime.wait(run_id, 60)
        assert record is not None
        return record

    def models(self, run_id: str) -> dict[str, str]:
        """Agent → the model it was asked with last."""
        facts = self.runtime.events(run_id)
        return {e.agent: e.request_model for e in facts if isinstance(e, CallSent)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The real pipeline on the demo as a configured endpoint."""
    thread = LoopThread("demo")
    thread.start()
    demo = thread.call(FaultyDemo().__aenter__(), 10)
    monkeypatch.setenv("OPENAI_API_KEY", demo.endpoint.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", str(demo.endpoint.base_url))
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    with build_runtime(Settings(data_dir=tmp_path, database_url=None)) as runtime:
        yield Place(demo, runtime)
    thread.call(demo.__aexit__(None, None, None), 10)
    thread.close(10)


def again(demo: FaultyDemo, before: Counter[str]) -> set[str]:
    """Who was asked since, and had been asked before."""
    return {name for name in demo.requests - before if before[name]}


def test_only_what_is_left_is_asked_of_the_other_model(place: Place) -> None:
    place.demo.always["content_writer/3"] = GONE
    run_id = place.submit(SPEC)
    assert place.ended(run_id).error_code == "model_not_found"
    before, asked_first = place.demo.requests.copy(), place.models(run_id)
    place.demo.always.clear()

    place.runtime.resume(run_id, model=SECOND)

    assert place.ended(run_id).status is RunStatus.DONE
    assert again(place.demo, before) == {"content_writer/3"}
    models = place.models(run_id)
    assert {models[name] for name in asked_first if name != "content_writer/3"} == {FIRST}
    assert models["content_writer/3"] == models["editor"] == SECOND


def test_a_third_model_asks_nothing_again_that_either_of_the_first_two_finished(
    place: Place,
) -> None:
    place.demo.always["content_writer"] = GONE
    plain = SPEC.model_copy(update={"options": RunOptions()})
    run_id = place.submit(plain)
    assert place.ended(run_id).status is RunStatus.FAILED
    place.runtime.resume(run_id, model=SECOND)
    assert place.ended(run_id).status is RunStatus.FAILED
    place.demo.always.clear()
    before = place.demo.requests.copy()

    place.runtime.resume(run_id, model=FIRST)

    assert place.ended(run_id).status is RunStatus.DONE
    assert again(place.demo, before) == {"content_writer"}


def test_a_model_chosen_for_one_agent_gives_way_only_where_it_failed() -> None:
    spec = RunSpec(topic="t", model="a", agent_models={"editor": "bad", "publisher": "good"})
    events = [
        CallSent(epoch=1, seq=1, at_s=0, agent="planner", call=1, attempt=1, request_model="a"),
        CallSent(epoch=1, seq=2, at_s=1, agent="editor", call=1, attempt=1, request_model="bad"),
        AgentFinished(epoch=1, seq=3, at_s=2, agent="editor", state="failed"),
    ]
    done = {"planner": Checkpoint("planner", "key", 1, AgentOutput("text"), Usage())}

    after = continued_with(spec, "new", events, done)

    assert after.model == "new"
    assert after.agent_models == {"editor": "new", "publisher": "good", "planner": "a"}
