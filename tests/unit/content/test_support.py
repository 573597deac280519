"""Statements are set against their passages by words, numbers and denials."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.claim_words import claim_words, language_of, plain_number
from pipeline.content.languages import Language
from pipeline.content.statements import statements
from pipeline.content.support import Support, Verdict, support_of
from pipeline.models import Source

ROOF = (
    "Roughly 25 percent of the heat of a detached house leaves through an uninsulated roof. Walls take "
    "1,200 kWh a year. Insulating the attic floor does not require scaffolding."
)


def judged(text: str, passage: str = ROOF, language: Language = "en") -> Support:
    source = Source("Saaaa1", "Roofs", "", "kb", passage)
    return support_of(statements(text), {"Saaaa1": source}, language)[0]


@pytest.mark.parametrize(
    "text",
    [
        "About 25 percent of a detached house's heat leaves through the roof [Saaaa1].",
        "An uninsulated roof lets 25 % of the heat leave a house [Saaaa1].",
        "The walls take 1200 kWh each year [Saaaa1].",
        "To insulate an attic floor, no scaffolding is required [Saaaa1].",
    ],
)
def test_a_statement_in_other_words_is_supported(text: str) -> None:
    assert judged(text).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("About 35 percent of a detached house's heat leaves through the roof [Saaaa1].", Verdict.UNSUPPORTED),
        ("The walls take 1,210 kWh a year [Saaaa1].", Verdict.UNSUPPORTED),
        ("Insulating the attic floor requires scaffolding [Saaaa1].", Verdict.WEAK),
        ("Triple glazing pays for itself within a decade [Saaaa1].", Verdict.UNSUPPORTED),
        ("Old windows in a house let heat escape and rattle in storms [Saaaa1].", Verdict.WEAK),
    ],
)  # fmt: skip
def test_other_numbers_denials_and_words_are_not(text: str, verdict: Verdict) -> None:
    assert judged(text).verdict is verdict


def test_what_is_missing_is_named() -> None:
    assert judged("In 2019 the roof lost 35 % of the heat [Saaaa1].").notes == (
        "Not in the passage: 2019, 35",
    )


def test_the_sentences_that_carry_a_statement_are_shown() -> None:
    support = judged("Walls take 1,200 kWh a year [Saaaa1].")

    assert support.words == "Walls take 1,200 kWh a year."
    assert (support.passage, support.score) == ("Saaaa1", 1.0)


def test_a_passage_in_another_language_is_not_compared_but_its_numbers_are() -> None:
    german = "Rund 25 Prozent der Wärme eines Hauses gehen durch das Dach verloren, wenn es nicht gedämmt ist."

    assert (
        judged("Some 25 percent of the heat is lost [Saaaa1].", german).verdict
        is Verdict.NOT_COMPARED
    )
    assert (
        judged("Some 35 percent of the heat is lost [Saaaa1].", german).verdict
        is Verdict.UNSUPPORTED
    )


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("## Roofs lose 25 percent", Verdict.NO_CLAIM),
        ("How much heat does a roof lose in 2020?", Verdict.NO_CLAIM),
        ("So much for that.", Verdict.NO_CLAIM),
        ("Copper cables carry data between distant continents.", Verdict.UNCITED),
        ("It rose by 40 percent.", Verdict.UNCITED),
    ],
)
def test_what_cites_nothing_is_a_claim_or_none(text: str, verdict: Verdict) -> None:
    assert judged(text).verdict is verdict


def test_a_statement_that_stands_in_a_source_it_does_not_name_says_so() -> None:
    support = judged(
        "25 percent of the heat of a detached house leaves through an uninsulated roof."
    )

    assert support.verdict is Verdict.UNCITED
    assert support.passage == "Saaaa1"
    assert "does not name" in support.notes[0]


@pytest.mark.parametrize(
    ("written", "plain"),
    [("1,000", "1000"), ("1.000.000", "1000000"), ("1 000", "1000"), ("3,50", "3.5"), ("3.5", "3.5"),
     ("007", "7"), ("2019", "2019"), ("12’500", "12500")],
)  # fmt: skip
def test_a_number_has_one_form(written: str, plain: str) -> None:
    assert plain_number(written) == plain


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The roof of the house is the part that loses most of its heat.", "en"),
        ("Das Dach des Hauses ist der Teil, der die meiste Wärme verliert.", "de"),
        ("El techo de la casa es la parte que pierde más calor.", "es"),
        ("Le toit de la maison est la partie qui perd le plus de chaleur.", "fr"),
        ("Il tetto della casa è la parte che perde più calore.", "it"),
        ("Roof 25 kWh", ""),
    ],
)
def test_the_language_of_a_passage_is_told_by_its_small_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_scripts_without_spaces_are_compared_too() -> None:
    assert (
        judged("屋顶损失了房屋的大部分热量 [Saaaa1]。", "房屋的大部分热量从屋顶损失。", "").verdict
        is Verdict.SUPPORTED
    )


@given(st.text(), st.text())
def test_any_texts_are_compared_and_a_score_is_a_share(text: str, passage: str) -> None:
    source = Source("Saaaa1", "", "", "web", passage)

    for support in support_of(statements(text + " [Saaaa1]"), {"Saaaa1": source}, "en"):
        assert 0 <= support.score <= 1
    assert claim_words(text).numbers >= frozenset()


@pytest.mark.slow
def test_an_article_of_100_kb_is_judged_in_a_fifth_of_a_second() -> None:
    sources = {
        f"S{n:05x}": Source(f"S{n:05x}", "", "", "web", f"{ROOF} Number {n}.") for n in range(60)
    }
    text = "\n\n".join(
        f"House number {n} loses 25 percent of its heat through roof {n % 7} in winter [S{n % 60:05x}]."
        for n in range(1_250)
    )
    found = statements(text)
    assert len(text) > 100_000

    start = time.process_time()
    support_of(found, sources, "en")

    assert time.process_time() - start < 1.0  # 0.1 to 0.2 s on its own; the machine may be busy
