"""Editing a finished run and approving an outline, by the widgets' keys."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.events import CallSent
from pipeline.models import RunOptions, RunRecord, RunSpec, RunStatus
from tests.pages.conftest import open_tab, shown_run

pytestmark = pytest.mark.slow

FINISH_S = 60.0
TOPIC = "Heat pumps in old buildings"


def ended(run_id: str) -> RunRecord:
    record = get_runtime().wait(run_id, FINISH_S)
    assert record is not None
    return record


def shown(app: AppTest, **over: Any) -> str:
    """A run that has come to rest, on screen."""
    run_id = get_runtime().submit(RunSpec(topic=TOPIC, speed="instant", **over))
    ended(run_id)
    app.query_params["run"] = run_id
    app.run()
    assert not app.exception
    if ended(run_id).status.is_final:
        open_tab(app, "Agents")
    return run_id


def field(run_id: str, agent: str, name: str) -> str:
    return f"edit_{name}_{run_id}_{agent}."


def said(app: AppTest) -> str:
    parts = "\n".join(str(part.value) for part in (*app.caption, *app.warning, *app.error))
    return html.unescape(parts)


def asked(run_id: str) -> set[str]:
    return {e.agent for e in get_runtime().events(run_id) if isinstance(e, CallSent)}


def run_again(app: AppTest, before: str) -> str:
    app.button(key="rerun").click().run()
    assert not app.exception
    run_id = shown_run(app)
    assert run_id != before
    ended(run_id)
    app.run()
    return run_id


def test_an_edited_article_is_previewed_run_from_there_and_opened(app: AppTest) -> None:
    parent = shown(app)

    app.button(key="edit_editor").click().run()
    text = app.text_area(key=field(parent, "editor", "output"))
    assert text.value.startswith("# ")
    assert "Nothing is changed" in app.warning[0].value
    text.input(f"{text.value}\n\nOne more paragraph.").run()
    assert "Will run again: SEO specialist, Metrics analyzer, Publisher" in said(app)
    assert "estimated from earlier runs" in said(app)
    child = run_again(app, parent)

    assert asked(child) == {
        "seo_specialist",
        "metrics_analyzer",
        "publisher",
        "summary_writer",
        "social_promoter",
    }
    assert "One more paragraph." in "".join(str(m.value) for m in app.markdown)
    open_tab(app, "Agents")
    assert app.expander(key="agent_editor").label.startswith("Editor: edited by you")
    saved = next(m for m in app.metric if m.label.startswith("Saved"))
    assert saved.value == "–"
    app.button(key="open_parent").click().run()
    assert shown_run(app) == parent


def test_findings_that_do_not_fit_are_said_by_the_names_a_person_sees(app: AppTest) -> None:
    parent = shown(app)
    app.button(key="edit_web_researcher").click().run()
    area = app.text_area(key=field(parent, "web_researcher", "output"))
    data = json.loads(area.value)
    data["findings"][1]["source_id"] = "S-nowhere"

    area.input(json.dumps(data)).run()
    assert "Finding 2 names the source “S-nowhere”" in said(app)
    area = app.text_area(key=field(parent, "web_researcher", "output"))
    area.input('{"findings": [').run()
    assert "This is not JSON" in said(app)
    app.button(key="rerun").click().run()

    assert not app.exception
    assert shown_run(app) == parent  # nothing was started


def test_an_addition_to_a_prompt_runs_that_agent(app: AppTest) -> None:
    parent = shown(app)
    app.button(key="edit_summary_writer").click().run()
    app.segmented_control(key=field(parent, "summary_writer", "what")).set_value("Its prompt").run()
    assert "Will run again: Summary writer." in said(app)
    area = app.text_area(key=field(parent, "summary_writer", "addition"))
    area.input("Name the city of Lyon.").run()

    child = run_again(app, parent)

    assert asked(child) == {"summary_writer"}
    record = get_runtime().run(child)
    assert record is not None
    assert record.spec.prompt_additions == {"summary_writer": "Name the city of Lyon."}


def test_instructions_can_be_replaced_and_put_back(app: AppTest) -> None:
    parent = shown(app)
    app.button(key="edit_summary_writer").click().run()
    app.segmented_control(key=field(parent, "summary_writer", "what")).set_value("Its prompt").run()
    key = field(parent, "summary_writer", "instructions")
    own = app.text_area(key=key).value
    app.text_area(key=key).input("Summarise for children of ten.").run()
    app.button(key=f"{key}reset").click().run()
    assert app.text_area(key=key).value == own
    app.text_area(key=key).input("Summarise for children of ten.").run()
    assert "Will run again: Summary writer." in said(app)

    child = run_again(app, parent)

    assert asked(child) == {"summary_writer"}
    record = get_runtime().run(child)
    assert record is not None
    assert record.spec.prompt_instructions == {"summary_writer": "Summarise for children of ten."}


def test_what_was_typed_and_given_up_is_gone(app: AppTest) -> None:
    parent = shown(app)
    app.button(key="edit_editor").click().run()
    key = field(parent, "editor", "output")
    before = app.text_area(key=key).value
    app.text_area(key=key).input("Something else").run()
    app.button(key="rerun_no").click().run()

    app.button(key="edit_editor").click().run()

    assert app.text_area(key=key).value == before


def test_an_edited_outline_is_a_form(app: AppTest) -> None:
    parent = shown(app)
    app.button(key="edit_topic_planner").click().run()
    key = field(parent, "topic_planner", "outline")

    app.text_input(key=f"{key}_0_heading").input("").run()
    assert "Section 1, heading: is empty." in said(app)
    app.text_input(key=f"{key}_0_heading").input("Why now").run()
    app.button(key=f"{key}_1_remove").click().run()
    assert "Will run again: Web researcher, Content writer" in said(app)
    child = run_again(app, parent)

    plan = get_runtime().checkpoints(child)["topic_planner"].output.data
    before = get_runtime().checkpoints(parent)["topic_planner"].output.data
    assert plan is not None and before is not None
    assert plan["outline"][0]["heading"] == "Why now"
    assert plan["outline"][1:] == before["outline"][2:]
    assert "topic_planner" not in asked(child)


def waiting(app: AppTest) -> str:
    run_id = shown(app, options=RunOptions(approve_outline=True))
    assert ended(run_id).status is RunStatus.WAITING_APPROVAL
    assert "stands still until you decide" in said(app)
    return run_id


def test_an_outline_is_approved_with_changes(app: AppTest) -> None:
    run_id = waiting(app)
    key = f"approve_{run_id}"
    app.text_input(key=f"{key}_0_heading").input("Why now").run()
    assert "You have changed the outline" in said(app)
    app.button(key=f"{key}_add").click().run()
    added = [t.key for t in app.text_input if str(t.key).endswith("_heading")][-1]
    app.button(key="approve_changes").click().run()
    assert "heading: is empty" in said(app)

    app.text_input(key=added).input("What is left").run()
    app.button(key="approve_changes").click().run()

    assert not app.exception
    assert ended(run_id).status is RunStatus.DONE
    app.run()
    headings = [s["heading"] for s in _outline(run_id)]
    assert (headings[0], headings[-1]) == ("Why now", "What is left")
    open_tab(app, "Agents")
    assert app.expander(key="agent_topic_planner").label.startswith("Topic planner: edited by you")


def _outline(run_id: str) -> list[dict[str, Any]]:
    data = get_runtime().checkpoints(run_id)["topic_planner"].output.data
    assert data is not None
    return list(data["outline"])


def test_an_outline_is_approved_as_it_is_or_the_run_is_cancelled(app: AppTest) -> None:
    first = waiting(app)
    app.button(key="approve").click().run()
    assert ended(first).status is RunStatus.DONE

    second = waiting(app)
    app.button(key="cancel_waiting").click().run()
    assert not app.exception
    assert ended(second).status is RunStatus.CANCELLED
    app.button(key="continue").click().run()
    assert ended(second).status is RunStatus.WAITING_APPROVAL


def test_somebody_else_decided_before(app: AppTest) -> None:
    run_id = waiting(app)
    get_runtime().approve(run_id)
    ended(run_id)

    app.button(key="approve").click().run()

    assert not app.exception
    assert "does not wait for an approval" in said(app)


def test_the_form_asks_for_the_stop_and_the_history_shows_it(app: AppTest) -> None:
    app.run()
    app.toggle(key="approve_outline").set_value(True)
    app.text_area(key="topic").input(TOPIC)
    app.button(key="run").click().run()
    run_id = shown_run(app)

    assert ended(run_id).status is RunStatus.WAITING_APPROVAL
    app.switch_page("history.py").run()
    assert not app.exception
    assert any("with outline approval" in c.value for c in app.caption)
    assert any("Waits for approval" in str(m.value) for m in app.markdown)


def test_a_deleted_parent_is_said(app: AppTest) -> None:
    parent = shown(app)
    app.button(key="edit_publisher").click().run()
    app.segmented_control(key=field(parent, "publisher", "what")).set_value("Its prompt").run()
    child = run_again(app, parent)
    get_runtime().delete(parent)

    app.run()

    assert not app.exception
    assert shown_run(app) == child
    assert any("has been deleted" in str(m.value) for m in app.markdown)
