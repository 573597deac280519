"""Continuing a run on a typed key: which key goes to which host, seen at the hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.engine.loop_thread import LoopThread
from pipeline.models import LOCAL_OWNER, RunSpec, RunStatus
from tests.fault_server import FaultServer, error

pytestmark = pytest.mark.slow

RUNS_KEY, PANELS_KEY = "sk-for-the-run-1234", "sk-for-the-panel-1234"
REFUSED = error(401, {"error": {"message": "no", "code": "invalid_api_key"}})


@pytest.fixture
def hosts() -> Iterator[tuple[FaultServer, FaultServer]]:
    """The host of the run, and the one the panel names."""
    thread = LoopThread("hosts")
    thread.start()
    servers = FaultServer(default=REFUSED), FaultServer(default=REFUSED)
    for server in servers:
        thread.call(server.__aenter__(), 10)
    yield servers
    for server in servers:
        thread.call(server.__aexit__(None, None, None), 10)
    thread.close(10)


def keyless_run(base_url: str | None) -> str:
    """A run whose typed key this process never saw, as after a restart."""
    runtime = get_runtime()
    spec = RunSpec(
        topic="Bees", provider="openai", model="m", base_url=base_url, key_source="typed"
    )
    run_id = runtime.submit(spec)
    record = runtime.wait(run_id, 20)
    assert record is not None and record.status is RunStatus.NEEDS_KEY
    return run_id


def show(app: AppTest, run_id: str) -> AppTest:
    app.query_params["run"] = run_id
    return app.run()


def type_into_panel(app: AppTest, url: str, key: str) -> None:
    app.segmented_control(key="provider").set_value("typed").run()
    app.text_input(key="endpoint_url").input(url)
    app.text_input(key="endpoint_key").input(key).run()


def keys_seen(server: FaultServer) -> set[str]:
    return {request.headers["authorization"] for request in server.requests}


def continue_run(app: AppTest, run_id: str) -> None:
    app.button(key="continue").click().run()
    assert not app.exception
    get_runtime().wait(run_id, 20)


def test_a_key_typed_for_a_run_goes_to_its_host_whatever_the_panel_names(
    app: AppTest, hosts: tuple[FaultServer, FaultServer]
) -> None:
    runs, panels = hosts
    run_id = keyless_run(runs.endpoint.base_url)
    show(app, run_id)
    type_into_panel(app, str(panels.endpoint.base_url), PANELS_KEY)

    app.text_input(key=f"resume_key_{run_id}").input(RUNS_KEY)
    continue_run(app, run_id)

    assert keys_seen(runs) == {f"Bearer {RUNS_KEY}"}
    assert keys_seen(panels) == set()


def test_the_panels_key_is_not_sent_to_a_run_of_another_host(
    app: AppTest, hosts: tuple[FaultServer, FaultServer]
) -> None:
    runs, panels = hosts
    run_id = keyless_run(runs.endpoint.base_url)
    show(app, run_id)
    type_into_panel(app, str(panels.endpoint.base_url), PANELS_KEY)

    continue_run(app, run_id)

    assert keys_seen(runs) == {"Bearer not-needed"}
    assert keys_seen(panels) == set()


def test_the_panels_key_serves_a_run_of_the_same_host(
    app: AppTest, hosts: tuple[FaultServer, FaultServer]
) -> None:
    runs, _panels = hosts
    run_id = keyless_run(runs.endpoint.base_url)
    show(app, run_id)
    type_into_panel(app, f"{runs.endpoint.base_url}/", PANELS_KEY)

    continue_run(app, run_id)

    assert keys_seen(runs) == {f"Bearer {PANELS_KEY}"}


def test_a_key_typed_for_a_run_is_not_used_by_the_panel(
    app: AppTest, hosts: tuple[FaultServer, FaultServer]
) -> None:
    runs, panels = hosts
    run_id = keyless_run(runs.endpoint.base_url)
    show(app, run_id)
    type_into_panel(app, str(panels.endpoint.base_url), "")

    app.text_input(key=f"resume_key_{run_id}").input(RUNS_KEY)
    app.button(key="test_connection").click().run()

    assert keys_seen(panels) == {"Bearer not-needed"}


def test_a_key_typed_for_one_run_does_not_stand_in_the_field_of_the_next(
    app: AppTest, hosts: tuple[FaultServer, FaultServer]
) -> None:
    runs, others = hosts
    one, other = keyless_run(runs.endpoint.base_url), keyless_run(others.endpoint.base_url)
    show(app, one).text_input(key=f"resume_key_{one}").input(RUNS_KEY).run()

    show(app, other)

    assert app.text_input(key=f"resume_key_{other}").value == ""


def test_a_wrong_key_is_typed_again_where_the_failed_run_stands(
    app: AppTest, hosts: tuple[FaultServer, FaultServer]
) -> None:
    runs, _panels = hosts
    run_id = keyless_run(runs.endpoint.base_url)
    show(app, run_id).text_input(key=f"resume_key_{run_id}").input("sk-mistyped-1234")
    continue_run(app, run_id)
    show(app, run_id)
    assert "does not accept the API key" in app.error[0].value

    app.text_input(key=f"resume_key_{run_id}").input(RUNS_KEY)
    continue_run(app, run_id)

    record = get_runtime().run(run_id, LOCAL_OWNER)
    assert record is not None and record.epoch == 2
    assert keys_seen(runs) == {"Bearer sk-mistyped-1234", f"Bearer {RUNS_KEY}"}


def test_openais_own_address_needs_a_key(app: AppTest) -> None:
    run_id = keyless_run(None)
    show(app, run_id)

    app.button(key="continue").click().run()

    assert any("No API key is typed" in error.value for error in app.error)
