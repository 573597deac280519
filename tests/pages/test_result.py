"""The page of a run that is over: what is drawn at once, what later, and what not at all."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import LOCAL_OWNER, Endpoint, RunSpec
from tests.pages.conftest import open_tab, sent_to_browser
from tests.pages.half_a_plan import HalfAPlan

pytestmark = pytest.mark.slow

FINISH_S = 60.0
NOBODY_THERE = "http://127.0.0.1:9/v1"


def shown(app: AppTest, run_id: str) -> None:
    get_runtime().wait(run_id, FINISH_S)
    app.query_params["run"] = run_id
    app.run()
    assert not app.exception


def titles(app: AppTest) -> list[str]:
    return [tab.label for tab in app.tabs]


def test_the_article_is_drawn_at_once_and_a_tab_when_it_is_opened(app: AppTest) -> None:
    shown(app, get_runtime().submit(RunSpec(topic="Heat pumps", speed="instant")))
    assert len(titles(app)) == 9
    assert [tab.label for tab in app.tabs if tab.children] == ["Article"]

    open_tab(app, "Social posts")
    open_tab(app, "Agents")

    assert [tab.label for tab in app.tabs if tab.children] == ["Article", "Social posts", "Agents"]


def test_what_was_chosen_in_a_tab_is_kept_while_others_are_open(app: AppTest) -> None:
    shown(app, get_runtime().submit(RunSpec(topic="Heat pumps", speed="instant")))
    open_tab(app, "Evidence")
    app.segmented_control(key="evidence_filter").set_value("Flagged").run()

    open_tab(app, "Article")
    open_tab(app, "Timing")

    assert app.segmented_control(key="evidence_filter").value == "Flagged"


def test_another_run_begins_with_its_article(app: AppTest) -> None:
    shown(app, get_runtime().submit(RunSpec(topic="Heat pumps", speed="instant")))
    open_tab(app, "Timing")

    shown(app, get_runtime().submit(RunSpec(topic="Urban bees", speed="instant")))

    assert [tab.label for tab in app.tabs if tab.children] == ["Article"]


def test_a_page_has_one_first_heading_and_the_article_stands_below_it(app: AppTest) -> None:
    shown(app, get_runtime().submit(RunSpec(topic="Heat pumps", speed="instant")))

    lines = "\n".join(str(text.value) for text in app.markdown).splitlines()
    assert [title.value for title in app.title] == ["Heat pumps"]
    assert [line for line in lines if line.startswith("# ")] == []
    assert len([line for line in lines if line.startswith("## ")]) == 1
    assert "](#cited_source_1)" in "\n".join(lines)
    assert 'id="cited_source_1"' in sent_to_browser(app)


def test_a_run_that_came_to_nothing_shows_why_and_the_way_on_only(app: AppTest) -> None:
    spec = RunSpec(
        topic="Bees", provider="openai", model="m", base_url=NOBODY_THERE, key_source="typed"
    )
    endpoint = Endpoint(NOBODY_THERE, "canary-key-0123456789")

    shown(app, get_runtime().submit(spec, LOCAL_OWNER, endpoint))

    assert "The run stopped" in app.error[0].value
    assert app.button(key="continue").label == "Continue from here"
    assert not app.metric
    assert not app.get("plotly_chart")
    assert titles(app) == ["Agents"]
    assert app.expander(key="agent_topic_planner").error
    assert "agents had not begun" in app.tabs[0].caption[-1].value
    assert [b.key for b in app.get("download_button")] == ["download_json", "download_zip"]


def test_a_cancelled_run_shows_what_exists_and_sends_nobody_to_look_for_why(app: AppTest) -> None:
    pipeline = HalfAPlan()
    run_id = pipeline.runtime.submit(RunSpec(topic="Bees", speed="instant"))
    pipeline.wait()
    pipeline.runtime.cancel(run_id)

    shown(app, run_id)

    assert "No agent had finished" in app.info[0].value
    assert titles(app) == ["Agents"]
    assert app.expander(key="agent_topic_planner").code[0].value == "Half a plan"
    assert "says why" not in sent_to_browser(app)
    assert not app.metric
