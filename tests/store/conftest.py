"""Stores on real databases: every test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.settings import Settings
from pipeline.store import Store, database_url
from tests.store.outside import Outside, OutsidePostgres, OutsideSqlite

# a server takes its time to start: `make check` stays with SQLite
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture(params=BOTH)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").migrated_database()
    return Settings(data_dir=tmp_path, database_url=url)


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for a database without a schema."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    return Settings(data_dir=tmp_path, database_url=url)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(database_url(settings))
    yield store
    await store.aclose()


@pytest.fixture
def outside(settings: Settings) -> Outside:
    """Another program on the same database."""
    if settings.database_url is None:
        return OutsideSqlite(database_url(settings))
    return OutsidePostgres(database_url(settings))
