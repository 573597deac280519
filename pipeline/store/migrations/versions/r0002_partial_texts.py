"""What agents in flight had written, every two seconds, for whoever looks later."""

from __future__ import annotations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nothing yet."""
