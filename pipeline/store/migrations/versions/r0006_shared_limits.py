"""Limits of a provider and model that all processes share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "shared_limits",
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("requests_per_minute", sa.Float),
        sa.Column("requests_heard_at", sa.DateTime(timezone=True)),
        sa.Column("requests_level", sa.Float, nullable=False),
        sa.Column("tokens_per_minute", sa.Float),
        sa.Column("tokens_heard_at", sa.DateTime(timezone=True)),
        sa.Column("tokens_level", sa.Float, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cool_until", sa.DateTime(timezone=True)),
    )
