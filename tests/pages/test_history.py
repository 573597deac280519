"""The History page: find, open, run again, delete."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import Mode, RunOptions, RunSpec
from pipeline.store import database_file, database_url
from tests.pages.conftest import shown_run

pytestmark = pytest.mark.slow

TOPICS = ("Heat pumps", "Urban bees", "Code reviews")


@pytest.fixture
def runs() -> dict[str, str]:
    """Three runs that have ended; topic → id."""
    runtime = get_runtime()
    ids = {
        topic: runtime.submit(RunSpec(topic=topic, speed="instant", mode=Mode.DATAFLOW))
        for topic in TOPICS
    }
    for run_id in ids.values():
        runtime.wait(run_id, 60.0)
    return ids


@pytest.fixture
def history(app: AppTest) -> AppTest:
    app.run()
    return app.switch_page("history.py")


def shown(history: AppTest) -> list[str]:
    return [b.key.removeprefix("open_") for b in history.button if b.key.startswith("open_")]


def test_an_empty_history_says_so_and_leads_to_the_first_run(history: AppTest) -> None:
    history.run()

    assert not history.exception
    assert "no runs yet" in history.info[0].value


def test_runs_are_listed_newest_first_with_their_figures(
    history: AppTest, runs: dict[str, str]
) -> None:
    history.run()

    assert not history.exception
    assert shown(history) == [runs[topic] for topic in reversed(TOPICS)]
    facts = [c.value for c in history.caption if "Dataflow" in c.value]
    assert len(facts) == len(TOPICS)
    assert all("took" in fact and "(measured)" in fact and "offline demo" in fact for fact in facts)


def test_the_search_keeps_runs_whose_topic_contains_the_words(
    history: AppTest, runs: dict[str, str]
) -> None:
    history.run()

    history.text_input(key="history_search").input("bees").run()

    assert shown(history) == [runs["Urban bees"]]


def test_opening_a_run_shows_it_in_the_studio(history: AppTest, runs: dict[str, str]) -> None:
    history.run()

    history.button(key=f"open_{runs['Heat pumps']}").click().run()

    assert not history.exception
    assert shown_run(history) == runs["Heat pumps"]
    assert history.metric[0].label == "This run (measured)"


def test_running_again_puts_the_brief_into_the_form(history: AppTest, runs: dict[str, str]) -> None:
    history.run()

    history.button(key=f"again_{runs['Urban bees']}").click().run()

    assert not history.exception
    assert history.text_area(key="topic").value == "Urban bees"
    assert history.segmented_control(key="mode").value == Mode.DATAFLOW


def test_hostile_words_in_a_topic_are_words_in_the_tooltips_too(history: AppTest) -> None:
    runtime = get_runtime()
    topic = "![x](http://evil.example/p) [click](http://evil.example) :red[x] <b>"
    runtime.wait(runtime.submit(RunSpec(topic=topic, speed="instant")), 60.0)
    history.run()

    tips = [button.help for button in history.button if "evil" in (button.help or "")]

    assert len(tips) == 2  # Open and Delete
    for tip in tips:
        plain = tip.replace("\\[", "").replace("\\]", "")
        assert "[" not in plain and "<b" not in tip and ":red" not in tip


def test_a_run_is_deleted_only_after_a_second_yes(history: AppTest, runs: dict[str, str]) -> None:
    doomed = runs["Code reviews"]
    history.run()

    history.button(key=f"delete_{doomed}").click().run()
    assert get_runtime().run(doomed) is not None
    history.button(key="delete_yes").click().run()

    assert get_runtime().run(doomed) is None
    assert shown(history) == [runs["Urban bees"], runs["Heat pumps"]]


def test_running_again_brings_the_options_along(history: AppTest) -> None:
    options = RunOptions(section_writing=True, section_editing=True)
    runtime = get_runtime()
    run_id = runtime.submit(RunSpec(topic="Tides", speed="instant", options=options))
    runtime.wait(run_id, 60.0)
    history.run()
    assert any("Phases · by section · edited by section" in c.value for c in history.caption)

    history.button(key=f"again_{run_id}").click().run()

    assert not history.exception
    assert history.toggle(key="section_editing").value is True
    assert history.toggle(key="speculative_research").value is False
    assert "parallel_editing" in [toggle.key for toggle in history.toggle]


def test_a_store_that_fails_while_a_page_is_drawn_is_said_with_a_way_on(
    history: AppTest, runs: dict[str, str]
) -> None:
    history.run()
    file = database_file(database_url(get_runtime().settings))
    with closing(sqlite3.connect(file, timeout=10)) as other:
        other.execute("ALTER TABLE runs RENAME TO hidden")
        other.commit()
        history.run()
        failed = [error.value for error in history.error]
        other.execute("ALTER TABLE hidden RENAME TO runs")
        other.commit()

    assert not history.exception
    assert "cannot show this page" in failed[0]
    history.button(key="try_again").click().run()
    assert shown(history) == [runs[topic] for topic in reversed(TOPICS)]


def test_a_row_says_what_was_switched_off(history: AppTest) -> None:
    spec = RunSpec(topic="Tides", speed="instant", switches={"research": False})
    runtime = get_runtime()
    runtime.wait(runtime.submit(spec), 60.0)

    history.run()

    assert any("Phases · research off" in c.value for c in history.caption)


def test_deleting_a_run_that_is_under_way_says_so(history: AppTest) -> None:
    runtime = get_runtime()
    run_id = runtime.submit(RunSpec(topic="Tides", speed="realistic"))
    history.run()

    history.button(key=f"delete_{run_id}").click().run()

    assert "still under way" in history.warning[0].value
    history.button(key="delete_yes").click().run()
    assert runtime.run(run_id) is None
