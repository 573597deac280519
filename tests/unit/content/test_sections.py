"""Sections: exactly one heading each, every finding in one of them, no edit that loses anything."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.content.findings import kept_findings
from pipeline.content.sections import (
    Section,
    heading_of,
    join_sections,
    joined,
    loss,
    own_evidence,
    read_section,
    seam_after,
    seam_before,
    section_fact,
    share_out,
)
from pipeline.models import AgentOutput, Join, Part, Source

SPLIT = ((0,), (1,), (2, 3))
PLAN = {
    "title": "Bees in *towns*",
    "outline": [
        {"heading": "Hives and roofs", "goal": "Explain hives", "word_budget": 100},
        {"heading": "Honey harvest", "goal": "Explain harvest", "word_budget": 90},
        {"heading": "Winter losses", "goal": "Explain winter", "word_budget": 80},
        {"heading": "Spring", "goal": "Explain spring", "word_budget": 30},
    ],
}
PLANNED = AgentOutput("", PLAN)


def part(number: int, kind: str = "write") -> Part:
    return Part("content_writer", "topic_planner", kind, number, SPLIT)  # type: ignore[arg-type]


def found(*claims: tuple[str, str]) -> AgentOutput:
    findings = [{"claim": claim, "quote": claim, "source_id": i} for i, claim in claims]
    sources = tuple(Source(i, "T", "", "sample", claim) for i, claim in claims)
    return AgentOutput("", {"findings": findings, "gaps": ["g"]}, sources)


@pytest.mark.parametrize(
    ("reply", "opens", "markdown"),
    [
        ("## Hives\n\nText.", False, "## Hives\n\nText."),
        ("## hives ##\nText.", False, "## Hives\n\nText."),
        ("Text without a heading.", False, "## Hives\n\nText without a heading."),
        ("# Bees\n\n## Hives\n\nText.", False, "## Hives\n\nText."),
        ("# Hives\n\nText.\n\n## Roofs\n\nMore.", False, "## Hives\n\nText.\n\n### Roofs\n\nMore."),
        ("# Other\n\nText.", False, "## Hives\n\nText."),
        ("Hives\n=====\n\nText.", False, "## Hives\n\nText."),
        ("## Hives\n\nA.\n\n## Roofs\n\nB.\n\n# Top\n\nC.", False, None),
        ("## Hives\n\nA.\n\n### Deep\n\n#### Deeper", False, "## Hives\n\nA.\n\n### Deep\n\n#### Deeper"),
        ("Opening.\n\n## Hives\n\nText.", True, "Opening.\n\n## Hives\n\nText."),
        ("Opening.\n\n## Hives\n\nText.", False, "## Hives\n\nOpening.\n\nText."),
        ("```markdown\n## Hives\n\nText.\n```", False, "## Hives\n\nText."),
        ("## Hives\n\n```\n# not a heading\n```", False, "## Hives\n\n```\n# not a heading\n```"),
        ("", False, "## Hives"),
        ("#tag is no heading", False, "## Hives\n\n#tag is no heading"),
    ],
)  # fmt: skip
def test_a_reply_becomes_one_section_under_its_own_heading(
    reply: str, opens: bool, markdown: str | None
) -> None:
    section = read_section(reply, "Hives", opens=opens)

    if markdown is not None:
        assert section.markdown == markdown
    assert re.findall(r"(?m)^##? (.+)$", section.body) in ([], ["not a heading"])


LINES = st.sampled_from(
    [
        "# One",
        "## Two",
        "### Three",
        "Hives",
        "## Hives",
        "=====",
        "---",
        "",
        "word [S1a2b3].",
        "- x",
    ]
)


@example("word [S1a2b3].\n=====", True)
@given(st.lists(LINES, max_size=12).map("\n".join), st.booleans())
def test_whatever_comes_back_there_is_one_second_level_heading_and_no_first(
    reply: str, opens: bool
) -> None:
    markdown = read_section(reply, "Hives", opens=opens).markdown

    assert re.findall(r"(?m)^##? .*$", markdown) == ["## Hives"]
    assert markdown.count("word [S1a2b3].") == reply.count("word [S1a2b3].")


@given(st.text(max_size=60), st.text(max_size=300))
def test_any_text_is_read(heading: str, reply: str) -> None:
    section = read_section(reply, heading, opens=True)

    assert section.heading == heading


def test_the_joined_article_has_its_title_and_its_sections_in_order() -> None:
    sections = [Section("Opening.", "One", "A [S1a2b3]."), Section("", "Two", "B.")]

    text = join_sections("Bees in *towns*", sections)

    assert text == "# Bees in towns\n\nOpening.\n\n## One\n\nA [S1a2b3].\n\n## Two\n\nB.\n"


def test_a_heading_is_one_plain_line_whatever_the_planner_wrote() -> None:
    plan = {"outline": [{"heading": "# Hives\n## and *roofs* [S1a2b3]"}]}
    nothing = Part("w", "p", "write", 1, ((5,),))

    assert heading_of(Part("w", "p", "write", 1, ((0,),)), plan) == "Hives ## and roofs"
    assert heading_of(nothing, plan) == "Section 1"
    assert heading_of(nothing, None) == "Section 1"


def test_a_part_is_told_its_place_and_all_its_sections() -> None:
    fact = section_fact(part(3), PLAN)

    assert (fact["number"], fact["of"], fact["words"]) == (3, 3, 110)
    assert (fact["heading"], fact["further_headings"]) == ("Winter losses", ["Spring"])
    assert (fact["first"], fact["last"]) == (False, True)


def test_each_section_gets_the_findings_that_fit_it_with_their_sources() -> None:
    web = found(("S11111", "Winter losses were high"), ("S22222", "The honey harvest was late"))
    kb = found(("S33333", "Hives stand on roofs"), ("S44444", "Winter needs food"))
    inputs = {"topic_planner": PLANNED, "web_researcher": web, "kb_researcher": kb}

    of_web = [own_evidence(part(n), web, inputs) for n in (1, 2, 3)]
    of_kb = [own_evidence(part(n), kb, inputs) for n in (1, 2, 3)]

    assert [[s.id for s in o.sources] for o in of_web] == [[], ["S22222"], ["S11111"]]
    assert [[s.id for s in o.sources] for o in of_kb] == [["S33333"], [], ["S44444"]]
    assert of_web[0].data == {"findings": [], "gaps": ["g"]}


def test_an_editor_of_a_section_gets_what_its_draft_cites() -> None:
    web = found(("S11111", "Winter losses"), ("S22222", "Honey harvest"))
    inputs = {
        "topic_planner": PLANNED,
        "content_writer/1": AgentOutput("before [S11111]"),
        "content_writer/2": AgentOutput("## Honey\n\nLate [S22222]."),
        "web_researcher": web,
    }

    own = own_evidence(part(2, "edit"), web, inputs)

    assert [source.id for source in own.sources] == ["S22222"]


WORDS = st.sampled_from(["hives", "roofs", "honey", "winter", "bees"])


@given(
    st.lists(st.frozensets(WORDS, max_size=3), min_size=1, max_size=8),
    st.lists(WORDS, max_size=20),
)
def test_every_finding_goes_to_one_section_and_none_stays_empty_beside_a_rich_one(
    topics: list[frozenset[str]], claims: list[str]
) -> None:
    findings = [{"claim": claim, "quote": "", "n": n} for n, claim in enumerate(claims)]

    shares = share_out(topics, findings)

    assert sorted(f["n"] for share in shares for f in share) == list(range(len(claims)))
    if any(len(share) > 1 for share in shares):
        assert all(shares)


def test_the_seams_are_the_last_paragraph_and_the_first_with_its_heading() -> None:
    text = "## Two\n\nFirst.\n\nMiddle.\n\nLast.\n"

    assert seam_before(text) == "Last."
    assert seam_after(text) == "## Two\n\nFirst."
    assert (seam_before(""), seam_after("")) == ("", "")


DRAFT = Section("", "Hives", "Bees fly far [S1a2b3]. " + "More is said here. " * 5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (DRAFT.body.replace("More is", "It is"), ""),
        ("Bees fly far. " + "More is said here. " * 4, ""),  # a claim may be cut with its id
        ("", "kept 0 of 24 words"),
        ("Bees fly.", "kept 2 of 24 words"),
        (DRAFT.body + "Indeed [S99999].", "added 1 citation"),
    ],
)
def test_an_edit_that_loses_or_invents_is_found_out(body: str, words: str) -> None:
    assert loss(DRAFT, Section("", "Hives", body)) == words


def test_joined_edits_keep_the_draft_where_an_edit_lost_it_and_say_so() -> None:
    parts = tuple(Part("editor", "topic_planner", "edit", n, ((0,), (1,), (2,))) for n in (1, 2, 3))
    join = Join("topic_planner", parts, tuple(f"content_writer/{n}" for n in (1, 2, 3)))
    inputs = {"topic_planner": PLANNED}
    for number in (1, 2, 3):
        inputs[f"content_writer/{number}"] = AgentOutput(f"Draft {number} is as long as this.")
        inputs[f"editor/{number}"] = AgentOutput(f"Edit {number} is as long as this one.")
    inputs["editor/2"] = AgentOutput("## Honey harvest\n\nGone.")

    output = joined(join, inputs, fallback_title="x")

    assert "Edit 1 is" in output.text and "Draft 2 is" in output.text and "Edit 3" in output.text
    assert output.mark == "Section 2 stands as drafted: its edit kept 1 of 7 words"
    assert output.prompt == "No model was asked: code joined editor/1 to editor/3."
    assert output.text.startswith("# Bees in towns\n\n## Hives and roofs\n")


def test_a_finding_is_kept_when_source_and_claim_are_the_same() -> None:
    early = found(("S11111", "Bees fly far."), ("S22222", "Honey keeps."), ("S33333", "Gone."))
    final = found(("S11111", "bees  fly far"), ("S99999", "Honey keeps."))

    assert kept_findings(early, final) == (3, 1)
    assert kept_findings(early, None) == (3, 0)
    assert kept_findings(AgentOutput("x"), final) == (0, 0)
