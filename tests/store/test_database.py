"""Opening a database: durable settings, migrations, and errors a person can act on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from pipeline.errors import StoreError
from pipeline.settings import Settings
from pipeline.store import database_file, database_url, migrate, schema, sqlite
from pipeline.store.database import open_database
from pipeline.store.tables import metadata


def settings_for(folder: Path, url: str | None = None) -> Settings:
    return Settings(data_dir=folder, database_url=url)


async def test_a_new_database_is_set_up_to_survive_a_power_cut(tmp_path: Path) -> None:
    database = await open_database(database_url(settings_for(tmp_path / "new" / "folder")))

    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    found = await database.read(
        lambda connection: {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names
        }
    )
    await database.aclose()

    full = 2
    assert found["journal_mode"] == "wal"
    assert found["synchronous"] == full
    assert found["foreign_keys"] == 1
    assert found["busy_timeout"] >= 5_000


async def test_the_write_ahead_log_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "FOLD_EVERY", 5)
    monkeypatch.setattr(sqlite, "LOG_MAX_FRAMES", 1_000)
    database = await open_database(database_url(settings_for(tmp_path)))
    log = tmp_path / "gantry.sqlite3-wal"

    def write(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS blobs (value BLOB)")
        connection.exec_driver_sql("DELETE FROM blobs")
        connection.exec_driver_sql("INSERT INTO blobs VALUES (zeroblob(500000))")

    for _ in range(60):
        await database.write(write)
        await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").all())
    size = log.stat().st_size
    await database.aclose()

    assert size < 10_000_000  # without folding it holds all 30 MB


async def test_a_short_process_folds_its_log_though_another_goes_on(tmp_path: Path) -> None:
    url = database_url(settings_for(tmp_path))
    migrate(url)
    other = sqlite3.connect(database_file(url))  # an idle dashboard
    other.execute("SELECT count(*) FROM runs").fetchone()
    database = await open_database(url)

    await database.write(lambda c: c.exec_driver_sql("CREATE TABLE b AS SELECT zeroblob(900000)"))
    await database.aclose()

    assert database_file(url).stat().st_size > 900_000
    other.close()


async def test_a_database_behind_a_link_can_be_written_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "FOLD_EVERY", 2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "gantry.sqlite3").symlink_to(tmp_path / "elsewhere" / "file.sqlite3")
    database = await open_database(database_url(settings_for(tmp_path)))

    for n in range(6):
        await database.write(lambda c, n=n: c.exec_driver_sql(f"CREATE TABLE t{n} (x)"))
    await database.aclose()


def test_migrations_lead_to_the_tables_the_code_uses_and_can_run_twice(tmp_path: Path) -> None:
    url = database_url(settings_for(tmp_path))
    migrate(url)
    migrate(url)

    engine = create_engine(f"sqlite:///{database_file(url)}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


def test_the_schema_the_code_asks_for_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))

    assert ScriptDirectory.from_config(config).get_current_head() == schema.SCHEMA


def test_a_database_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    url = database_url(settings_for(tmp_path))
    migrate(url)
    code = (
        "import sys; from pathlib import Path; from pipeline.settings import Settings; "
        "from pipeline.store import database_url, migrate; "
        "migrate(database_url(Settings(data_dir=Path(sys.argv[1]), database_url=None))); "
        "print('alembic' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert said.stdout.strip() == "False"


def test_the_data_folder_holds_the_database_unless_a_url_is_given(tmp_path: Path) -> None:
    by_default = database_url(settings_for(tmp_path))
    by_url = database_url(settings_for(tmp_path, f"sqlite:///{tmp_path}/other.db"))

    assert database_file(by_default) == tmp_path / "gantry.sqlite3"
    assert database_file(by_url) == tmp_path / "other.db"


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("not a url", "not a database address"),
        ("mysql://host/base", "not in mysql"),
        ("postgresql://ann:hush@host/", "names no database"),
        ("postgresql://ann:hush@host/base?application_name=x", "parameters Gantry does not know"),
        ("postgresql://ann:hush@host:port/base", "not a database address"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_remedy(
    tmp_path: Path, url: str, part: str
) -> None:
    with pytest.raises(StoreError, match=part) as caught:
        database_url(settings_for(tmp_path, url))

    assert "DATABASE_URL" in str(caught.value)
    assert caught.value.hint
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match=r"file.data cannot be made") as caught:
        await open_database(database_url(settings_for(tmp_path / "file" / "data")))

    assert "GANTRY_DATA_DIR" in caught.value.hint


async def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "gantry.sqlite3").mkdir()

    with pytest.raises(StoreError, match="cannot be opened") as caught:
        await open_database(database_url(settings_for(tmp_path)))

    assert "GANTRY_DATA_DIR" in caught.value.hint


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "gantry.sqlite3"
    file.write_text("a letter to my aunt\n" * 300)

    with pytest.raises(StoreError, match="is not a Gantry database"):
        await open_database(database_url(settings_for(tmp_path)))

    assert file.read_text() == "a letter to my aunt\n" * 300


async def test_a_database_of_a_newer_gantry_is_refused(tmp_path: Path) -> None:
    url = database_url(settings_for(tmp_path))
    await (await open_database(url)).aclose()
    connection = sqlite3.connect(database_file(url))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(StoreError, match="newer Gantry") as caught:
        await open_database(url)

    assert "Update Gantry" in caught.value.hint
