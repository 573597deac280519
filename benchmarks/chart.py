"""Draw the comparison as an SVG: one group of bars per figure, each bar a participant. Pure.

Readable on light and dark pages; the bars of a group are to scale, the figures stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.rows import PARTICIPANTS, PeerFigure, Sample

WIDTH, LEFT, BARS, RIGHT = 860, 130, 520, 200
BAR, GAP, HEAD = 14, 3, 30
COLOURS = {
    "gantry": "#0f766e",
    "plain": "#64748b",
    "langgraph": "#b45309",
    "pydantic_ai": "#7c3aed",
}
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2937 }
.title { font-weight: 600; font-size: 13px }
.value { font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) { text { fill: #e5e7eb } }
"""


def chart(figures: Sequence[tuple[PeerFigure, dict[str, Sample]]]) -> str:
    shown = [(figure, samples) for figure, samples in figures if "plain" in samples]
    height = 16 + sum(HEAD + len(samples) * (BAR + GAP) + 10 for _, samples in shown)
    body = "\n".join(_groups(shown))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Gantry against plain gather and other frameworks">\n'
        f"<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )


def _groups(shown: Sequence[tuple[PeerFigure, dict[str, Sample]]]) -> Iterator[str]:
    y = 16
    for figure, samples in shown:
        note = "less is better" if figure.better == "lower" else "more is better"
        yield f'<text class="title" x="0" y="{y + 12}">{escape(figure.title)} ({note})</text>'
        y += HEAD - 8
        longest = max(one.median for one in samples.values())
        plain = samples["plain"].median
        for name in PARTICIPANTS:
            if name in samples:
                yield _bar(name, samples[name].median, longest, plain, figure.unit, y)
                y += BAR + GAP
        y += 18


def _bar(name: str, value: float, longest: float, plain: float, unit: str, y: int) -> str:
    width = max(1.0, BARS * value / longest)
    label = f"{number(value)} {unit}" + ("" if name == "plain" else f" · {number(value / plain)}×")
    middle = y + BAR - 3
    return (
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(PARTICIPANTS[name])}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
        f'fill="{COLOURS[name]}"/>'
        f'<text class="value" x="{LEFT + width + 6:.1f}" y="{middle}">{escape(label)}</text>'
    )


def number(value: float) -> str:
    """Three figures, as people write them."""
    if value == int(value):
        return f"{value:,.0f}"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}"
