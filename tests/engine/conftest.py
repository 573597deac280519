"""Runtimes on real SQLite files with a scripted pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.engine import Runtime
from pipeline.settings import Settings
from tests.engine.scripted import ScriptedPipeline

StartRuntime = Callable[[ScriptedPipeline], Runtime]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=None)


@pytest.fixture
def pipeline() -> ScriptedPipeline:
    return ScriptedPipeline()


@pytest.fixture
def start(settings: Settings) -> Iterator[StartRuntime]:
    """Start a runtime; the first one is the engine, further ones are viewers."""
    with ExitStack() as stack:
        yield lambda pipeline: stack.enter_context(Runtime(settings, pipeline))


@pytest.fixture
def runtime(start: StartRuntime, pipeline: ScriptedPipeline) -> Runtime:
    return start(pipeline)
