"""A backup made by the command line while another process works, put in place of what was lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine import Runtime
from pipeline.models import RunSpec, RunStatus
from pipeline.settings import Settings
from tests.engine.scripted import ScriptedPipeline
from tests.engine.test_processes import ROOT, child_holding

NAME = "gantry.sqlite3"


@pytest.mark.slow
def test_after_a_restore_unfinished_runs_go_on_and_finished_ones_open(
    tmp_path: Path,
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup.sqlite3"
    settings = Settings(data_dir=data, database_url=None)
    with Runtime(settings, ScriptedPipeline()) as runtime:
        done = runtime.submit(RunSpec(topic="Done before"))
        assert runtime.wait(done, 10)
    with child_holding("editor", data) as (process, unfinished):
        subprocess.run(
            [sys.executable, "-m", "pipeline", "backup", str(backup)],
            cwd=ROOT,
            env=os.environ | {"GANTRY_DATA_DIR": str(data)},
            check=True,
            timeout=60,
        )
        process.kill()
        process.wait(10)
    # what docs/operations.md says: everything of the old database goes, its log too
    for old in data.glob(f"{NAME}*"):
        old.unlink()
    shutil.move(backup, data / NAME)

    pipeline = ScriptedPipeline()
    with Runtime(settings, pipeline) as runtime:
        record = runtime.wait(unfinished, 10)
        facts = runtime.events(unfinished)
        kept = runtime.run(done)
        texts = runtime.checkpoints(done)

    assert record is not None and kept is not None
    assert (record.status, record.epoch) == (RunStatus.DONE, 2)
    assert pipeline.worked == ["editor"]
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    assert (kept.status, sorted(texts)) == (RunStatus.DONE, ["editor", "planner", "writer"])
