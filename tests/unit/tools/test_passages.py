"""A page in passages: nothing lost, nothing doubled, each short enough to be checked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tools.passages import LONGEST, Passage, most_relevant, passages_of

WORDS = st.text(alphabet="abc .!?\n#ö漢", max_size=4_000)


@given(WORDS)
def test_no_word_is_lost_or_doubled(text: str) -> None:
    found = passages_of(text)

    kept = [line for block in text.split("\n\n") if (line := " ".join(block.split()))]
    assert all(0 < len(passage.text) <= LONGEST for passage in found)
    letters = "".join("".join(p.text for p in found).split())
    everything = "".join("".join(kept).split())
    if "#" not in text and "\n \n" not in text:
        assert letters == everything
    assert len(letters) <= len(everything)


def test_a_passage_never_crosses_a_heading_and_knows_it() -> None:
    text = "Before.\n\n# One\n\nShort.\n\nAlso short.\n\n## Two ##\n\n" + "Long enough. " * 20

    found = passages_of(text)

    assert [(p.heading, p.text[:18]) for p in found] == [
        ("", "Before."),
        ("One", "Short. Also short."),
        ("Two", "Long enough. Long "),
    ]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    sentence = "This is a sentence of some forty letters. "
    found = passages_of(sentence * 100)

    assert len(found) > 3
    assert all(p.text.endswith("letters.") for p in found)


def test_what_the_queries_are_about_comes_first_and_in_the_pages_order() -> None:
    passages = [
        Passage("The weather was fine."),
        Passage("Heat pumps need low flow temperatures."),
        Passage("Somebody had lunch."),
        Passage("A heat pump is quiet at night."),
    ]

    found = most_relevant(passages, ["heat pumps at night"], limit=2, max_chars=10_000)

    assert found == [passages[1], passages[3]]
    assert most_relevant(passages, ["zebra"], limit=2, max_chars=10_000) == passages[:2]
    assert most_relevant(passages, [], limit=4, max_chars=30) == passages[:1]
