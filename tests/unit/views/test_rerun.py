"""What would run again, in sentences."""

from __future__ import annotations

from pipeline.agents.roster import ROSTER
from pipeline.derived import Preview
from pipeline.models import Mode, RunOptions
from pipeline.plan import make_plan
from pipeline.views.rerun import preview_lines

PLAN = make_plan(ROSTER, Mode.PHASES)
GROWN = make_plan(ROSTER, Mode.PHASES, options=RunOptions(section_writing=True)).grown_by(
    "topic_planner", ((0,), (1,), (2,))
)


def preview(plan=PLAN, will=(), may=(), unmeasured=(), sections_open=False) -> Preview:  # type: ignore[no-untyped-def]
    return Preview(plan, (), will, may, sections_open, 12.3, 4_567, unmeasured)


def test_who_runs_and_who_may_are_told_apart_and_estimates_are_called_so() -> None:
    lines = preview_lines(preview(will=("publisher",), may=("summary_writer", "social_promoter")))

    assert lines == [
        "Will run again: Publisher.",
        "May run again, if what they get changes: Summary writer, Social promoter.",
        "At most about 12.3 s and 4,567 tokens, estimated from earlier runs.",
    ]


def test_nothing_to_run_is_said() -> None:
    assert preview_lines(preview()) == [
        "Nothing would run again: what the agents get stays the same."
    ]


def test_what_was_never_measured_is_named_and_never_counted_as_nothing() -> None:
    some = preview_lines(preview(will=("publisher", "editor"), unmeasured=("editor",)))
    none = preview_lines(preview(will=("editor",), unmeasured=("editor",)))

    assert some[-1] == (
        "About 12.3 s and 4,567 tokens, estimated from earlier runs. "
        "Not measured yet, and not counted: Editor."
    )
    assert none[-1] == "No estimate: not measured yet: Editor."


def test_an_outline_that_is_made_anew_may_have_other_sections() -> None:
    lines = preview_lines(preview(GROWN, will=("topic_planner",), sections_open=True))

    assert "A new outline may have more or fewer sections." in lines


def test_a_join_asks_nobody() -> None:
    lines = preview_lines(preview(GROWN, will=("content_writer",)))

    assert lines[-1] == "No model is asked: code does it."
