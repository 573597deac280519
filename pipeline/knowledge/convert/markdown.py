"""Write what a reader found as Markdown, with the document's own characters.

Pure. Only structure is marked; a line of text that looks like a heading or a fence, and a bar in a
table, get a backslash, and nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADING_LEVELS = 6
HEADING_MAX_CHARS = 1_000  # a longer one is a paragraph in a heading's style
COLUMNS_MAX = 64  # a wider table is given as lines
BAR = r"\|"

# What would begin a heading or a code fence, or make a heading of the line above.
_FALSE_START = re.compile(
    r"^(?=#{1,6}(?:[ \t]|$)|`{3}|~{3}|=+[ \t]*$|-+[ \t]*$|\|?[ \t]*:?-+:?[ \t]*\|[-:| \t]*$)",
    re.MULTILINE,
)
_FENCES = re.compile(r"`{3,}")


def as_text(text: str) -> str:
    """Lines that are text and nothing else. Their indentation, which would make code of them, goes."""
    return _FALSE_START.sub(r"\\", "\n".join(line.strip() for line in text.split("\n"))).strip("\n")


def heading(level: int, text: str) -> str:
    line = " ".join(text.split())
    if not line or len(line) > HEADING_MAX_CHARS:
        return as_text(text)
    return f"{'#' * min(max(level, 1), HEADING_LEVELS)} {line}"


def list_item(text: str, depth: int = 0) -> str:
    return f"{'  ' * min(depth, 8)}- {' '.join(text.split())}"


def fenced(code: str) -> str:
    """Code as it stands, in a fence longer than any inside."""
    marks = "`" * max(3, 1 + max(map(len, _FENCES.findall(code)), default=0))
    return f"{marks}\n{code}\n{marks}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its header. One column, or too many, are no table but lines."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    width = max(map(len, rows), default=0)
    if width < 2 or width > COLUMNS_MAX or len(rows) < 2:
        between = " " if len(rows) > 1 else "\n"
        return as_text("\n".join(between.join(filter(str.strip, row)) for row in rows))
    lined = [_row(row, width) for row in rows]
    return "\n".join([lined[0], _row(["---"] * width, width), *lined[1:]])


def _row(cells: Sequence[str], width: int) -> str:
    padded = [*cells, *([""] * (width - len(cells)))]
    return f"| {' | '.join(' '.join(cell.split()).replace('|', BAR) for cell in padded)} |"


def joined(blocks: Sequence[str]) -> str:
    """Blocks with a blank line between, but items of one list, which stand together."""
    parts: list[str] = []
    for block in blocks:
        if not block.strip():
            continue
        if parts:
            both_items = _is_item(block) and _is_item(parts[-1])
            parts.append("\n" if both_items else "\n\n")
        parts.append(block)
    return "".join(parts)


def _is_item(block: str) -> bool:
    return "\n" not in block and block.lstrip(" ").startswith("- ")
