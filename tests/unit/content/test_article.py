import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.outputs import Edit, PublisherNotes
from pipeline.content.article import (
    UNCITED_LABEL,
    apply_edits,
    article_of,
    assemble,
    plain_line,
    source_line,
)
from pipeline.content.citations import citation_counts
from pipeline.models import DEMO_LABEL, UNSOURCED_LABEL, AgentOutput, RunSpec, Source

SOURCE = Source(
    id="Saaaa1",
    title="Roofs [2nd ed.]",
    url="https://example.org/roofs",
    kind="sample",
    passage="Heat leaves through the roof.",
    publisher="Example House",
)
DRAFT = "# Draft *title*\n\nHeat leaves through the roof [Saaaa1].\n\n## Next\n\nInsulate first.\n"
FOUND = AgentOutput(
    text="{}",
    data={"findings": [{"claim": "c", "source_id": "Saaaa1"}], "gaps": []},
    sources=(SOURCE,),
)


def edit(find: str, replace: str) -> Edit:
    return Edit(find=find, replace=replace, why="clearer")


def notes(*edits: Edit, title: str = "Final title", standfirst: str = "Why.") -> PublisherNotes:
    return PublisherNotes(title=title, standfirst=standfirst, edits=list(edits), not_applied=[])


def spec(provider: str = "openai") -> RunSpec:
    return RunSpec(topic="Heating", provider=provider)  # type: ignore[arg-type]


def test_an_edit_whose_passage_stands_once_is_applied() -> None:
    result = apply_edits(DRAFT, [edit("Insulate first.", "Insulate before you heat.")])

    assert "Insulate before you heat." in result.text
    assert len(result.applied) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (edit("not there", "x"), "does not stand"),
        (edit("e", "x"), "more than once"),
        (edit("Insulate first.", "Insulate first."), "changes nothing"),
        (edit("the roof [Saaaa1]", "the roof"), "lose or repeat"),
        (edit("aaaa1]", "x"), "lose or repeat"),
        (edit("Insulate first.", "Insulate first [Saaaa1]."), "lose or repeat"),
        (edit("Insulate first.", "Insulate first [Sbbbb2]."), "add a citation"),
        (edit("Insulate first.", "See https://x.example/."), "add an address"),
        (edit(DRAFT, " "), "nothing would be left"),
    ],
)
def test_an_edit_that_is_unclear_or_touches_citations_is_rejected(
    change: Edit, reason: str
) -> None:
    result = apply_edits(DRAFT, [change])

    assert result.text == DRAFT
    assert reason in result.rejected[0].reason


def test_a_passage_that_overlaps_itself_does_not_stand_once() -> None:
    assert apply_edits("x aaa y", [edit("aa", "b")]).rejected


@given(st.text(), st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=4))
def test_edits_keep_every_citation_whatever_they_say(
    noise: str, changes: list[tuple[str, str]]
) -> None:
    text = DRAFT + noise

    result = apply_edits(text, [edit(find, replace) for find, replace in changes])

    assert citation_counts(result.text) == citation_counts(text)
    assert len(result.applied) + len(result.rejected) == len(changes)


def test_the_whole_article_has_title_labels_standfirst_text_and_sources() -> None:
    article = assemble(DRAFT, notes(), [SOURCE], [DEMO_LABEL, "The draft was not edited"])

    assert article.markdown == (
        "# Final title\n\n"
        "> **Offline demo, not written by a language model**\n>\n> **The draft was not edited**\n\n"
        "*Why.*\n\n"
        "Heat leaves through the roof [1].\n\n## Next\n\nInsulate first.\n\n"
        "## Sources\n\n1. [Roofs \\[2nd ed.\\], Example House](https://example.org/roofs): "
        "“Heat leaves through the roof.”\n"
    )
    assert article.body_markdown == (
        "Heat leaves through the roof [1].\n\n## Next\n\nInsulate first."
    )


def test_without_a_publisher_the_texts_own_title_is_used() -> None:
    assert assemble(DRAFT, None, [SOURCE], []).title == "Draft title"
    assert assemble("No heading.", None, [], [], fallback_title="Topic").title == "Topic"


