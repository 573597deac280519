"""The tables, as SQLAlchemy sees them. `migrations/` is what creates them.

The tables are the truth about runs; queue and journal only speed things up. Types are portable
between SQLite and PostgreSQL: JSON is kept as UTF-8 bytes, so that whatever a model wrote (lone
surrogates and NUL included) comes back exactly; times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database; SQLite itself stores no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("status", String(32), nullable=False),
    Column("epoch", Integer, nullable=False),  # executions begun; fences writes of earlier ones
    Column("progress_epoch", Integer, nullable=False),  # the last epoch that got somewhere
    Column("priority", Integer, nullable=False),
    Column("topic", Text, nullable=False),  # copied from `spec`, for searching
    Column("spec", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("error", Text, nullable=False),
    Column("error_code", String(64), nullable=False),
    Column("degraded", LargeBinary, nullable=False),
    Column("makespan_s", Float),
    Column("saved_share", Float),
    Index("runs_by_owner", "owner", "created_at"),
    Index("runs_by_status", "status"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("agent", String(200), primary_key=True),
    Column("key", String(128), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("output", LargeBinary, nullable=False),
    Column("usage", LargeBinary, nullable=False),
    Column("state", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

partial_texts = Table(
    "partial_texts",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("agent", String(200), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("generation", Integer, nullable=False),  # of the agent's text within the epoch
    Column("text", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

# What all processes together may still ask of one endpoint and model. `…_heard_at` is when the
# provider told a limit; NULL is a configured one. `…_level` is what was left `at` that time.
shared_limits = Table(
    "shared_limits",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("requests_per_minute", Float),
    Column("requests_heard_at", UtcDateTime),
    Column("requests_level", Float, nullable=False),
    Column("tokens_per_minute", Float),
    Column("tokens_heard_at", UtcDateTime),
    Column("tokens_level", Float, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("cool_until", UtcDateTime),
)
