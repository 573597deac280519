"""What holds for every test: property tests are not timed, the machine is shared.

`quick` is `make check`'s profile: fewer examples, the same ones each time. `make test` looks wider.
"""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres import PostgresServer

settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=8, derandomize=True, database=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, started for the first test that asks; give each test a `fresh_database()`."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def samples_to_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs on an endpoint of a test's own find sources, as if a search service were configured."""
    monkeypatch.setenv("GANTRY_SEARCH", "samples")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Every command and the server set up logging for their whole process, which here is the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = [h for h in root.handlers if h in handlers]
    root.setLevel(level)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a PostgreSQL or carries whole runs through faults is slow, wherever it stands."""
    for item in items:
        names = {*getattr(item, "fixturenames", ()), item.path.parent.name}
        if names & {"postgres", "faults"} or "postgresql" in item.name:
            item.add_marker(pytest.mark.slow)
