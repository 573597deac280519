"""Runs that begin with another run's finished agents, and outlines that wait for approval."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing yet."""
