"""The log of a real run: failed attempts and finished agents, each with the run it belongs to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pipeline.assembly import build_runtime
from pipeline.logs import set_up_logging
from pipeline.models import RunSpec, RunStatus
from pipeline.settings import Settings
from tests.faulty_demo import TOKEN, Answer, FaultyDemo

pytestmark = pytest.mark.slow


async def test_a_run_with_a_failed_attempt_logs_it_and_no_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("json", "info")
    async with FaultyDemo() as demo:
        demo.script["editor"] = [Answer(status=503, text="")]
        settings = Settings(
            data_dir=tmp_path,
            database_url=None,
            openai_api_key=TOKEN,
            openai_base_url=demo.endpoint.base_url,
        )

        def run() -> tuple[str, RunStatus | None]:
            with build_runtime(settings) as runtime:
                spec = RunSpec(
                    topic="Heat pumps in old buildings",
                    provider="openai",
                    base_url=demo.endpoint.base_url,
                    key_source="configured",
                    model="gantry-demo-instant",
                )
                run_id = runtime.submit(spec)
                record = runtime.wait(run_id, 60)
            return run_id, None if record is None else record.status

        run_id, status = await asyncio.to_thread(run)

    written = capfd.readouterr().err
    lines = [json.loads(line) for line in written.splitlines()]
    of_run = [line for line in lines if line.get("run") == run_id]
    assert status is RunStatus.DONE
    assert of_run[0]["message"] == "Run begins"
    assert of_run[-1]["message"] == "Run ended: done"
    (failed,) = [line for line in of_run if line["message"].startswith("Attempt failed")]
    assert (failed["agent"], failed["level"], failed["attempt"]) == ("editor", "warning", 1)
    assert failed["error_code"] == "server_failed"
    finished = [line["agent"] for line in of_run if line["message"] == "Agent done"]
    assert sorted(finished) == sorted(demo.requests)
    assert TOKEN not in written
