"""Several runtimes that start at the same moment in one process: nothing global may collide."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.assembly import build_runtime
from pipeline.models import RunSpec, RunStatus
from pipeline.settings import Settings

AT_ONCE = 4


@pytest.mark.slow
def test_runtimes_that_start_at_once_migrate_and_start_their_demo_each(tmp_path: Path) -> None:
    together = threading.Barrier(AT_ONCE)

    def status_of_a_run(folder: Path) -> RunStatus | None:
        settings = Settings(
            data_dir=folder, database_url=None, openai_api_key=None, openai_base_url=None
        )
        together.wait(30)
        with build_runtime(settings) as runtime:
            record = runtime.wait(runtime.submit(RunSpec(topic="Bees", speed="instant")), 60)
        return None if record is None else record.status

    with ThreadPoolExecutor(AT_ONCE) as threads:
        folders = [tmp_path / str(number) for number in range(AT_ONCE)]
        statuses = list(threads.map(status_of_a_run, folders))

    assert set(statuses) <= {RunStatus.DONE, RunStatus.DEGRADED}
