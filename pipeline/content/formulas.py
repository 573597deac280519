"""The six readability formulas for English and Gulpease for Italian, as published.

`readability.py` counts and decides whether a formula applies; nothing here looks at text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SMOG_SENTENCES = 30


@dataclass(frozen=True, slots=True)
class Metric:
    """One number. `value` is None when it cannot be given; then `note` says why."""

    label: str
    value: float | int | None
    unit: str
    formula: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the formulas are made of."""

    words: int
    sentences: int
    long_sentences: int
    paragraphs: int
    letters: int  # letters and digits of the words
    syllables: int
    complex_words: int  # three syllables or more
    fog_words: int  # the same, without the endings -es, -ed and -ing
    cjk: int


@dataclass(frozen=True, slots=True)
class Formula:
    label: str
    unit: str
    text: str  # as readers see it
    compute: Callable[[Counts], float]


YEARS = "school years"
FORMULAS: Mapping[str, Formula] = {
    "flesch_reading_ease": Formula(
        "Flesch reading ease",
        "points, 0 hard to 100 easy",
        "206.835 − 1.015 words/sentences − 84.6 syllables/words",
        lambda c: 206.835 - 1.015 * c.words / c.sentences - 84.6 * c.syllables / c.words,
    ),
    "flesch_kincaid_grade": Formula(
        "Flesch-Kincaid grade",
        YEARS,
        "0.39 words/sentences + 11.8 syllables/words − 15.59",
        lambda c: 0.39 * c.words / c.sentences + 11.8 * c.syllables / c.words - 15.59,
    ),
    "gunning_fog": Formula(
        "Gunning fog",
        YEARS,
        "0.4 (words/sentences + 100 long words/words); long: three syllables without -es, -ed, -ing",
        lambda c: 0.4 * (c.words / c.sentences + 100 * c.fog_words / c.words),
    ),
    "smog": Formula(
        "SMOG",
        YEARS,
        f"1.043 √(30 long words/sentences) + 3.1291, from {SMOG_SENTENCES} sentences up",
        lambda c: 1.043 * math.sqrt(30 * c.complex_words / c.sentences) + 3.1291,
    ),
    "automated_readability_index": Formula(
        "Automated readability index",
        YEARS,
        "4.71 characters/words + 0.5 words/sentences − 21.43",
        lambda c: 4.71 * c.letters / c.words + 0.5 * c.words / c.sentences - 21.43,
    ),
    "coleman_liau": Formula(
        "Coleman-Liau",
        YEARS,
        "5.88 characters/words − 29.6 sentences/words − 15.8",
        lambda c: 5.88 * c.letters / c.words - 29.6 * c.sentences / c.words - 15.8,
    ),
}


def formulas(counts: Counts, obstacle: str) -> dict[str, Metric]:
    """Each formula's value; None with `obstacle` as the note when there is one."""
    return {name: _metric(name, formula, counts, obstacle) for name, formula in FORMULAS.items()}


def gulpease(counts: Counts, obstacle: str) -> Metric:
    """Readability of Italian; `counts.words` has elided words (l'acqua) as two.

    Lucisano and Piemontese, "GULPEASE: una formula per la predizione della difficoltà dei testi in
    lingua italiana", Scuola e città 3, 1988. Kept within the 0 to 100 of its scale.
    """
    value = None
    if not obstacle:
        raw = 89 + (300 * counts.sentences - 10 * counts.letters) / counts.words
        value = round(min(100.0, max(0.0, raw)), 1)
    text = "89 + (300 sentences − 10 characters)/words"
    return Metric("Gulpease", value, "points, 0 hard to 100 easy", text, obstacle)


def _metric(name: str, formula: Formula, counts: Counts, obstacle: str) -> Metric:
    if not obstacle and name == "smog" and counts.sentences < SMOG_SENTENCES:
        obstacle = f"too short: fewer than {SMOG_SENTENCES} sentences"
    value = None if obstacle else round(formula.compute(counts), 1)
    return Metric(formula.label, value, formula.unit, formula.text, obstacle)
