"""Where runs are kept: tables, queries, migrations, and the one writer of a process."""

from pipeline.store.database import database_url, is_postgresql, migrate
from pipeline.store.schema import Upgrade
from pipeline.store.sqlite import database_file
from pipeline.store.store import Store, Unfinished
from pipeline.store.writer import RunStopped, Writer

__all__ = [
    "RunStopped",
    "Store",
    "Unfinished",
    "Upgrade",
    "Writer",
    "database_file",
    "database_url",
    "is_postgresql",
    "migrate",
]
