from hypothesis import given
from hypothesis import strategies as st

from pipeline.content.citations import (
    cited_ids,
    drop_markers,
    invented_ids,
    lost_ids,
    number_sources,
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


def test_an_unknown_id_and_a_number_the_model_wrote_are_not_rendered() -> None:
    text = "Known [Saaaa1, Sffff9]. Made up [S7]. Raw [7, 8]. The item rows[0] and [2024] stay."

    shown = render_numbers(text, number_sources(text, [A]))

    assert shown == "Known [1]. Made up. Raw. The item rows[0] and [2024] stay."


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
    numbered = number_sources(text, [A, B])

    assert {n.source.id for n in numbered} == set(cited_ids(text)) & {"Saaaa1", "Sbbbb2"}
    assert cited_ids(drop_markers(strip_references(text))) == ()


def test_long_hostile_text_is_read_in_linear_time() -> None:
    pieces = ("[", "`", "[S1", " " * 50 + "[", "https://a", "![", "[S11111](", "](")

    for piece in pieces:
        text = piece * (60_000 // len(piece))

        assert number_sources(text, [A]) == ()
