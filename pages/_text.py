"""Other people's text inside our labels, and figures as people read them.

Topics and model text never become markup by accident: `escaped` is for one line inside a label,
`pipeline.export.markdown.safe_markdown` for text that is meant as Markdown.
"""

from __future__ import annotations

import re

from pipeline.content.inert import WORD_JOINER, escape_markdown
from pipeline.export.markdown import safe_markdown
from pipeline.views.bars import said_s

_CODE = re.compile(r"`([^`\n]{1,200})`")
# Streamlit would draw these as arrows, a dash and comparison signs where they stand alone.
_TYPOGRAPHY = re.compile(r"(?<!\S)(<|>|-|~)(?=(?:->|>|-|=)(?!\S))")


def escaped(text: str) -> str:
    """One line that Streamlit's Markdown shows as it is: no link, icon, colour or arrow of it."""
    return safe_markdown(escape_markdown(_TYPOGRAPHY.sub(rf"\1{WORD_JOINER}", text)))


def told(message: object) -> str:
    """An error's sentence: what a terminal marks as code stands in quotation marks here."""
    return escaped(_CODE.sub(r"“\1”", str(message)))


def clipped(text: str, limit: int = 90) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def seconds(value: float | None) -> str:
    """A duration for people, as the chart says it; a dash when unknown."""
    return "–" if value is None else said_s(value)


def share(value: float | None) -> str:
    """A share as a whole percentage; a dash when unknown."""
    return "–" if value is None else f"{value:.0%}"