def test_a_text_in_a_code_fence_is_unwrapped() -> None:
    article = assemble(f"```markdown\n{DRAFT}```\n", None, [SOURCE], [])

    assert article.title == "Draft title"
    assert article.sources[0].source == SOURCE


def test_further_first_level_headings_become_second_level() -> None:
    article = assemble("# One\n\na\n\n# Two\n\nb\n\n```\n# code\n```", None, [], [])

    assert article.body_markdown == "a\n\n## Two\n\nb\n\n```\n# code\n```"


def test_an_invented_id_or_address_never_reaches_the_article_and_is_counted() -> None:
    text = "# T\n\nA [S99]. B [7]. [c](https://evil.example/1) ![p](https://evil.example/2) https://evil.example/3."

    article = assemble(text, None, [], [])

    assert "evil.example" not in article.markdown
    assert article.body_markdown == (
        "A. B. c (picture left out: p) (address removed: not among the sources)."
    )
    assert article.labels == (
        "Left out: 2 citations of no known source",
        "Left out: 3 addresses not among the sources",
    )


def test_a_link_to_a_source_stays_a_link() -> None:
    text = "# T\n\nSee [the book](https://www.example.org/roofs/) [Saaaa1]."

    article = assemble(text, None, [SOURCE], [])

    assert article.body_markdown == "See [the book](https://www.example.org/roofs/) [1]."
    assert article.labels == ()


def test_sources_that_nobody_cites_make_a_label() -> None:
    article = assemble("# T\n\nText.", None, [SOURCE], [])

    assert article.labels == (UNCITED_LABEL,)
    assert article.sources == ()


def test_there_is_no_article_before_a_draft() -> None:
    assert article_of(spec(), {"web_researcher": FOUND}, []) is None


def test_the_article_is_the_furthest_text_with_the_publishers_notes() -> None:
    outputs = {
        "web_researcher": FOUND,
        "content_writer": AgentOutput(text=DRAFT),
        "editor": AgentOutput(text=DRAFT.replace("Insulate first.", "Insulate.")),
        "publisher": AgentOutput(
            text="{}", data=notes(edit("Insulate.", "Insulate now.")).model_dump()
        ),
    }

    article = article_of(spec(), outputs, ["A mark"])

    assert article is not None
    assert (article.title, article.labels) == ("Final title", ("A mark",))
    assert article.body_markdown.endswith("Insulate now.")


def test_a_draft_alone_is_an_article_under_the_planned_title() -> None:
    outputs = {
        "topic_planner": AgentOutput(text="{}", data={"title": "Planned"}),
        "content_writer": AgentOutput(text="Text without a heading."),
    }

    article = article_of(spec("demo"), outputs, [])

    assert article is not None
    assert article.title == "Planned"
    assert article.labels == (DEMO_LABEL, UNSOURCED_LABEL)


def test_the_unsourced_label_stands_once() -> None:
    outputs = {"content_writer": AgentOutput(text=DRAFT)}

    article = article_of(spec(), outputs, [UNSOURCED_LABEL])

    assert article is not None
    assert article.labels[0] == UNSOURCED_LABEL
    assert article.labels.count(UNSOURCED_LABEL) == 1


def test_a_title_is_plain_words_on_one_line() -> None:
    assert plain_line("A **bold**\n`title` [Saaaa1] \x00") == "A bold title"


@given(st.text())
def test_any_text_becomes_an_article(text: str) -> None:
    article = assemble(text, notes(title="T"), [SOURCE], [DEMO_LABEL])

    assert article.markdown.startswith("# T\n\n> **Offline demo")
    article.markdown.encode("utf-8")


def test_a_passage_of_a_document_is_named_with_its_page_and_quoted_without_headings() -> None:
    source = Source(
        id="S1a2b3",
        title="Field study",
        url="",
        kind="kb",
        passage="# Field study\n\n## Results\n\nForty pumps reached 2.9.",
        page=12,
    )

    assert source_line(source) == "Field study, page 12: “Forty pumps reached 2.9.”"
