"""The hostile lines of tests/data, as one list."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parents[2] / "data"


def _lines(name: str) -> list[str]:
    text = (_DATA / name).read_text("utf-8", errors="surrogateescape")
    return [line for line in text.split("\n") if line.strip() and not line.startswith("#")]


HOSTILE_LINES = [line for name in ("xss.txt", "blns.txt", "inject.txt") for line in _lines(name)]
