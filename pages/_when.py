"""Moments as the person in front of the page reads them: in the browser's time zone."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import streamlit as st


def when(moment: datetime) -> str:
    """Date and time to the minute, such as `2026-11-27 08:05`; with the zone's name where only the
    server's is known."""
    zone = _browser_zone()
    there = moment.astimezone(zone)
    return f"{there:%Y-%m-%d %H:%M}" if zone is not None else f"{there:%Y-%m-%d %H:%M %Z}"


def _browser_zone() -> tzinfo | None:
    name = st.context.timezone
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no such zone, or no zone data on this machine
        return None
