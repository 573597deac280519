"""The Plan lab: a finished run, planned and limited otherwise, without a call."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import Mode, RunOptions, RunSpec
from tests.pages.conftest import shown_run

pytestmark = pytest.mark.slow


@pytest.fixture
def run_id() -> str:
    """A run in phases that has ended, with times worth planning with."""
    runtime = get_runtime()
    run_id = runtime.submit(RunSpec(topic="Heat pumps", speed="fast", mode=Mode.PHASES))
    ended = runtime.wait(run_id, 60.0)
    assert ended is not None and ended.status == "done"
    return run_id


@pytest.fixture
def lab(app: AppTest) -> AppTest:
    app.run()
    return app.switch_page("plan_lab.py")


def figure(lab: AppTest, label: str) -> float:
    words = next(m.value for m in lab.metric if m.label == label).split()
    seconds, minutes = float(words[-2]), float(words[0]) if "min" in words else 0.0
    return 60 * minutes + seconds


def simulated_s(lab: AppTest) -> float:
    return figure(lab, "This plan (simulated)")


def test_without_a_finished_run_it_says_what_to_do(lab: AppTest) -> None:
    lab.run()

    assert not lab.exception
    assert "no finished run" in lab.info[0].value
    assert not lab.metric


def test_as_it_ran_the_simulation_meets_the_run(lab: AppTest, run_id: str) -> None:
    lab.run()

    assert not lab.exception
    assert lab.selectbox(key="lab_run").value == run_id
    assert lab.segmented_control(key="lab_mode").value is Mode.PHASES
    measured_s = figure(lab, "This run (measured)")
    assert simulated_s(lab) == pytest.approx(measured_s, rel=0.2)
    assert any("not measured" in caption.value for caption in lab.caption)


def test_sequential_mode_is_the_replayed_sum(lab: AppTest, run_id: str) -> None:
    lab.run()

    lab.segmented_control(key="lab_mode").set_value(Mode.SEQUENTIAL).run()

    assert not lab.exception
    assert simulated_s(lab) == figure(lab, "Sequential (replayed)")
    assert all(toggle.disabled for toggle in lab.toggle)


def test_dataflow_reaches_the_bound_and_one_call_at_once_loses_it(
    lab: AppTest, run_id: str
) -> None:
    lab.run()

    lab.segmented_control(key="lab_mode").set_value(Mode.DATAFLOW).run()
    assert simulated_s(lab) == figure(lab, "Least possible (bound)")
    lab.select_slider(key="lab_cap").set_value(1).run()

    assert not lab.exception
    assert simulated_s(lab) > figure(lab, "Least possible (bound)")


def test_limits_a_faster_agent_and_sections_move_the_simulated_figure(
    lab: AppTest, run_id: str
) -> None:
    lab.run()
    as_it_ran_s = simulated_s(lab)

    lab.select_slider(key="lab_rpm").set_value(10).run()
    assert simulated_s(lab) > 9 * 6.0  # ten calls and more, six seconds apart
    lab.button(key="lab_reset").click().run()
    assert simulated_s(lab) == as_it_ran_s
    lab.selectbox(key="lab_agent").set_value("editor").run()
    lab.select_slider(key="lab_speedup").set_value(10.0).run()
    assert simulated_s(lab) < as_it_ran_s
    lab.button(key="lab_reset").click().run()
    lab.select_slider(key="lab_sections").set_value(6).run()

    assert not lab.exception
    assert simulated_s(lab) < as_it_ran_s
    assert lab.toggle(key="lab_parallel_writing").value is True


def test_a_run_that_wrote_by_section_is_shown_as_it_grew_and_undone(lab: AppTest) -> None:
    options = RunOptions(section_writing=True)
    runtime = get_runtime()
    run_id = runtime.submit(RunSpec(topic="Heat pumps", speed="instant", options=options))
    runtime.wait(run_id, 60.0)
    lab.run()

    assert not lab.exception
    assert "Section writer 1" in lab.selectbox(key="lab_agent").options
    assert lab.toggle(key="lab_parallel_writing").value is True
    lab.select_slider(key="lab_sections").set_value(1).run()

    assert not lab.exception
    assert "lab_parallel_writing" not in [toggle.key for toggle in lab.toggle]
    lab.select_slider(key="lab_sections").set_value(5).run()
    lab.toggle(key="lab_edit_sections").set_value(True).run()

    assert not lab.exception
    assert lab.toggle(key="lab_parallel_editing").value is True


def test_the_run_in_the_address_is_the_one_that_is_shown(lab: AppTest, run_id: str) -> None:
    newer = get_runtime().submit(RunSpec(topic="Urban bees", speed="instant"))
    get_runtime().wait(newer, 60.0)
    lab.query_params["run"] = run_id

    lab.run()

    assert lab.selectbox(key="lab_run").value == run_id
    lab.selectbox(key="lab_run").set_value(newer).run()
    assert not lab.exception
    assert shown_run(lab) == newer


def test_another_run_that_was_opened_meanwhile_is_shown_as_it_ran(
    lab: AppTest, run_id: str
) -> None:
    spec = RunSpec(topic="Urban bees", speed="instant", mode=Mode.DATAFLOW)
    newer = get_runtime().submit(spec)
    get_runtime().wait(newer, 60.0)
    lab.query_params["run"] = run_id
    lab.run()
    lab.select_slider(key="lab_cap").set_value(2).run()

    lab.switch_page("studio.py").run()
    lab.switch_page("plan_lab.py")
    lab.query_params["run"] = newer
    lab.run()

    assert not lab.exception
    assert lab.selectbox(key="lab_run").value == newer
    assert lab.segmented_control(key="lab_mode").value is Mode.DATAFLOW
    assert lab.select_slider(key="lab_cap").value is None


def test_a_run_that_nobody_knows_is_replaced_by_the_newest(lab: AppTest, run_id: str) -> None:
    lab.query_params["run"] = "x" * 22

    lab.run()

    assert not lab.exception
    assert lab.selectbox(key="lab_run").value == run_id
