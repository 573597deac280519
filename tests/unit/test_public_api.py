"""What `import pipeline` gives, without a page: the customer's names on any AsyncOpenAI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, model_validator

import pipeline
from pipeline import AgentManager, ChatAgent, ChatOrchestrator
from pipeline.agents.roster import ROSTER
from pipeline.errors import InternalError, SpecError, Superseded
from pipeline.events import AnyEvent, Event
from pipeline.journal import Journal
from pipeline.models import AgentState, RunStatus
from pipeline.tools.samples import sample_research
from tests.faulty_demo import Answer, FaultyDemo

pytestmark = pytest.mark.slow

MODEL = "gantry-demo-instant"


@pytest.fixture
async def demo() -> AsyncIterator[FaultyDemo]:
    async with FaultyDemo() as server:
        yield server


def test_every_name_listed_is_there() -> None:
    assert all(getattr(pipeline, name) for name in pipeline.__all__)


@pytest.mark.slow
def test_the_pipeline_works_without_streamlit() -> None:
    modules = "pipeline.assembly, pipeline.cli, pipeline.export.bundle, pipeline.views.gantt"
    code = f"import sys, {modules}; sys.exit('streamlit' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


async def test_an_agent_of_ones_own_answers_on_any_client(demo: FaultyDemo) -> None:
    agent = ChatAgent(name="poet", instructions="Agent: poet\n\nBe brief.", model=MODEL)

    reply = await agent.run_async(demo.client, "A line about rain, please.")

    assert reply.text
    assert reply.usage.output_tokens


async def test_parallel_agents_come_back_in_the_order_asked(demo: FaultyDemo) -> None:
    async with AgentManager(demo.client, model=MODEL) as manager:
        results = await manager.run_agents_parallel(
            [("summary_writer", "Rain."), ("topic_planner", "Rain."), ("seo_specialist", "Rain.")]
        )

    assert [r.agent for r in results] == ["summary_writer", "topic_planner", "seo_specialist"]
    assert all(result.ok for result in results)


async def test_one_failure_is_its_own_result(demo: FaultyDemo) -> None:
    demo.always["topic_planner"] = Answer(400, code="bad")

    async with AgentManager(demo.client, model=MODEL) as manager:
        failed, fine = await manager.run_agents_parallel(
            [("topic_planner", "Rain."), ("summary_writer", "Rain.")]
        )

    assert (failed.ok, fine.ok) == (False, True)
    assert failed.error is not None
    with pytest.raises(type(failed.error)):
        _ = failed.text


class Defective(BaseModel):
    """An output type with a bug in it."""

    @model_validator(mode="before")
    @classmethod
    def _fall_over(cls, value: object) -> object:
        raise ZeroDivisionError


async def test_a_defect_is_the_result_of_one_agent_and_logged(
    demo: FaultyDemo, caplog: pytest.LogCaptureFixture
) -> None:
    roster = [replace(a, output=Defective) if a.name == "topic_planner" else a for a in ROSTER]

    async with AgentManager(demo.client, model=MODEL, roster=roster) as manager:
        failed, fine = await manager.run_agents_parallel(
            [("topic_planner", "Rain."), ("summary_writer", "Rain.")]
        )

    assert fine.ok
    assert isinstance(failed.error, InternalError)
    assert failed.error.code == "internal"
    assert failed.error.hint
    assert "ZeroDivisionError" in caplog.text and "_fall_over" in caplog.text


async def test_a_defect_settles_by_the_agents_rule(demo: FaultyDemo) -> None:
    roster = [replace(a, output=Defective) if a.name == "kb_researcher" else a for a in ROSTER]

    result = await ChatOrchestrator(
        demo.client, model=MODEL, roster=roster, research=sample_research()
    ).run_pipeline("Heat pumps in old buildings")

    assert result.status is RunStatus.DEGRADED
    assert result.settled["kb_researcher"].state is AgentState.ABSENT
    assert {s.state for n, s in result.settled.items() if n != "kb_researcher"} == {AgentState.DONE}


async def test_a_journal_that_is_taken_away_ends_the_run(demo: FaultyDemo) -> None:
    class Taken(Journal):
        def record(self, event_type: type[Event], **fields: Any) -> AnyEvent:
            raise Superseded("Another executor owns this run now.")

    async with AgentManager(demo.client, model=MODEL, journal=Taken("x")) as manager:
        with pytest.raises(Superseded):
            await manager.run_agent("topic_planner", "Rain.")


async def test_an_unknown_agent_is_refused_before_the_first_call(demo: FaultyDemo) -> None:
    async with AgentManager(demo.client, model=MODEL) as manager:
        with pytest.raises(SpecError, match="Known agents"):
            await manager.run_agents_parallel([("topic_planner", "Rain."), ("cook", "Soup.")])

    assert not demo.requests


def test_the_command_line_answers_bad_usage_without_the_engine_or_the_client() -> None:
    heavy = ("openai", "aiohttp", "sqlalchemy", "pgqueuer", "streamlit", "rich")
    code = (
        "import sys\n"
        "from pipeline.cli import app\n"
        "try:\n    app(['run', ' '])\n"
        "except SystemExit as end:\n    assert end.code == 2, end.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "topic is empty" in said.stderr
    assert said.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_demos_server_is_loaded_in_its_own_process_only() -> None:
    code = "import sys, pipeline.assembly; print('pipeline.llm.demo.server' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"
