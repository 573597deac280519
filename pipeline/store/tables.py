"""The tables, as SQLAlchemy sees them. `migrations/` is what creates them.

The tables are the truth about runs; queue and journal only speed things up. Types are portable
between SQLite and PostgreSQL: JSON is kept as UTF-8 bytes, so that whatever a model wrote (lone
surrogates and NUL included) comes back exactly; times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    false,
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
    Column("parent_id", String(64)),  # no foreign key: a parent may be deleted
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
    Column("edited", Boolean, nullable=False, server_default=false()),
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

# A link that shows one run to whoever has it. Only the hash of its token: the link is not here.
shares = Table(
    "shares",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# What all processes of one installation have in common, such as the secret that signs tokens.
installation = Table(
    "installation",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# What runs and days have spent, for budgets. No key to `runs`: a day's sum outlives its runs.
spending = Table(
    "spending",
    metadata,
    Column("scope", String(100), primary_key=True),  # `run:<id>` or `day:<UTC date>`
    Column("tokens", BigInteger, nullable=False),  # holds included
    Column("micro_usd", BigInteger, nullable=False),
    Column("estimated_tokens", BigInteger, nullable=False),  # the part of it nobody told
    Column("estimated_micro_usd", BigInteger, nullable=False),
)

# What calls in flight may spend at most; a row that outlives its process is settled as an estimate.
holds = Table(
    "holds",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("day", String(10), nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("micro_usd", BigInteger, nullable=False),
    Index("holds_by_run", "run_id"),
)

# An owner's own documents: their text only, the files are not kept.
documents = Table(
    "documents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("name", Text, nullable=False),  # of the file
    Column("title", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("language", String(32), nullable=False),  # whose word stems its terms are
    Column("size", BigInteger, nullable=False),  # of the file, in bytes
    Column("pages", Integer),  # NULL: its kind has none
    Column("chunk_count", Integer, nullable=False),
    Column("warnings", LargeBinary, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the file
    Column("added_at", UtcDateTime, nullable=False),
    Index("documents_by_owner", "owner", "digest", unique=True),
)

chunks = Table(
    "chunks",
    metadata,
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),  # headings above it
    Column("page", Integer),
    Column("text", LargeBinary, nullable=False),
    Column("terms", LargeBinary, nullable=False),  # term ids, 8 bytes each, in order
)

# One row for each passage and model: another model's vectors mean nothing beside them.
embeddings = Table(
    "embeddings",
    metadata,
    Column("document_id", ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("dimension", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian, of length 1
)

# Counts up with every change, so that other processes' indexes know they are old.
knowledge = Table(
    "knowledge",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

# An owner's brand voices, by name. Runs carry a copy, so that a changed preset changes no run.
voices = Table(
    "voices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("name", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("voices_by_owner", "owner", "name", unique=True),
)
