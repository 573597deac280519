"""A run that does not execute here is told from what is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.engine import Runtime
from pipeline.models import RunSpec
from pipeline.settings import Settings
from pipeline.store import writer
from pipeline.web import live_source
from pipeline.web.live_source import open_run_source
from tests.engine.scripted import ScriptedPipeline


async def test_what_agents_wrote_elsewhere_is_told_and_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "TEXT_EVERY_S", 0.02)
    monkeypatch.setattr(live_source, "STORE_EVERY_S", 0.0)
    settings, pipeline = Settings(data_dir=tmp_path, database_url=None), ScriptedPipeline()
    pipeline.held.add("writer")
    with Runtime(settings, pipeline) as engine, Runtime(settings, ScriptedPipeline()) as viewer:
        run_id = engine.submit(RunSpec(topic="Tidal power"))
        assert pipeline.reached["writer"].wait(10)
        journal = engine.journal(run_id)
        assert journal is not None
        journal.add_text("writer", "Half a ")
        while viewer.texts(run_id) != {"writer": "Half a "}:
            pass
        source = await open_run_source(viewer, run_id)
        assert source is not None

        first = json.loads(source.snapshot())["texts"]["writer"]
        journal.add_text("writer", "sentence")
        while not (told := json.loads(await source.advance() or b'{"append":{}}')["append"]):
            pass
        journal.discard_text("writer")
        journal.add_text("writer", "Anew")
        while not (anew := json.loads(await source.advance() or b'{"append":{}}')["append"]):
            pass
        engine.cancel(run_id)

    assert first == {"generation": 0, "text": "Half a "}
    assert told["writer"] == {"generation": 0, "text": "sentence"}
    assert anew["writer"] == {"generation": 1, "text": "Anew"}
