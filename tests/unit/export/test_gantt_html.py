"""The small Gantt above an article tells what the large one tells."""

from __future__ import annotations

import re

from pipeline.export.gantt_html import gantt_html
from pipeline.views.bars import axis_end_s, gantt_bars, row_labels, strip_bars
from tests.unit.export.hostile import active_content
from tests.unit.export.samples import bundle


def test_every_agent_has_a_row_and_every_piece_of_time_a_bar() -> None:
    made = bundle()

    html = gantt_html(made.plan, made.timing, "What it tells")

    pieces = [bar for bar in gantt_bars(made.timing) if bar.duration_s > 0]
    assert 'role="img" aria-label="What it tells"' in html
    assert all(f">{label}<" in html for label in row_labels(made.plan).values())
    assert html.count('class="bar') == len(pieces) + len(strip_bars(made.timing))
    assert "replayed" in html


def test_places_are_shares_of_one_axis() -> None:
    made = bundle()
    first = next(bar for bar in gantt_bars(made.timing) if bar.segment.value == "generation")
    share = 100 * first.start_s / (axis_end_s(made.timing) * 1.02)

    html = gantt_html(made.plan, made.timing, "")

    assert f'class="bar generation" style="left:{share:.3f}%' in html
    lefts = [float(left) for left in re.findall(r"left:([\d.]+)%", html)]
    assert all(0 <= left <= 100 for left in lefts)


def test_only_our_own_sizes_and_colours_are_in_it() -> None:
    made = bundle("<img src=x onerror=alert(1)>")

    found = active_content(gantt_html(made.plan, made.timing, "<script>"))

    assert {active.split("=")[0] for active in found} <= {"i style", "span style"}
