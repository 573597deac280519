"""A run by its link: to read, without what acts on it and without where it was done."""

from __future__ import annotations

import asyncio

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import LOCAL_OWNER, Endpoint, RunSpec, RunStatus
from pipeline.web.live_source import open_run_source, strangers_view
from tests.pages.conftest import ROOT, sent_to_browser

pytestmark = pytest.mark.slow

NOBODY_THERE = "http://127.0.0.1:9/v1"
OTHER = "browser-of-somebody-else"


def ended(spec: RunSpec, owner: str, typed: Endpoint | None = None) -> str:
    run_id = get_runtime().submit(spec, owner, typed)
    get_runtime().wait(run_id, 60)
    return run_id


def visit(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "_shell.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


def test_a_link_shows_the_whole_result_of_anybodys_run() -> None:
    run_id = ended(RunSpec(topic="Heat pumps", speed="instant"), OTHER)

    app = visit(shared=get_runtime().share(run_id, OTHER))

    assert "Heat pumps" in sent_to_browser(app)
    assert [m.label.split(" (")[0] for m in app.metric][:1] == ["This run"]
    assert len(app.tabs) == 9
    assert keys(app) == set()


def test_a_link_to_a_run_that_failed_offers_no_way_on_and_tells_no_address() -> None:
    spec = RunSpec(
        topic="Bees", provider="openai", model="m", base_url=NOBODY_THERE, key_source="typed"
    )
    run_id = ended(spec, LOCAL_OWNER, Endpoint(NOBODY_THERE, "canary-key-0123456789"))
    record = get_runtime().run(run_id, LOCAL_OWNER)
    assert record is not None and record.status is RunStatus.FAILED

    own, shared = visit(run=run_id), visit(shared=get_runtime().share(run_id, LOCAL_OWNER))

    assert "127.0.0.1:9" in sent_to_browser(own)
    assert "127.0.0.1:9" not in sent_to_browser(shared)
    assert "The run stopped" in shared.error[0].value
    assert "continue" in keys(own)
    assert keys(shared) == set()
    assert not shared.text_input


@pytest.mark.parametrize("told", [True, False])
def test_strangers_get_live_what_they_get_on_the_page(told: bool) -> None:
    spec = RunSpec(
        topic="Bees", provider="openai", model="m", base_url=NOBODY_THERE, key_source="typed"
    )
    run_id = ended(spec, LOCAL_OWNER, Endpoint(NOBODY_THERE, "canary-key-0123456789"))

    async def snapshot() -> bytes:
        source = await open_run_source(get_runtime(), run_id if told else strangers_view(run_id))
        assert source is not None
        return source.snapshot()

    assert (b"127.0.0.1:9" in asyncio.run(snapshot())) is told


def test_sharing_shows_the_link_once_and_stops_at_a_click(app: AppTest) -> None:
    run_id = ended(RunSpec(topic="Tides", speed="instant"), LOCAL_OWNER)
    app.query_params["run"] = run_id
    app.run()

    app.button(key="share_make").click().run()
    (link,) = [code.value for code in app.code if "shared=" in code.value]
    again = visit(run=run_id)
    by_link = visit(shared=link.split("shared=")[1])
    app.button(key="share_stop").click().run()

    assert "Tides" in sent_to_browser(by_link)
    assert not [code for code in again.code if "shared=" in code.value]
    assert again.button(key="share_make").label == "Make a new link"
    assert not [code for code in app.code if "shared=" in code.value]
    assert "This link shows nothing" in visit(shared=link.split("shared=")[1]).warning[0].value


def test_what_the_link_shows_is_listed_nowhere() -> None:
    run_id = ended(RunSpec(topic="Quokkas", speed="instant"), OTHER)
    visit(shared=get_runtime().share(run_id, OTHER))

    history = visit().switch_page("history.py").run()

    assert "no runs yet" in history.info[0].value
