"""Budgets and cost on the page: asked for, passed on, shown, and raised where a run stopped."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import RunStatus
from tests.pages.conftest import shown_run
from tests.pages.test_studio import said

pytestmark = pytest.mark.slow


def test_a_run_stops_at_its_budget_and_goes_on_with_the_one_typed_beside_continue(
    app: AppTest,
) -> None:
    app.run()
    app.number_input(key="max_tokens").set_value(9_000)
    app.text_area(key="topic").input("Heat pumps in old buildings")
    app.button(key="run").click().run()
    run_id = shown_run(app)
    record = get_runtime().wait(run_id, 60)
    assert record is not None
    assert (record.status, record.error_code) == (RunStatus.FAILED, "budget")
    app.run()

    assert not app.exception
    assert "The run's budget of 9,000 tokens" in said(app)
    assert "0.00, at list prices of" in said(app)
    field = app.number_input(key=f"resume_tokens_{run_id}")
    assert field.value == 9_000
    field.set_value(200_000)
    app.button(key="continue").click().run()
    record = get_runtime().wait(run_id, 60)

    assert record is not None
    assert record.status is RunStatus.DONE
    assert record.spec.max_tokens == 200_000


def test_the_forms_budget_starts_with_the_installations(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_RUN_TOKENS", "77000")
    monkeypatch.setenv("GANTRY_RUN_COST_USD", "0.5")

    app.run()

    assert app.number_input(key="max_tokens").value == 77_000
    assert app.number_input(key="max_cost_usd").value == 0.5


def test_the_fallback_model_of_the_panel_joins_the_run(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_MODEL", "large")
    monkeypatch.setenv("GANTRY_FALLBACK_MODEL", "small")
    app.run()

    assert app.text_input(key="endpoint_fallback").value == "small"
    app.text_input(key="endpoint_fallback").input("tiny")
    app.text_area(key="topic").input("Bees")
    app.button(key="run").click().run()
    record = get_runtime().run(shown_run(app))

    assert record is not None
    assert (record.spec.model, record.spec.fallback_model) == ("large", "tiny")
