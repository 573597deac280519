"""Readability formulas made for German, Spanish, French and Italian, as published.

Each was fitted to texts of its language and is given for no other. The points of two languages are
not comparable. Originals that could not be had are cited by those who use them; docs/numbers.md
says which.

German
    Amstad, "Wie verständlich sind unsere Zeitungen?", dissertation, Zürich 1978: Flesch's formula
    with 180, 1 and 58.5.
    Bamberger and Vanecek, "Lesen – Verstehen – Lernen – Schreiben", Wien 1984: the first of the
    four Wiener Sachtextformeln. Its result is a school year, about 4 to 15.
Spanish
    Fernández Huerta, "Medidas sencillas de lecturabilidad", Consigna 214, 1959. As printed, and in
    most copies, 1.02 is taken times the sentences in a hundred words, so that shorter sentences
    would make a text harder. Used here is the form with words per sentence, which is Flesch's and
    was meant (Law, "Error in the Fernandez Huerta readability formula", LINGUIST List 22.2332,
    2011).
    Szigriszt Pazos, "Sistemas predictivos de legibilidad del mensaje escrito", dissertation, Madrid
    1993, with the five bands of the INFLESZ scale: Barrio-Cantalejo and others, "Validación de la
    Escala INFLESZ", Anales del Sistema Sanitario de Navarra 31, 2008.
French
    Kandel and Moles, "Application de l'indice de Flesch à la langue française", Cahiers d'études de
    radio-télévision 19, 1958: 207, 1.015 and 73.6. (Some cite 209, 1.15 and 68 under their names.)
Italian
    Franchina and Vacca, adaptation of 1972: 206, 0.65 syllables in a hundred words, words per
    sentence. Their revision of 1986 (217, 1.3, 0.6) was found the less reliable one.
    Lucisano and Piemontese, "GULPEASE: una formula per la predizione della difficoltà dei testi in
    lingua italiana", Scuola e città 3, 1988. It counts elided words (l'acqua) as two; kept within
    the 0 to 100 of its scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.content.formulas import ENGLISH, POINTS, YEARS, Counts, Formula
from pipeline.content.languages import Language

_INFLESZ: Final = (  # from, to below
    (40.0, "very hard"),
    (55.0, "rather hard"),
    (65.0, "normal"),
    (80.0, "rather easy"),
    (float("inf"), "very easy"),
)


def _inflesz(value: float) -> str:
    return next(word for end, word in _INFLESZ if value < end)


def _wiener(c: Counts) -> float:
    return (
        19.35 * c.complex_words / c.words
        + 0.1672 * c.words / c.sentences
        + 12.97 * c.long_words / c.words
        - 3.27 * c.monosyllables / c.words
        - 0.875
    )


def _gulpease(c: Counts) -> float:
    raw = 89 + (300 * c.sentences - 10 * c.letters) / (c.words + c.elided)
    return min(100.0, max(0.0, raw))


_GERMAN: Final[Mapping[str, Formula]] = {
    "amstad": Formula(
        "Flesch, German by Amstad",
        POINTS,
        "180 − words/sentences − 58.5 syllables/words",
        lambda c: 180 - c.words / c.sentences - 58.5 * c.syllables / c.words,
    ),
    "wiener_sachtextformel": Formula(
        "Wiener Sachtextformel 1",
        YEARS,
        "0.1935 × % of words with three syllables or more + 0.1672 words/sentences "
        "+ 0.1297 × % of words of more than six letters − 0.0327 × % of words of one syllable − 0.875",
        _wiener,
    ),
}
_SPANISH: Final[Mapping[str, Formula]] = {
    "fernandez_huerta": Formula(
        "Fernández Huerta",
        POINTS,
        "206.84 − 60 syllables/words − 1.02 words/sentences",
        lambda c: 206.84 - 60 * c.syllables / c.words - 1.02 * c.words / c.sentences,
    ),
    "szigriszt_pazos": Formula(
        "Szigriszt-Pazos",
        POINTS,
        "206.835 − 62.3 syllables/words − words/sentences; in words by the INFLESZ scale",
        lambda c: 206.835 - 62.3 * c.syllables / c.words - c.words / c.sentences,
        band=_inflesz,
    ),
}
_FRENCH: Final[Mapping[str, Formula]] = {
    "kandel_moles": Formula(
        "Flesch, French by Kandel and Moles",
        POINTS,
        "207 − 1.015 words/sentences − 73.6 syllables/words",
        lambda c: 207 - 1.015 * c.words / c.sentences - 73.6 * c.syllables / c.words,
    ),
}
_ITALIAN: Final[Mapping[str, Formula]] = {
    "flesch_vacca": Formula(
        "Flesch, Italian by Franchina and Vacca",
        POINTS,
        "206 − 65 syllables/words − words/sentences",
        lambda c: 206 - 65 * c.syllables / c.words - c.words / c.sentences,
    ),
    "gulpease": Formula(
        "Gulpease", POINTS, "89 + (300 sentences − 10 characters)/words", _gulpease
    ),
}

FORMULAS: Final[Mapping[Language, Mapping[str, Formula]]] = {
    "en": ENGLISH,
    "de": _GERMAN,
    "es": _SPANISH,
    "fr": _FRENCH,
    "it": _ITALIAN,
}
