"""What holds for every test: property tests are not timed, the machine is shared.

`quick` is `make check`'s profile: fewer examples, the same ones each time. `make test` looks wider.
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres import PostgresServer

settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=15, derandomize=True, database=None)
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
