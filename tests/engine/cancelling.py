"""A process that cancels its run and dies in the same breath: python -m tests.engine.cancelling."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipeline.assembly import build_runtime
from pipeline.models import RunSpec
from pipeline.settings import Settings
from tests.fault_server import KEY


def settings_for(folder: Path, base_url: str | None) -> Settings:
    return Settings(
        data_dir=folder,
        database_url=None,
        openai_api_key=KEY,
        openai_base_url=base_url,
        openai_model="m",
    )


def spec_for(base_url: str | None, max_tokens: int | None = None) -> RunSpec:
    return RunSpec(
        topic="Tidal power",
        provider="openai",
        model="m",
        base_url=base_url,
        key_source="configured",
        max_tokens=max_tokens,
    )


def child(folder: Path, base_url: str, max_tokens: int | None = None) -> None:
    """Start a run, say its id, wait for a line, cancel, and be gone before anything else happens."""
    runtime = build_runtime(settings_for(folder, base_url))
    runtime.start()
    run_id = runtime.submit(spec_for(base_url, max_tokens))
    print(run_id, flush=True)
    sys.stdin.readline()
    runtime.cancel(run_id)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    child(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
