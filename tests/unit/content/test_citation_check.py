"""What is wrong with citations is found in every form, taken out, and told with its sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.citation_check import lost_citations, mended
from pipeline.content.citations import cited_ids
from pipeline.models import FlagKind, Source

A = Source("Saaaa1", "A", "https://www.example.org/a/?utm_source=x", "web", "Heat.")
B = Source("S0123456789", "B", "", "kb", "Cold.")
REMOVED = "(address removed: not among the sources)"


def found(text: str) -> tuple[str, list[FlagKind]]:
    made = mended(text, [A, B])
    return made.text, [flag.kind for flag in made.flags]


@pytest.mark.parametrize(
    "text",
    [
        "Heat [Saaaa1, S0123456789].",
        "The item rows[0], the variable x[1], the interval [0, 1] and the year [2024].",
        "A room of 20 m², 10⁻³, Meter² and [See] [Sad].",
        "See https://example.org/a and [a page](http://example.org/a#part).",
        "`rows[7]` and\n\n```\n[S9999] https://elsewhere.example/\n```\n",
        "Node.js, Booking.com and/or e.g./i.e. 3/4 of version 10.2/3.",
        "# T\n\n## Sources of heat\n\nText.\n",
        "# Sources\n\nText.\n",
        "## Notes\n\nProse about notes, with more words.\n\n## Next\n\nText.\n",
        "Note: in 2020 the roof was new.\n",
    ],
)
def test_what_is_no_fault_stays_as_it_is(text: str) -> None:
    assert found(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "after", "kinds"),
    [
        ("A [Saaaa1; S9999].", "A [Saaaa1].", [FlagKind.UNKNOWN_KEY]),
        ("A (Sffffffffff).", "A.", [FlagKind.UNKNOWN_KEY]),
        ("A `[Sffffffffff]`.", "A.", [FlagKind.UNKNOWN_KEY]),
        ("A [S9\u200b999].", "A.", [FlagKind.UNKNOWN_KEY]),
        ("A [7]. Roof[8, 9].", "A. Roof.", [FlagKind.RAW_NUMBER] * 2),
        ("Roof[7] 【8†source】 ［9］", "Roof", [FlagKind.RAW_NUMBER] * 3),
        ("A [[7]] &#91;8&#93; \\[9\\].", "A.", [FlagKind.RAW_NUMBER] * 3),
        ("A [^1].", "A.", [FlagKind.RAW_NUMBER]),
        ("A roof.¹ And <sup>2</sup>", "A roof. And <sup>2</sup>", [FlagKind.RAW_NUMBER]),
        ("A (Source 3) [@smith2020].", "A.", [FlagKind.RAW_NUMBER] * 2),
        ("A [words](https://x.example/b).", "A words.", [FlagKind.INVENTED_URL]),
        ("A [words](//x.example/b).", "A words.", [FlagKind.INVENTED_URL]),
        ("A <https://x.example/b>.", f"A {REMOVED}.", [FlagKind.INVENTED_URL]),
        ("A https%3A%2F%2Fx.example%2Fb", f"A {REMOVED}", [FlagKind.INVENTED_URL]),
        ("A https&#58;//x.example/b", f"A {REMOVED}", [FlagKind.INVENTED_URL]),
        ("A x.example/b, doi:10.1000/xyz", f"A {REMOVED}, {REMOVED}", [FlagKind.INVENTED_URL] * 2),
        ("A https://xn--80ak6aa92e.com/", f"A {REMOVED}", [FlagKind.INVENTED_URL]),
        ("A https://example.org@x.example/a", f"A {REMOVED}", [FlagKind.INVENTED_URL]),
        ("## Roof [Saaaa1]\n\nA [Saaaa1].", "## Roof\n\nA [Saaaa1].", [FlagKind.MISPLACED_KEY]),
        ("A\n\n## Sources\n\n1. B\n", "A\n", [FlagKind.SOURCE_LIST]),
        ("A\n\n**Quellen:**\n- B 2020\n\nC", "A\n\nC", [FlagKind.SOURCE_LIST]),
        ("A\n\n参考文献\n-----\n\n1. B\n", "A\n", [FlagKind.SOURCE_LIST]),
        ("A\n\n[1] B. 2020.\n[2] C.\n\nD", "A\n\n\nD", [FlagKind.SOURCE_LIST]),
        ("A [w][r].\n\n[r]: https://x.example/b\n", "A w.\n", [FlagKind.SOURCE_LIST]),
        (
            "A [7](https://x.example/b).",
            "A.",
            [FlagKind.RAW_NUMBER, FlagKind.INVENTED_URL],
        ),
    ],
)  # fmt: skip
def test_a_fault_is_found_and_taken_out(text: str, after: str, kinds: list[FlagKind]) -> None:
    assert found(text) == (after, kinds)


def test_an_id_in_any_brackets_becomes_one_form() -> None:
    text = "A (S0123456789), 【saaaa1】, S0123456789 and [Saaaa1](https://x.example/)."

    made = mended(text, [A, B])

    assert made.text == "A [S0123456789], [Saaaa1], [S0123456789] and [Saaaa1]."
    assert [flag.kind for flag in made.flags] == [FlagKind.INVENTED_URL]


def test_a_flag_names_the_sentence_it_stands_in() -> None:
    text = (
        "# T\n\nHeat rises, e.g. in **old** houses.[7] Cold falls [S9999]. Nothing.\n\n- Item [8]\n"
    )

    flags = mended(text, [A]).flags

    assert [(flag.sentence, flag.detail) for flag in flags] == [
        ("Heat rises, e.g. in old houses.", "[7]"),
        ("Cold falls.", "S9999"),
        ("Item", "[8]"),
    ]


def test_where_nothing_may_be_cited_no_citation_stays() -> None:
    made = mended("Warm roofs [Saaaa1] [7] https://example.org/a", [A], may_cite=False)

    assert cited_ids(made.text) == ()
    assert {flag.kind for flag in made.flags} == {FlagKind.MISPLACED_KEY, FlagKind.RAW_NUMBER}


def test_a_claim_that_lost_its_source_in_editing_is_found() -> None:
    draft = (
        "Heat leaves fast through the roof of old houses [Saaaa1]. Walls lose less [S0123456789]."
    )
    edited = "Heat leaves through the roof of old houses fast. Walls lose less [S0123456789]."

    (flag,) = lost_citations(draft, edited)

    assert flag.kind is FlagKind.LOST_KEY
    assert flag.sentence == "Heat leaves through the roof of old houses fast."
    assert flag.detail == "Saaaa1"


def test_a_claim_that_was_cut_or_whose_source_stands_beside_it_lost_nothing() -> None:
    draft = (
        "Heat leaves fast through the roof of old houses [Saaaa1]. Walls lose less [S0123456789]."
    )

    assert lost_citations(draft, "Walls lose less [S0123456789].") == ()
    assert (
        lost_citations(draft, draft.replace(" [Saaaa1]. W", ". Also w")[:-1] + " [Saaaa1].") == ()
    )


@given(st.text() | st.lists(st.sampled_from(
    ["[", "]", "Saaaa1", "S9999", "7", "(", ")", "`", "\n", "#", " ", "https://x.example/", "^", "!", "&#91;", "|", ":",
     "\\", "Sources:", "a"]
)).map("".join))  # fmt: skip
def test_mending_leaves_only_known_sources_and_mending_again_changes_nothing(text: str) -> None:
    once = mended(text, [A, B])

    assert set(cited_ids(once.text)) <= {A.id, B.id}
    assert mended(once.text, [A, B]).text == once.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["[", "[a", "(S", "[7](", "![a]((", "&#91;", "\\[", "> ", "[^1]: x\n", "**Sources:**\n", "a.b.",
     "`[S1`", "## Sources\n", "[S1a2b, ", "www.", "([([", "%2f", " \n"],
)  # fmt: skip
def test_long_hostile_text_is_mended_in_linear_time(piece: str) -> None:
    mended(piece * (60_000 // len(piece)), [A])
