"""A whole run that reads a given page: real pipeline, real client, real reader, the lab's internet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.assembly import ModelAccess
from pipeline.chat_orchestrator import ChatOrchestrator
from pipeline.engine.port import RunContext
from pipeline.models import AgentState, RunSpec
from pipeline.settings import Settings
from pipeline.tools.samples import sample_research
from pipeline.tools.web import GuardedReader
from tests.faulty_demo import FaultyDemo
from tests.unit.tools.web.lab import PUBLIC, opened_lab

pytestmark = pytest.mark.slow

MODEL = "gantry-demo-instant"


async def test_a_given_page_becomes_a_source_and_an_inner_one_is_not_touched() -> None:
    async with opened_lab() as (net, reader), FaultyDemo() as demo:
        net.site("site.example")
        net.site("inside.example", "10.0.0.7")
        net.page("site.example/bees")
        net.redirect("site.example/trap", "http://inside.example/secret")
        orchestrator = ChatOrchestrator(
            demo.client, model=MODEL, research=sample_research(beyond=reader)
        )

        result = await orchestrator.run_pipeline(
            "Bees and honey",
            urls=("http://site.example/bees", "http://site.example/trap", "http://127.0.0.1:8501/"),
        )

    researcher = result.outputs["web_researcher"]
    read = [source for source in researcher.sources if source.url == "http://site.example/bees"]
    assert result.settled["web_researcher"].state is AgentState.DONE
    assert read
    assert {(source.publisher, source.published) for source in read} == {("The Hive", "2024-03-05")}
    assert set(net.connected) == {PUBLIC}
    assert not any(where.startswith("inside.example") for where in net.asked)


async def test_all_runs_of_a_process_share_one_reader_that_is_closed_with_it(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path, search="", openai_api_key=None)
    access, context = ModelAccess(settings), RunContext(settings, "local")
    spec = RunSpec(topic="Bees", provider="openai")
    one, other = await access.research(spec, context), await access.research(spec, context)

    assert isinstance(one.pages, GuardedReader)
    assert one.pages is other.pages
    session = one.pages._session = one.pages._open()
    await access.aclose()
    assert session.closed


def test_no_heavy_library_is_loaded_before_the_first_page() -> None:
    script = (
        "import sys, pipeline.assembly, pipeline.tools.web;"
        "print([m for m in ('trafilatura', 'lxml', 'protego') if m in sys.modules])"
    )

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"
