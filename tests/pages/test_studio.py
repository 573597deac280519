"""The Studio page, driven by its widget keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages._form import SAMPLE_TOPICS
from pages._runtime import get_runtime
from pipeline.models import DEMO_LABEL, LOCAL_OWNER, Mode, RunSpec, RunStatus
from tests.pages.conftest import open_tab, shown_run
from tests.pages.half_a_plan import HalfAPlan

pytestmark = pytest.mark.slow

FINISH_S = 60.0


def run_to_the_end(app: AppTest, topic: str) -> str:
    """Type a topic, run it, wait until it is over and draw the page again."""
    app.text_area(key="topic").input(topic)
    app.button(key="run").click().run()
    run_id = shown_run(app)
    record = get_runtime().wait(run_id, FINISH_S)
    assert record is not None and record.status in (RunStatus.DONE, RunStatus.DEGRADED)
    app.run()
    return run_id


def said(app: AppTest) -> str:
    """All text of the page."""
    parts: list[Any] = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(str(part.value) for part in parts)


def test_a_new_visitor_finds_a_form_and_three_samples(app: AppTest) -> None:
    app.run()

    assert not app.exception
    assert app.text_area(key="topic").value == ""
    assert [app.button(key=f"sample_{n}").label for n in (1, 2, 3)] == list(SAMPLE_TOPICS)
    assert app.button(key="run").disabled is False


def test_a_run_shows_its_article_figures_and_downloads_when_it_is_done(app: AppTest) -> None:
    app.run()

    run_to_the_end(app, "Heat pumps in old buildings")

    assert not app.exception
    assert [m.label.split(" (")[0] for m in app.metric][:2] == ["This run", "One after another"]
    assert "measured" in app.metric[0].label
    assert DEMO_LABEL in said(app)
    assert "Sources" in [heading.value for heading in app.header]
    assert {b.key for b in app.get("download_button")} == {
        "download_markdown",
        "download_html",
        "download_docx",
        "download_pdf",
        "download_json",
        "download_zip",
    }


def test_a_sample_starts_with_one_click(app: AppTest) -> None:
    app.run()

    app.button(key="sample_2").click().run()

    record = get_runtime().run(shown_run(app))
    assert record is not None
    assert record.spec.topic == SAMPLE_TOPICS[1]


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("   ", "empty"),
        ("x" * 2_001, "limit"),
        ("bell \x07 rings", "control characters"),
        ("\ufeff\u200b", "empty"),
        ("\u3164 \u2800\u034f", "empty"),
        ("bees \u202e seeb", "U+202E"),
        ("bees \u2066 seeb \u2069", "turn text around"),
    ],
)
def test_a_topic_that_cannot_be_run_is_refused_with_a_reason_and_kept(
    app: AppTest, topic: str, words: str
) -> None:
    app.run()

    app.text_area(key="topic").input(topic)
    app.button(key="run").click().run()

    assert not app.exception
    assert words in app.error[0].value
    assert app.text_area(key="topic").value == topic
    assert "run" not in app.query_params


def test_the_switches_rest_in_sequential_mode(app: AppTest) -> None:
    app.run()

    app.segmented_control(key="mode").set_value(Mode.SEQUENTIAL).run()

    keys = ("parallel_research", "parallel_enhancement", "parallel_distribution")
    assert all(app.toggle(key=key).disabled for key in keys)


def test_dataflow_with_every_switch_off_says_that_it_is_not_sequential(app: AppTest) -> None:
    app.run()

    app.segmented_control(key="mode").set_value(Mode.DATAFLOW)
    for phase in ("research", "enhancement", "distribution"):
        app.toggle(key=f"parallel_{phase}").set_value(False)
    app.run()

    assert "still not sequential" in said(app)


def test_a_teams_default_switches_are_what_the_form_starts_with(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_PARALLEL_PHASES", "research")

    app.run()

    switches = {p: app.toggle(key=f"parallel_{p}").value for p in ("research", "distribution")}
    assert switches == {"research": True, "distribution": False}


def test_a_switched_off_phase_is_run_and_said(app: AppTest) -> None:
    app.run()
    app.toggle(key="parallel_research").set_value(False).run()

    run_id = run_to_the_end(app, "Urban bees")

    record = get_runtime().run(run_id)
    assert record is not None
    assert record.spec.switches["research"] is False
    assert "research off" in said(app)


def test_an_unknown_link_is_said_and_left_with_one_click(app: AppTest) -> None:
    app.query_params["run"] = "AAAAAAAAAAAAAAAAAAAAAA"
    app.run()
    assert "not known here" in app.warning[0].value

    app.button(key="forget_run").click().run()

    assert app.button(key="sample_1").label == SAMPLE_TOPICS[0]


def test_an_endpoint_without_a_key_is_refused_with_what_to_do(app: AppTest) -> None:
    app.run()
    app.segmented_control(key="provider").set_value("typed").run()

    app.text_area(key="topic").input("Bees")
    app.button(key="run").click().run()

    assert "API key" in app.error[0].value


def test_an_unreachable_endpoint_is_said_by_the_connection_test(app: AppTest) -> None:
    app.run()
    app.segmented_control(key="provider").set_value("typed").run()
    app.text_input(key="endpoint_url").input("http://127.0.0.1:9/v1").run()

    app.button(key="test_connection").click().run()

    assert not app.exception
    assert "Nothing answers at" in app.error[0].value


def test_hostile_words_in_a_topic_are_shown_as_the_words_they_are(app: AppTest) -> None:
    app.run()

    run_to_the_end(app, "![x](http://evil.example/p.png) :red[hot] <script>alert(1)</script>")

    heading = app.title[0].value
    assert "![x]" not in heading.replace("\\", "!!")
    assert "<script" not in heading
    assert ":red[" not in heading


def test_an_unusable_data_folder_is_said_with_a_way_on(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("GANTRY_DATA_DIR", str(tmp_path / "file" / "data"))

    app.run()

    assert not app.exception
    assert "cannot start" in app.error[0].value
    assert app.button(key="try_again").label == "Try again"


def test_options_that_cannot_take_effect_rest_and_are_not_asked_for(app: AppTest) -> None:
    app.run()
    assert app.toggle(key="section_editing").disabled

    app.toggle(key="section_writing").set_value(True)
    app.toggle(key="speculative_research").set_value(True)
    app.segmented_control(key="mode").set_value(Mode.SEQUENTIAL).run()

    assert not app.exception
    assert not app.toggle(key="section_editing").disabled
    assert app.toggle(key="speculative_research").disabled
    run_id = run_to_the_end(app, "Urban bees")
    record = get_runtime().run(run_id)
    assert record is not None
    assert record.spec.options.on == ("section_writing",)
    assert "Sequential, by section" in said(app)


def test_a_phase_that_will_grow_gets_its_switch(app: AppTest) -> None:
    app.run()
    assert "parallel_writing" not in [toggle.key for toggle in app.toggle]

    app.toggle(key="section_writing").set_value(True).run()
    app.toggle(key="parallel_writing").set_value(False).run()
    run_id = run_to_the_end(app, "Urban bees")

    record = get_runtime().run(run_id)
    assert record is not None and record.spec.switches["writing"] is False
    assert "writing off" in said(app)
    open_tab(app, "Agents")
    assert app.expander(key="agent_content_writer/3").label.startswith("Section writer 3: done")


def test_a_setting_that_cannot_be_used_is_said_with_a_way_on(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_MAX_IN_FLIGHT", "abc")

    app.run()

    assert not app.exception
    assert "MAX" in app.error[0].value and "integer" in app.error[0].value
    assert app.button(key="try_again").label == "Try again"


@pytest.mark.parametrize("url", ["http://127.0.0.1:abc/v1", "http://a\u202eb/v1", "http://[x/v1"])
def test_an_address_that_is_none_is_said_by_the_connection_test(app: AppTest, url: str) -> None:
    app.run()
    app.segmented_control(key="provider").set_value("typed").run()
    app.text_input(key="endpoint_url").input(url).run()

    app.button(key="test_connection").click().run()

    assert not app.exception
    assert "not the address of an endpoint" in app.error[0].value


@pytest.mark.parametrize(
    "url", ["http://u:CANARY@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?k=CANARY"]
)
def test_a_secret_in_a_typed_address_is_refused_not_shown_and_not_stored(
    app: AppTest, tmp_path: Path, url: str
) -> None:
    app.run()
    app.segmented_control(key="provider").set_value("typed").run()
    app.text_input(key="endpoint_url").input(url)
    app.text_input(key="endpoint_key").input("sk-typed-1234")
    app.selectbox(key="endpoint_model").set_value("m").run()

    app.text_area(key="topic").input("Bees")
    app.button(key="run").click().run()

    assert not app.exception
    assert "base URL" in app.error[0].value
    assert "CANARY" not in said(app)
    stored = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert stored and not any(b"CANARY" in path.read_bytes() for path in stored)


def test_a_secret_in_an_address_stored_by_an_earlier_version_is_not_shown(app: AppTest) -> None:
    runtime = get_runtime()
    url = "http://u:CANARY@host.example/v1"
    spec = RunSpec(topic="Bees", provider="openai", model="m", base_url=url, key_source="typed")
    runtime.call(runtime._running.store.insert_run("old-run-1234", LOCAL_OWNER, spec))
    runtime.wait("old-run-1234", FINISH_S)
    app.query_params["run"] = "old-run-1234"

    app.run()

    assert not app.exception
    assert "host" in said(app)
    assert "CANARY" not in said(app)


def test_a_cancelled_run_is_drawn_when_its_calls_are_closed(app: AppTest) -> None:
    """In the very rerun the click causes: no figure of a run that is still going on."""
    pipeline = HalfAPlan(closing_s=0.4)
    app.run()
    app.text_area(key="topic").input("Urban bees")
    app.button(key="run").click().run()
    pipeline.wait()

    app.button(key="cancel").click().run()

    assert not app.metric  # no call was of use: there is nothing to measure
    planner = app.expander(key="agent_topic_planner")
    assert planner.label.startswith("Topic planner: cancelled")
    assert planner.caption[0].value.startswith("Unfinished")
    assert planner.code[0].value == "Half a plan"


def test_a_new_run_leads_back_to_the_samples(app: AppTest) -> None:
    app.run()
    run_to_the_end(app, "Urban bees")

    app.button(key="new_run").click().run()

    assert not app.exception
    assert app.button(key="sample_1").label == SAMPLE_TOPICS[0]
    assert app.text_area(key="topic").value == ""


def test_a_topic_typed_since_outlives_the_way_back(app: AppTest) -> None:
    app.run()
    run_to_the_end(app, "Urban bees")
    app.text_area(key="topic").input("half a thought").run()

    app.button(key="new_run").click().run()

    assert app.text_area(key="topic").value == "half a thought"


@pytest.mark.parametrize("link", ["x", "not/an id", "A" * 200])
def test_a_link_that_can_name_no_run_is_said(app: AppTest, link: str) -> None:
    app.query_params["run"] = link

    app.run()

    assert not app.exception
    assert "not known here" in app.warning[0].value


@pytest.mark.parametrize("run_id", ["with__two_lines_in_it", "__at_the_ends_too____", "--------"])
def test_a_run_under_way_is_shown_whatever_its_id(app: AppTest, run_id: str) -> None:
    get_runtime().submit(RunSpec(topic="Bees", speed="realistic"), run_id=run_id)
    app.query_params["run"] = run_id

    app.run()

    assert not app.exception
    app.button(key="cancel").click().run()
    assert not app.exception


def test_what_is_no_page_to_read_is_said_and_keeps_the_form(app: AppTest) -> None:
    app.run()

    app.text_area(key="topic").input("Bees")
    app.text_area(key="urls").input("https://example.org/a\nnot an address")
    app.button(key="run").click().run()

    assert "“not an address” is no address of a web page" in app.error[0].value
    assert app.text_area(key="urls").value == "https://example.org/a\nnot an address"
