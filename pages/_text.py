"""Other people's text inside our labels. Topics and model text never become markup by accident."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$<>:&^=@])")


def escaped(text: str) -> str:
    """`text` so that Streamlit's Markdown shows it as it is, directives and icons included."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def clipped(text: str, limit: int = 90) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def seconds(value: float | None) -> str:
    """A duration for people: `0.4 s`, `12.3 s`, `2 min 05 s`; a dash when unknown."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"
