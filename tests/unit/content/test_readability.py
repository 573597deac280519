import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.languages import is_english
from pipeline.content.readability import (
    NO_SPACES,
    NOT_ENGLISH,
    TOO_SHORT,
    computed_metrics,
    diversity,
    figure_words,
    prose_paragraphs,
    sentences,
)
from pipeline.content.syllables.english import syllables

# 10 words, 2 sentences, 38 letters, 13 syllables, one word of three: "animals".
UNIT = "The small cat sat on the mat. Many animals slept."
FORMULAS = (
    "flesch_reading_ease",
    "flesch_kincaid_grade",
    "gunning_fog",
    "smog",
    "automated_readability_index",
    "coleman_liau",
)


def repeated(times: int) -> str:
    return "\n\n".join([UNIT] * times)


def test_the_formulas_give_what_a_hand_computes() -> None:
    metrics = computed_metrics(repeated(20), "English")  # 200 words, 40 sentences, W/S = 5

    assert metrics.value("words") == 200
    assert metrics.value("sentences") == 40
    assert metrics.value("paragraphs") == 20
    assert metrics.value("characters") == 760
    assert metrics.value("words_per_sentence") == 5.0
    assert metrics.value("flesch_reading_ease") == 91.8  # 206.835 − 1.015·5 − 84.6·1.3
    assert metrics.value("flesch_kincaid_grade") == 1.7  # 0.39·5 + 11.8·1.3 − 15.59
    assert metrics.value("gunning_fog") == 6.0  # 0.4·(5 + 10)
    assert metrics.value("smog") == 7.2  # 1.043·√(30·20/40) + 3.1291
    assert metrics.value("automated_readability_index") == -1.0  # 4.71·3.8 + 0.5·5 − 21.43
    assert metrics.value("coleman_liau") == 0.6  # 5.88·3.8 − 29.6·0.2 − 15.8
    assert metrics.value("reading_minutes") == 0.8  # 200 / 238


def test_a_short_text_gets_lengths_and_no_formula() -> None:
    metrics = computed_metrics(repeated(9), "English")

    assert metrics.value("words") == 90
    assert [metrics.metrics[name].note for name in FORMULAS] == [TOO_SHORT] * 6


def test_smog_wants_thirty_sentences() -> None:
    metrics = computed_metrics(repeated(14), "English")  # 28 sentences

    assert metrics.value("smog") is None
    assert metrics.value("gunning_fog") == 6.0


def test_another_language_gets_lengths_only_and_is_told_so() -> None:
    metrics = computed_metrics(repeated(20), "Polish")

    assert metrics.value("words") == 200
    assert {metrics.metrics[name].note for name in FORMULAS} == {NOT_ENGLISH}
    assert metrics.note == "Polish: lengths only; the others are for English"


def test_chinese_is_counted_in_characters() -> None:
    metrics = computed_metrics("热量从屋顶流失最快。" * 100, "Chinese")

    assert metrics.value("words") is None
    assert metrics.metrics["words"].note == NO_SPACES
    assert metrics.value("sentences") == 100
    assert metrics.value("reading_minutes") == 1.8  # 900 characters at 500 a minute


def test_only_prose_is_counted() -> None:
    text = (
        "# Heading words\n\nProse [Saaaa1] at https://example.org/x and `code` here.\n\n"
        "| a | b |\n|---|---|\n| c | d |\n\n```\nmore code\n```\n\n- An item.\n\n"
        "## Sources\n\n- Not this.\n"
    )

    assert prose_paragraphs(text) == ["Prose at and here.", "An item."]


def test_every_number_goes_out_under_its_name_with_how_it_was_made() -> None:
    told = computed_metrics(repeated(20), "en-GB").to_dict()

    assert told["numbers"]["words"] == 200  # type: ignore[index]
    assert "syllables/words" in told["metrics"]["flesch_reading_ease"]["formula"]  # type: ignore[index]


def test_long_sentences_are_those_of_more_than_twenty_five_words() -> None:
    text = " ".join(["word"] * 26) + ". " + " ".join(["word"] * 25) + "."

    assert computed_metrics(text, "English").value("long_sentence_share") == 0.5


def test_abbreviations_and_decimals_do_not_end_a_sentence() -> None:
    text = "Dr. Smith paid 3.5 pounds, e.g. for tea. It was 5 p.m. already! Really? “Yes.” Done"

    assert sentences(text) == [
        "Dr. Smith paid 3.5 pounds, e.g. for tea.",
        "It was 5 p.m. already!",
        "Really?",
        "“Yes.”",
        "Done",
    ]


def test_diversity_is_the_mean_share_of_different_words_in_a_window() -> None:
    assert diversity(["a", "b", "a", "a"], window=2) == pytest.approx((1 + 1 + 0.5) / 3)
    assert diversity(["a"], window=2) is None


@pytest.mark.parametrize(
    ("language", "expected"),
    [("English", True), ("en-GB", True), ("british english", True), ("French", False), ("", False)],
)
def test_english_is_known_by_name_and_tag(language: str, expected: bool) -> None:
    assert is_english(language) is expected


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("cat", 1), ("table", 2), ("house", 1), ("houses", 2), ("wanted", 2), ("walked", 1),
        ("animals", 3), ("readability", 5), ("evaluation", 5), ("people", 2), ("insulation", 4),
        ("society", 4), ("idea", 3), ("places", 2), ("well-known", 2), ("", 1), ("42", 1),
    ],
)  # fmt: skip
def test_syllables_are_counted_by_rule(word: str, count: int) -> None:
    assert syllables(word) == count


@given(st.text(), st.sampled_from(["English", "Japanese", "Klingon"]))
def test_any_text_has_metrics(text: str, language: str) -> None:
    metrics = computed_metrics(text, language)

    assert all((m.value is not None) or m.note or m.unit for m in metrics.metrics.values())


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz'-", max_size=40))
def test_every_word_has_a_syllable(word: str) -> None:
    assert syllables(word) >= 1


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [(0.13, "share", "13%"), (1234, "words", "1,234 words"), (None, "words", "–"), (7, "", "7")],
)
def test_a_figure_is_said_with_its_unit(value: float | None, unit: str, said: str) -> None:
    assert figure_words({"value": value, "unit": unit}) == said


def test_italian_gets_gulpease_with_elided_words_as_two() -> None:
    # a sentence of 6 words (l' acqua è molto fredda oggi) and 22 letters
    article = "L'acqua è molto fredda oggi. " * 30

    metrics = computed_metrics(article, "Italian")

    assert metrics.value("gulpease") == 100.0  # 89 + (300 - 220) / 6 = 102.3, and the scale ends
    assert metrics.value("flesch_reading_ease") is None


def test_gulpease_follows_its_published_coefficients() -> None:
    article = ("parola " * 19 + "parola. ") * 6

    metrics = computed_metrics(article, "it-IT")

    assert metrics.value("gulpease") == 44.0  # 89 + (300 * 6 - 10 * 720) / 120
    assert "gulpease" not in computed_metrics(article, "English").metrics


def test_a_short_italian_text_gets_no_gulpease() -> None:
    assert computed_metrics("Ciao a tutti.", "it").value("gulpease") is None
