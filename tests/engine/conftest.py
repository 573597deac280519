"""Runtimes on real databases with a scripted pipeline.

A test that asks for `settings` runs twice: embedded on a SQLite file, and in a team on PostgreSQL.
What holds for one of them only is marked `embedded` or `team`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from pipeline.engine import Runtime
from pipeline.settings import Settings
from tests.engine.scripted import ScriptedPipeline

StartRuntime = Callable[[ScriptedPipeline], Runtime]
MakeRuntime = Callable[..., Runtime]


LEASE_S = 3.0
# a server takes its time to start: `make check` stays with SQLite
_PARAMETERS = {"embedded": "embedded", "team": pytest.param("team", marks=pytest.mark.slow)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "settings" not in metafunc.fixturenames:
        return
    only = [name for name in ("embedded", "team") if metafunc.definition.get_closest_marker(name)]
    chosen = [_PARAMETERS[name] for name in only or _PARAMETERS]
    metafunc.parametrize("settings", chosen, indirect=True)


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None
    if request.param == "team":
        url = request.getfixturevalue("postgres").fresh_database()
    return Settings(data_dir=tmp_path, database_url=url, lease_s=LEASE_S)


@pytest.fixture
def pipeline() -> ScriptedPipeline:
    return ScriptedPipeline()


@pytest.fixture
def make(settings: Settings) -> MakeRuntime:
    """A runtime that executes runs, not started yet."""
    concurrency = None if settings.database_url is None else 10
    return partial(Runtime, settings, concurrency=concurrency)


@pytest.fixture
def start(settings: Settings, make: MakeRuntime) -> Iterator[StartRuntime]:
    """Start a runtime; the first one executes, further ones are viewers."""
    is_first = iter([True])
    with ExitStack() as stack:
        yield lambda pipeline: stack.enter_context(
            make(pipeline) if next(is_first, False) else Runtime(settings, pipeline)
        )


@pytest.fixture
def runtime(start: StartRuntime, pipeline: ScriptedPipeline) -> Runtime:
    return start(pipeline)
