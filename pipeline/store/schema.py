"""Bring a database's schema up to date, whichever database it is, inside the caller's transaction.

Alembic is loaded only when there is something to do: half a second, paid once for a database.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect

from pipeline.errors import StoreBusy, StoreError

SCHEMA = "0008"  # the newest revision in migrations/; asked of a database before alembic is loaded
MIGRATIONS = Path(__file__).parent / "migrations"
WAIT_S = 30.0  # for another runtime of this process that migrates

_UPGRADING = threading.Lock()  # alembic keeps the migration under way in module globals


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The schema a database had (None: it was new), and the one it has now."""

    before: str | None
    after: str

    @property
    def has_changed(self) -> bool:
        return self.before != self.after


def upgrade(connection: Connection) -> Upgrade:
    """Apply what is missing. Raises `StoreError` when a newer Gantry made the database."""
    before = revision(connection)
    if before == SCHEMA:
        return Upgrade(before, SCHEMA)
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {r.revision for r in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise StoreError(
            f"The database {connection.engine.url.database} was made by a newer Gantry (schema {before}).",
            "Update Gantry, or set GANTRY_DATA_DIR or DATABASE_URL to another database.",
        )
    if not _UPGRADING.acquire(timeout=WAIT_S):
        raise StoreBusy("Another database is being migrated for too long.", "Try again.")
    try:
        command.upgrade(config, "head")
    finally:
        _UPGRADING.release()
    return Upgrade(before, SCHEMA)


def revision(connection: Connection) -> str | None:
    """The schema the database has, as alembic notes it; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])
