"""What only a server can do to a store: refuse, be full, be elsewhere, start twice at once."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection

from pipeline.errors import StoreBusy, StoreError, StoreUnreachable
from pipeline.settings import Settings
from pipeline.store import Upgrade, database_url, migrate, postgresql, schema
from pipeline.store.database import open_database
from pipeline.store.tables import metadata
from tests.postgres import PASSWORD, PostgresServer
from tests.store.outside import OutsidePostgres


@pytest.fixture
def fresh(postgres: PostgresServer) -> str:
    return postgres.fresh_database()


def url_of(address: str) -> URL:
    return database_url(Settings(database_url=address))


def test_migrations_lead_to_the_tables_the_code_uses_and_say_what_they_did(
    postgres: PostgresServer,
) -> None:
    url = url_of(postgres.fresh_database())

    assert migrate(url) == Upgrade(None, schema.SCHEMA)
    assert migrate(url) == Upgrade(schema.SCHEMA, schema.SCHEMA)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async def ask() -> list[object]:
        database = await open_database(url)
        try:
            return await database.read(differences)
        finally:
            await database.aclose()

    assert asyncio.run(ask()) == []


async def test_processes_that_start_together_change_the_schema_once(
    postgres: PostgresServer, fresh: str
) -> None:
    databases = await asyncio.gather(*(open_database(url_of(fresh)) for _ in range(4)))

    revisions = [await database.read(schema.revision) for database in databases]
    for database in databases:
        await database.aclose()
    assert revisions == [schema.SCHEMA] * 4


@pytest.mark.parametrize(
    ("change", "kind", "part", "hint"),
    [
        ({"password": "wrong: %/@"}, StoreError, "refuses this user or password", "%XX"),
        ({"database": "nowhere"}, StoreError, "does not exist", "createdb"),
        ({"port": 1}, StoreUnreachable, "cannot be reached", "server runs"),
        ({"host": "nowhere.invalid"}, StoreUnreachable, "cannot be reached", "host and port"),
    ],
)
async def test_a_server_that_cannot_be_used_is_said_with_the_remedy_and_without_the_password(
    postgres: PostgresServer,
    change: dict[str, object],
    kind: type[StoreError],
    part: str,
    hint: str,
) -> None:
    url = url_of(postgres.tcp_url()).set(**change)  # type: ignore[arg-type]

    with pytest.raises(kind, match=part) as caught:
        await open_database(url)

    assert hint in caught.value.hint
    assert url.password is not None
    for secret in (url.password, PASSWORD):
        assert secret not in str(caught.value)


async def test_the_password_in_the_address_is_taken_as_it_is_written(
    postgres: PostgresServer,
) -> None:
    database = await open_database(url_of(postgres.tcp_url()))

    assert await database.read(lambda c: c.exec_driver_sql("SELECT 1").scalar()) == 1
    await database.aclose()


async def test_a_full_server_is_busy_and_a_standby_is_read_only(
    postgres: PostgresServer, fresh: str
) -> None:
    await (await open_database(url_of(fresh))).aclose()
    name = url_of(fresh).database
    connection = await postgres.connect()
    try:
        await connection.execute("CREATE ROLE guest LOGIN CONNECTION LIMIT 0")
        with pytest.raises(StoreBusy, match="no connection left") as caught:
            await open_database(url_of(fresh).set(username="guest"))
        assert "max_connections" in caught.value.hint

        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        database = await open_database(url_of(fresh))
        with pytest.raises(StoreError, match="read-only") as caught:
            await database.write(lambda c: c.exec_driver_sql("DELETE FROM runs"))
        await database.aclose()
        assert "primary" in caught.value.hint
    finally:
        await connection.execute("DROP ROLE IF EXISTS guest")
        await connection.close()


async def test_a_question_sees_one_state_however_many_statements_it_takes(fresh: str) -> None:
    database = await open_database(url_of(fresh))
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE n (x int)"))

    def ask(connection: Connection) -> tuple[object, object]:
        first = connection.exec_driver_sql("SELECT count(*) FROM n").scalar()
        connection.exec_driver_sql("SELECT pg_sleep(0.3)")
        return first, connection.exec_driver_sql("SELECT count(*) FROM n").scalar()

    asked = asyncio.create_task(database.read(ask))
    while not await database.read(  # noqa: ASYNC110 - it has begun when the server says so
        lambda c: c.exec_driver_sql(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%'"
        ).all()
    ):
        await asyncio.sleep(0)
    await database.write(lambda c: c.exec_driver_sql("INSERT INTO n VALUES (1)"))

    assert await asked == (0, 0)
    await database.aclose()


async def test_a_plan_that_a_migration_made_stale_is_made_anew(fresh: str) -> None:
    database = await open_database(url_of(fresh))
    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE n (x int)"))
    everything = "SELECT * FROM n"
    for ask in (database.read, database.write):
        await ask(lambda c: c.exec_driver_sql(everything).all())
    other = await open_database(
        url_of(fresh)
    )  # as another process, that begins with a newer schema

    await other.write(lambda c: c.exec_driver_sql("ALTER TABLE n ADD COLUMN y int DEFAULT 7"))
    await other.write(lambda c: c.exec_driver_sql("INSERT INTO n VALUES (1)"))

    for ask in (database.read, database.write):
        assert await ask(lambda c: c.exec_driver_sql(everything).all()) == [(1, 7)]
    for each in (database, other):
        await each.aclose()


async def test_a_schema_that_others_are_changing_is_said(
    fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "MIGRATION_WAIT_MS", 100)
    url = url_of(fresh)
    outside = await OutsidePostgres(url).connect()
    await outside.execute(f"SELECT pg_advisory_lock({postgresql.MIGRATION_LOCK})")

    with pytest.raises(StoreBusy, match="cannot be brought up to date now") as caught:
        await open_database(url)

    assert "try again" in caught.value.hint
    await outside.close()


async def test_a_user_without_rights_is_told_what_to_ask_for(postgres: PostgresServer) -> None:
    url = url_of(postgres.migrated_database())
    postgres.ask("CREATE ROLE visitor LOGIN")
    try:
        with pytest.raises(StoreError, match="does not give this user the rights") as caught:
            await open_database(url.set(username="visitor"))
    finally:
        postgres.ask("DROP ROLE visitor")

    assert "owner" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (asyncpg.DiskFullError("no space"), StoreError, "the server's disk is full. Free"),
        (asyncpg.OutOfMemoryError("x"), StoreError, "out of memory"),
        (asyncpg.TooManyConnectionsError("x"), StoreBusy, "max_connections"),
        (asyncpg.CannotConnectNowError("starting up"), StoreUnreachable, "(starting up)"),
        (asyncpg.AdminShutdownError("bye"), StoreUnreachable, "(bye)"),
        (asyncpg.UndefinedTableError("no\n  table."), StoreError, "reports: no table."),
    ],
)
def test_what_a_server_says_becomes_what_to_do(
    error: asyncpg.PostgresError, kind: type[StoreError], part: str
) -> None:
    url = url_of("postgresql://ann:hush@host:5433/base")

    said = postgresql._error_for(url, error, in_doubt=False)

    assert type(said) is kind
    assert part in str(said)
    assert "base on host:5433" in str(said)
    assert "hush" not in str(said)
