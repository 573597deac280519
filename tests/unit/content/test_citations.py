from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.citations import (
    check_citations,
    cited_ids,
    drop_markers,
    invented_ids,
    lost_ids,
    number_sources,
    raw_numbers,
    render_links,
    render_numbers,
    strip_references,
)
from pipeline.models import Source


def source(source_id: str, url: str = "") -> Source:
    return Source(id=source_id, title=f"Title {source_id}", url=url, kind="sample", passage="…")


A, B = source("Saaaa1", "https://www.example.org/a/?utm_source=x"), source("Sbbbb2")


def test_numbers_follow_the_order_of_first_use() -> None:
    text = "One [Sbbbb2]. Two [Saaaa1]. Three [Sbbbb2]."

    numbered = number_sources(text, [A, B])

    assert [(n.number, n.source.id) for n in numbered] == [(1, "Sbbbb2"), (2, "Saaaa1")]
    assert render_numbers(text, numbered) == "One [1]. Two [2]. Three [1]."


def test_a_group_of_ids_is_one_group_of_numbers() -> None:
    text = "Both [Saaaa1, Sbbbb2]."

    numbered = number_sources(text, [A, B])

    assert render_numbers(text, numbered) == "Both [1, 2]."
    assert render_links(text, numbered) == r"Both [\[1\]](#source-1)[\[2\]](#source-2)."


def test_an_unknown_id_is_dropped_and_named() -> None:
    text = "Known [Saaaa1, Sffff9]. Made up [S7]."

    check = check_citations(text, [A, B])

    assert check.unknown == ("Sffff9", "S7")
    assert check.unused == ("Sbbbb2",)
    assert not check.ok
    assert render_numbers(text, number_sources(text, [A])) == "Known [1]. Made up."


def test_a_number_the_model_wrote_is_found_and_dropped_but_an_index_is_not() -> None:
    text = "A claim [7]. Another [1, 2]. The item rows[0] and [2024] stay."

    assert raw_numbers(text) == ("[7]", "[1, 2]")
    assert render_numbers(text, ()) == "A claim. Another. The item rows[0] and [2024] stay."


def test_a_foreign_address_is_found_and_a_sources_own_is_not() -> None:
    text = "See https://example.org/a and (https://elsewhere.example/b)."

    assert check_citations(text, [A]).foreign_urls == ("https://elsewhere.example/b",)


def test_words_in_brackets_and_code_are_not_citations() -> None:
    text = "[See] [Sad] `[Saaaa1]`\n\n```\n[Saaaa1]\n```\n"

    assert cited_ids(text) == ()
    assert drop_markers(text) == text


def test_a_link_hung_on_a_marker_goes_with_it() -> None:
    text = "Claim [Saaaa1](https://attacker.example/x)."

    assert render_numbers(text, number_sources(text, [A])) == "Claim [1]."


def test_ids_count_whatever_their_case() -> None:
    assert cited_ids("[SAAAA1]") == ("Saaaa1",)


def test_lost_and_invented_ids_are_told_apart() -> None:
    before, after = "[Saaaa1] [Sbbbb2]", "[Sbbbb2] [Scccc3]"

    assert lost_ids(before, after) == ("Saaaa1",)
    assert invented_ids(before, after) == ("Scccc3",)


def test_a_list_of_sources_the_model_wrote_is_cut() -> None:
    for heading in ("## Sources", "### References ##", "**Sources:**", "Sources:", "## Quellen"):
        text = f"# T\n\nText.\n\n{heading}\n\n- [Saaaa1] A book\n"

        assert strip_references(text) == "# T\n\nText.\n", heading


def test_a_section_about_sources_stays() -> None:
    for text in ("# T\n\n## Sources of heat\n\nText.\n", "# Sources\n\nText.\n", "Sources: see.\n"):
        assert strip_references(text) == text


@given(st.text())
def test_any_text_is_read_without_an_exception(text: str) -> None:
    check = check_citations(text, [A, B])
    numbered = number_sources(text, [A, B])

    assert {n.source.id for n in numbered} == set(check.cited) & {"Saaaa1", "Sbbbb2"}
    assert cited_ids(drop_markers(strip_references(text))) == ()


def test_long_hostile_text_is_read_in_linear_time() -> None:
    pieces = ("[", "`", "[S1", " " * 50 + "[", "https://a", "![", "[S11111](", "](")

    for piece in pieces:
        text = piece * (60_000 // len(piece))

        assert check_citations(text, [A]).unused == ("Saaaa1",)
