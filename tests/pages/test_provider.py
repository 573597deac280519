"""The provider panel: what is sent, what is remembered of it, and what a run brings back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.engine.loop_thread import LoopThread
from pipeline.models import RunRecord, RunSpec, RunStatus
from tests.fault_server import FaultServer, error
from tests.pages.conftest import shown_run

pytestmark = pytest.mark.slow

END_S = 30.0


def listing(*models: str) -> dict[str, object]:
    return {"data": [{"id": model} for model in models]}


@pytest.fixture
def host() -> Iterator[FaultServer]:
    """Lists two models whatever it is asked: a run on it fails at its first call."""
    thread = LoopThread("host")
    thread.start()
    server = FaultServer(default=error(200, listing("one", "two")))
    thread.call(server.__aenter__(), 10)
    yield server
    thread.call(server.__aexit__(None, None, None), 10)
    thread.close(10)


def name_endpoint(app: AppTest, host: FaultServer, key: str = "sk-typed-1234") -> None:
    app.segmented_control(key="provider").set_value("typed").run()
    app.text_input(key="endpoint_url").input(str(host.endpoint.base_url))
    app.text_input(key="endpoint_key").input(key).run()


def pick_model(app: AppTest, model: str) -> None:
    """From the list of the endpoint: the driver cannot type a new name."""
    app.button(key="test_connection").click().run()
    app.selectbox(key="endpoint_model").set_value(model).run()


def run_topic(app: AppTest, topic: str = "Bees") -> RunRecord:
    app.text_area(key="topic").input(topic)
    app.button(key="run").click().run()
    assert not app.exception
    record = get_runtime().wait(shown_run(app), END_S)
    assert record is not None
    return record


def failed_run(host: FaultServer, **fields: object) -> str:
    """A run on the host as the configured endpoint."""
    spec = RunSpec.model_validate(
        {
            "topic": "Tides",
            "provider": "openai",
            "model": "gone",
            "base_url": host.endpoint.base_url,
            "key_source": "configured",
            **fields,
        }
    )
    run_id = get_runtime().submit(spec)
    record = get_runtime().wait(run_id, END_S)
    assert record is not None and record.status is RunStatus.FAILED
    return run_id


def models_asked(host: FaultServer) -> list[str]:
    return [r.json["model"] for r in host.requests if r.method == "POST"]


def results(app: AppTest) -> list[str]:
    return [str(box.value) for box in (*app.success, *app.error)]


def test_a_missing_key_is_said_to_be_missing_not_wrong(app: AppTest, host: FaultServer) -> None:
    host.default = error(401, {"error": {"message": "no", "code": "invalid_api_key"}})
    app.run()
    name_endpoint(app, host, key="")

    app.button(key="test_connection").click().run()
    assert "no key was sent" in app.error[0].value
    app.text_input(key="endpoint_key").input("sk-wrong-1234").run()
    app.button(key="test_connection").click().run()

    assert "does not accept the API key" in app.error[0].value


@pytest.mark.parametrize("change", ["endpoint_key", "endpoint_url"])
def test_what_an_endpoint_said_goes_with_its_address_and_key(
    app: AppTest, host: FaultServer, change: str
) -> None:
    app.run()
    name_endpoint(app, host)
    app.button(key="test_connection").click().run()
    assert "2 models" in results(app)[0]
    assert app.selectbox(key="endpoint_model").options == ["one", "two"]
    before = app.text_input(key=change).value

    app.text_input(key=change).input("http://127.0.0.1:9/v1").run()

    assert results(app) == []
    assert app.selectbox(key="endpoint_model").options == []
    app.text_input(key=change).input(before).run()
    assert "2 models" in results(app)[0]


def test_what_an_endpoint_said_of_one_model_is_not_said_of_another(
    app: AppTest, host: FaultServer
) -> None:
    app.run()
    name_endpoint(app, host)
    app.button(key="test_connection").click().run()

    pick_model(app, "two")

    assert results(app) == []
    assert app.selectbox(key="endpoint_model").options == ["one", "two"]


def test_a_configured_endpoint_without_a_model_is_refused_before_the_start(
    app: AppTest, host: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", str(host.endpoint.base_url))
    app.run()

    app.text_area(key="topic").input("Bees")
    app.button(key="run").click().run()

    assert "No model is named" in app.error[0].value
    assert "run" not in app.query_params
    assert models_asked(host) == []


@pytest.mark.parametrize("choice", ["configured", "typed"])
def test_the_only_model_of_an_endpoint_need_not_be_named(
    app: AppTest, host: FaultServer, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    host.default = error(200, listing("the-only-one"))
    monkeypatch.setenv("OPENAI_BASE_URL", str(host.endpoint.base_url))
    app.run()
    if choice == "typed":
        name_endpoint(app, host)

    record = run_topic(app)

    assert record.spec.model == "the-only-one"
    assert set(models_asked(host)) == {"the-only-one"}


def test_running_again_brings_the_endpoint_back_and_says_that_the_key_is_missing(
    app: AppTest, host: FaultServer
) -> None:
    url = str(host.endpoint.base_url)
    app.run()
    name_endpoint(app, host)
    pick_model(app, "two")
    run_id = run_topic(app).id
    app.run()
    app.text_input(key="endpoint_url").input("http://127.0.0.1:9/v1")
    app.text_input(key="endpoint_key").input("sk-for-another-host").run()
    app.segmented_control(key="provider").set_value("demo").run()

    app.switch_page("history.py").run()
    app.button(key=f"again_{run_id}").click().run()

    assert not app.exception
    assert app.segmented_control(key="provider").value == "typed"
    assert app.text_input(key="endpoint_url").value == url
    assert app.text_input(key="endpoint_key").value == ""
    assert app.selectbox(key="endpoint_model").value == "two"
    assert "type it again" in app.info[0].value


def test_a_new_session_finds_the_brief_of_the_run_in_its_link(
    app: AppTest, host: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", str(host.endpoint.base_url))
    run_id = failed_run(host, mode="dataflow", switches={"research": False}, tone="Playful")

    app.query_params["run"] = run_id
    app.run()

    assert app.text_area(key="topic").value == "Tides"
    assert app.segmented_control(key="mode").value == "dataflow"
    assert app.toggle(key="parallel_research").value is False
    assert app.selectbox(key="tone").value == "Playful"
    assert app.segmented_control(key="provider").value == "configured"
    assert app.selectbox(key="endpoint_model").value == "gone"


def test_a_run_that_failed_on_its_model_goes_on_with_the_panels(
    app: AppTest, host: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", str(host.endpoint.base_url))
    run_id = failed_run(host)
    app.query_params["run"] = run_id
    app.run()
    assert app.text_input(key=f"resume_model_{run_id}").placeholder == "gone"

    pick_model(app, "one")
    app.button(key="continue").click().run()

    assert not app.exception
    get_runtime().wait(run_id, END_S)
    assert set(models_asked(host)) == {"gone", "one"}


def test_a_model_typed_beside_continue_is_the_one_that_is_asked(
    app: AppTest, host: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", str(host.endpoint.base_url))
    run_id = failed_run(host)
    app.query_params["run"] = run_id
    app.run()
    pick_model(app, "one")

    app.text_input(key=f"resume_model_{run_id}").input(" two ")
    app.button(key="continue").click().run()

    get_runtime().wait(run_id, END_S)
    assert set(models_asked(host)) == {"gone", "two"}


def test_the_panels_model_of_another_endpoint_is_not_offered(
    app: AppTest, host: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", str(host.endpoint.base_url))
    run_id = failed_run(host)
    app.query_params["run"] = run_id
    app.run()
    pick_model(app, "one")
    app.segmented_control(key="provider").set_value("typed").run()
    app.text_input(key="endpoint_url").input("http://127.0.0.1:9/v1").run()

    app.button(key="continue").click().run()

    get_runtime().wait(run_id, END_S)
    assert set(models_asked(host)) == {"gone"}
