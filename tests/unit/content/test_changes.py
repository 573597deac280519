"""What became of the publisher's edits and of the advice it was given."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.changes import Changes, changes_of
from pipeline.content.word_diff import MOST_COMPARISONS, Piece, difference
from pipeline.models import AgentOutput, RunSpec, Source

SPEC = RunSpec(topic="Roofs")
SOURCE = Source("Saaaa1", "Roofs", "https://example.org/roofs", "sample", "Heat.", "House")
TEXT = (
    "# Old headline\n\nHeat leaves through the roof [Saaaa1].\n\n## Next\n\n"
    "Insulation is all it takes. It pays.\n\nThe end.\n"
)


def edit(find: str, new: str, why: str) -> dict[str, str]:
    return {"find": find, "replace": new, "why": why}


def outputs(edits: list[dict[str, str]], not_applied: list[str]) -> dict[str, AgentOutput]:
    return {
        "web_researcher": AgentOutput(
            text="", data={"findings": [{"claim": "c"}]}, sources=(SOURCE,)
        ),
        "editor": AgentOutput(text=TEXT),
        "seo_specialist": AgentOutput(
            text="", data={"suggestions": ["Shorten it.", "Name the roof.", "Link it."]}
        ),
        "metrics_analyzer": AgentOutput(
            text="",
            data={"recommendations": [{"issue": "Long", "evidence": "30 words", "fix": "Split"}]},
        ),
        "publisher": AgentOutput(
            text="",
            data={
                "title": "New headline",
                "standfirst": "Why it pays.",
                "edits": edits,
                "not_applied": not_applied,
            },
        ),
    }


def made(edits: list[dict[str, str]], not_applied: list[str]) -> Changes:
    changes = changes_of(SPEC, outputs(edits, not_applied))
    assert changes is not None
    return changes


def test_an_edit_is_told_with_its_reason_and_the_advice_it_follows() -> None:
    changes = made([edit("is all it takes", "is enough", "SEO 1: plainer")], [])

    first = changes.edits[0]
    assert (first.why, first.advice, first.refused) == ("Plainer", "SEO 1", "")
    assert (changes.applied, changes.headline_before, changes.headline) == (
        1,
        "Old headline",
        "New headline",
    )


def test_an_edit_that_code_refused_says_why() -> None:
    changes = made([edit("nowhere", "x", "SEO 2: because"), edit("[Saaaa1]", "", "tidy")], [])

    assert [e.refused for e in changes.edits] == [
        "the passage does not stand in the text",
        "it would lose or repeat a citation",
    ]
    assert changes.applied == 0


def test_each_piece_of_advice_has_one_outcome_in_the_publishers_words() -> None:
    changes = made(
        [
            edit("is all it takes", "is enough", "SEO 1: plainer"),
            edit("nowhere", "x", "seo 2 – named"),
        ],
        ["Metrics 1: the sentence reads well", "A line about nothing in particular"],
    )

    assert [(a.name, a.outcome, a.said) for a in changes.advice] == [
        ("SEO 1", "applied", "Plainer"),
        ("SEO 2", "refused", "the passage does not stand in the text"),
        ("SEO 3", "not_mentioned", ""),
        ("Metrics 1", "not_followed", "The sentence reads well"),
    ]
    assert changes.advice[3].text == "Long: Split"
    assert changes.left == ("A line about nothing in particular",)


def test_the_difference_is_between_what_readers_would_have_got_and_what_they_get() -> None:
    changes = made([edit("is all it takes", "is enough", "")], [])

    block = changes.text.blocks[0]
    assert (block.skipped, changes.text.unchanged) == (2, 1)
    assert [(p.kind, p.text) for p in block.pieces] == [
        ("same", "Insulation is "),
        ("removed", "all it takes"),
        ("added", "enough"),
        ("same", ". It pays."),
    ]
    assert (changes.text.words("added"), changes.text.words("removed")) == (1, 3)


def test_without_a_publisher_there_are_no_changes() -> None:
    left = {n: o for n, o in outputs([], []).items() if n != "publisher"}

    assert changes_of(SPEC, left) is None
    assert changes_of(SPEC, {}) is None


def test_advice_in_another_shape_is_left_out() -> None:
    given = outputs([], [])
    given["metrics_analyzer"] = replace(
        given["metrics_analyzer"], data={"recommendations": ["text", {"issue": "Only"}]}
    )
    given["seo_specialist"] = replace(given["seo_specialist"], data={"suggestions": "none"})

    changes = changes_of(SPEC, given)

    assert changes is not None
    assert [(a.name, a.text) for a in changes.advice] == [("Metrics 2", "Only")]


def test_a_paragraph_that_is_new_and_one_that_went_are_whole_blocks() -> None:
    found = difference("A one.\n\nB two.\n\nC three.", "A one.\n\nC three.\n\nD four.")

    assert [b.pieces for b in found.blocks] == [
        (Piece("removed", "B two."),),
        (Piece("added", "D four."),),
    ]
    assert (found.blocks[0].skipped, found.blocks[1].skipped, found.unchanged) == (1, 1, 0)


def test_a_stretch_too_large_to_compare_is_shown_whole() -> None:
    words = int(MOST_COMPARISONS**0.5) + 10
    before, after = "a " * words, "b " * words

    pieces = difference(f"start {before}", f"start {after}").blocks[0].pieces

    assert [piece.kind for piece in pieces] == ["same", "removed", "added"]


@pytest.mark.timeout(20)
def test_the_same_paragraph_a_thousand_times_is_compared_at_once() -> None:
    found = difference("a\n\n" * 5_000, "b\n\n" + "a\n\n" * 4_000 + "c")

    assert found.words("added") > 0


_TEXTS = st.lists(st.sampled_from(["one", "two", "three.", "four,", "\n\n", "#"]), max_size=30)


@given(_TEXTS, _TEXTS)
def test_both_texts_can_be_read_from_the_difference(old: list[str], new: list[str]) -> None:
    before, after = " ".join(old), " ".join(new)

    found = difference(before, after)

    def signs(text: str) -> list[str]:
        return re.findall(r"\w+|[^\w\s]", text)

    def read(*kinds: str) -> list[str]:
        pieces = [p for block in found.blocks for p in block.pieces if p.kind in kinds]
        return signs(" ".join(p.text for p in pieces))

    skipped = len(signs(after)) - len(read("same", "added"))
    assert len(signs(before)) - len(read("same", "removed")) == skipped >= 0
    if not found.unchanged and not any(block.skipped for block in found.blocks):
        assert read("same", "added") == signs(after)
        assert read("same", "removed") == signs(before)
