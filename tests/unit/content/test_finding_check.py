"""A quotation stands in its passage, whatever its spacing, case and marks."""

from typing import Any

import pytest

from pipeline.agents.roster import ROSTER
from pipeline.content.citation_review import Grounds, citation_review
from pipeline.content.finding_check import check_findings, stands_in
from pipeline.content.remarks import Reviewed
from pipeline.models import FlagKind, Source

PASSAGE = "Heat leaves through the roof: 25 % of it.\nThe walls, which are “thicker”, lose less."


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "Heat leaves through the roof",
        "heat  leaves\nthrough the roof; 25 % of it",
        '"The walls, which are "thicker", lose less."',
        "Heat leaves … The walls",
        "Heat leaves [...] lose less.",
    ],
)
def test_the_same_words_in_order_are_a_quotation(quote: str) -> None:
    assert stands_in(quote, PASSAGE)


@pytest.mark.parametrize(
    "quote",
    [
        "Heat leaves through the walls",
        "Heat leaves through the roof: 35 % of it",
        "The walls … Heat leaves",
        "eat leaves through the roof",
    ],
)
def test_other_words_numbers_or_order_are_none(quote: str) -> None:
    assert not stands_in(quote, PASSAGE)


SOURCE = Source("Saaaa1", "Roofs", "", "kb", PASSAGE)
RESEARCHER = next(agent for agent in ROSTER if agent.name == "kb_researcher")


def finding(claim: str, quote: str, source_id: str = "Saaaa1") -> dict[str, Any]:
    return {"claim": claim, "quote": quote, "source_id": source_id, "confidence": "high"}


def test_only_findings_that_can_be_checked_are_handed_on() -> None:
    good = finding("Roofs lose heat.", "Heat leaves through the roof")
    wrong = finding("Coal is best.", "Coal is the best of all.")
    nobody = finding("Peat is good.", "", "S99999")

    data, flags = check_findings(
        {"findings": [good, wrong, nobody], "gaps": ["a gap"], "conflicts": []}, {"Saaaa1": SOURCE}
    )

    assert data["findings"] == [good, {**wrong, "quote": "", "confidence": "low"}]
    assert data["gaps"] == [
        "a gap",
        "1 findings were dropped: they cite no passage that was retrieved.",
        "1 quotations were dropped: they do not stand in their passages.",
    ]
    assert [(flag.kind, flag.sentence) for flag in flags] == [
        (FlagKind.WRONG_QUOTE, "Coal is best."),
        (FlagKind.UNKNOWN_SOURCE, "Peat is good."),
    ]


def test_a_researcher_is_told_which_quotations_and_ids_do_not_hold() -> None:
    wrong = finding("Coal is best.", "Coal is the best of all.")
    nobody = finding("Peat is good.", "", "S99999")
    data = {"findings": [wrong, nobody], "gaps": [], "conflicts": []}

    remarks = citation_review(RESEARCHER, Grounds())(Reviewed("{}", data, {"Saaaa1": SOURCE}))

    assert "“Coal is best.”: `Coal is the best of all.` does not stand" in remarks.text
    assert "“Peat is good.”: No tool returned a passage `S99999`." in remarks.text
    assert remarks.turns == 1
