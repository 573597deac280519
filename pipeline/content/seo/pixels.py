"""How wide a line of Arial is, and where it is cut. Pure; the widths are data.

`glyph_widths.toml` says where they come from. Kerning is left out, so a line may in truth be a pixel
or two narrower. A sign that is not in the table counts as its letter without accents, as a full square
where it is one (Chinese, Japanese, Korean, emoji), as nothing where it is not seen, else as an average
letter.
"""

from __future__ import annotations

import itertools
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

AVERAGE_EM: Final = 0.55
ELLIPSIS: Final = " …"
_DATA: Final = Path(__file__).with_name("glyph_widths.toml")
_UNSEEN: Final = frozenset(["Mn", "Me", "Cc", "Cf"])


def width(text: str, size_px: float) -> float:
    """Pixels a line takes at a font size of `size_px`."""
    table = _ems()
    return sum(table[c] if c in table else _em(c) for c in text) * size_px


def cut_to(text: str, size_px: float, limit_px: float) -> str:
    """The text if it fits, else its beginning with an ellipsis, cut between words where it can be."""
    if width(text, size_px) <= limit_px:
        return text
    room = limit_px - width(ELLIPSIS, size_px)
    ends = itertools.accumulate(width(sign, size_px) for sign in text)
    kept = next(index for index, end in enumerate(ends) if end > room)
    head = text[:kept]
    if not text[kept].isspace() and " " in head:
        head = head[: head.rindex(" ")]
    return head.rstrip() + ELLIPSIS


def _em(character: str) -> float:
    if unicodedata.category(character) in _UNSEEN:
        return 0.0
    plain = unicodedata.normalize("NFD", character)[0]
    if plain in _ems():
        return _ems()[plain]
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else AVERAGE_EM


@cache
def _ems() -> Mapping[str, float]:
    with _DATA.open("rb") as file:
        data = tomllib.load(file)
    em = data["units_per_em"]
    return {c: int(units) / em for units, signs in data["widths"].items() for c in signs}
