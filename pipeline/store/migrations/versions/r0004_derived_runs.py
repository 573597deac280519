"""Runs that begin with another run's finished agents, and outputs that a person edited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("runs", sa.Column("parent_id", sa.String(64)))
    op.add_column(
        "checkpoints",
        sa.Column("edited", sa.Boolean, nullable=False, server_default=sa.false()),
    )
