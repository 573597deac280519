"""What a readability formula is, what it is made of, and the six for English.

Sources: Flesch, "A new readability yardstick", Journal of Applied Psychology 32, 1948; Kincaid,
Fishburne, Rogers and Chissom, Research Branch Report 8-75, 1975 (Flesch-Kincaid, and the English
form of the automated readability index); Gunning, The technique of clear writing, 1952; McLaughlin,
"SMOG grading", Journal of Reading 12, 1969; Coleman and Liau, "A computer readability formula
designed for machine scoring", Journal of Applied Psychology 60, 1975.

The formulas of other languages are in `language_formulas.py`. `readability.py` counts and decides
whether a formula applies; nothing here looks at text.
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
    band: str = ""  # what the formula's own scale calls this value; empty where it has no words


@dataclass(frozen=True, slots=True)
class Counts:
    """What the formulas are made of."""

    words: int  # as spaces part them: l'acqua is one
    elided: int  # words cut off before an apostrophe: of l'acqua one
    sentences: int
    long_sentences: int
    paragraphs: int
    letters: int  # letters and digits of the words
    syllables: int
    complex_words: int  # three syllables or more
    fog_words: int  # the same, without the endings -es, -ed and -ing
    monosyllables: int
    long_words: int  # more than six letters
    cjk: int


@dataclass(frozen=True, slots=True)
class Formula:
    label: str
    unit: str
    text: str  # as readers see it
    compute: Callable[[Counts], float]
    least_sentences: int = 1
    band: Callable[[float], str] = lambda _value: ""


YEARS = "school years"
POINTS = "points, 0 hard to 100 easy"
ENGLISH: Mapping[str, Formula] = {
    "flesch_reading_ease": Formula(
        "Flesch reading ease",
        POINTS,
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
        least_sentences=SMOG_SENTENCES,
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


def measured(formula: Formula, counts: Counts, obstacle: str) -> Metric:
    """The formula's value; None with `obstacle` as the note when there is one."""
    if not obstacle and counts.sentences < formula.least_sentences:
        obstacle = f"too short: fewer than {formula.least_sentences} sentences"
    value = None if obstacle else round(formula.compute(counts), 1)
    band = "" if value is None else formula.band(value)
    return Metric(formula.label, value, formula.unit, formula.text, obstacle, band)
