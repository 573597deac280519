"""Where runs are kept: tables, queries, migrations, and the one writer of a process."""

from pipeline.store.database import database_file, database_url, migrate
from pipeline.store.store import Store, Unfinished
from pipeline.store.writer import RunStopped, Writer

__all__ = [
    "RunStopped",
    "Store",
    "Unfinished",
    "Writer",
    "database_file",
    "database_url",
    "migrate",
]
