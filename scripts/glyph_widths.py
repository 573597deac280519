"""Write the table of glyph widths that `pipeline/content/seo/pixels.py` measures titles with.

    python -m scripts.glyph_widths /path/to/LiberationSans-Regular.ttf

Liberation Sans was drawn to the widths of Arial, glyph by glyph, so its table stands for Arial's,
which may not be passed on. Read here are the three tables of the font file that say it: `head` (units
per em), `cmap` (character to glyph) and `hmtx` (advance width of a glyph); see the OpenType
specification, https://learn.microsoft.com/typography/opentype/spec/.
"""

from __future__ import annotations

import json
import struct
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

TARGET = Path(__file__).parents[1] / "pipeline/content/seo/glyph_widths.toml"
RANGES = (  # what the five languages, and most names of the others, are written with
    (0x20, 0x17F),  # Latin
    (0x370, 0x3FF),  # Greek
    (0x400, 0x45F),  # Cyrillic
    (0x1E00, 0x1EFF),  # Latin with further accents
    (0x2010, 0x203A),  # dashes, quotation marks, dots
    (0x20A0, 0x20BF),  # currencies
    (0x2100, 0x2122),  # №, ™
)


def tables(font: bytes) -> Mapping[str, bytes]:
    """Tag → table of an OpenType font with TrueType outlines."""
    count = struct.unpack_from(">H", font, 4)[0]
    found = {}
    for entry in range(count):
        tag, _sum, offset, length = struct.unpack_from(">4sIII", font, 12 + 16 * entry)
        found[tag.decode("ascii")] = font[offset : offset + length]
    return found


def characters(cmap: bytes) -> dict[int, int]:
    """Character → glyph, from the subtable of format 4 (the basic plane)."""
    for entry in range(struct.unpack_from(">H", cmap, 2)[0]):
        offset = struct.unpack_from(">I", cmap, 4 + 8 * entry + 4)[0]
        if struct.unpack_from(">H", cmap, offset)[0] == 4:
            return dict(_format_4(cmap[offset:]))
    raise SystemExit("This font has no character table of format 4.")


def _format_4(table: bytes) -> Iterator[tuple[int, int]]:
    size = struct.unpack_from(">H", table, 6)[0] // 2

    def row(start: int, kind: str = "H") -> tuple[int, ...]:
        return struct.unpack_from(f">{size}{kind}", table, start)

    ends, starts = row(14), row(16 + 2 * size)
    deltas, offsets = row(16 + 4 * size, "h"), row(16 + 6 * size)
    for segment in range(size):
        for code in range(starts[segment], min(ends[segment], 0xFFFE) + 1):
            glyph = code
            if offsets[segment]:
                at = 16 + 6 * size + 2 * segment + offsets[segment] + 2 * (code - starts[segment])
                glyph = struct.unpack_from(">H", table, at)[0]
                if not glyph:
                    continue
            yield code, (glyph + deltas[segment]) & 0xFFFF


def advances(parts: Mapping[str, bytes]) -> Sequence[int]:
    """The advance width of each glyph that has its own, in units."""
    count = struct.unpack_from(">H", parts["hhea"], 34)[0]
    return struct.unpack(f">{'Hh' * count}", parts["hmtx"][: 4 * count])[::2]


def main(path: str) -> None:
    parts = tables(Path(path).read_bytes())
    em = struct.unpack_from(">H", parts["head"], 18)[0]
    widths, glyphs = advances(parts), characters(parts["cmap"])
    by_width: defaultdict[int, str] = defaultdict(str)
    for start, end in RANGES:
        for code in range(start, end + 1):
            if code in glyphs and unicodedata.category(chr(code)) not in ("Cc", "Cf"):
                by_width[widths[min(glyphs[code], len(widths) - 1)]] += chr(code)
    lines = [
        "# Advance widths of Arial's glyphs, by way of Liberation Sans, which has the same.",
        "# Made by scripts/glyph_widths.py; units: width → the characters that have it.",
        f'font = "{Path(path).name}"',
        f"measured_on = {datetime.now(UTC).date()}",
        f"units_per_em = {em}",
        "",
        "[widths]",
        *(
            f"{width} = {json.dumps(by_width[width], ensure_ascii=False)}"
            for width in sorted(by_width)
        ),
    ]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
