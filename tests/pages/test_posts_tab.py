"""The posts tab: which posts it shows, and that a choice of networks is kept."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import RunSpec
from tests.pages.conftest import RUN_TIMEOUT_S, open_tab

pytestmark = pytest.mark.slow


def shown(app: AppTest) -> str:
    run_id = get_runtime().submit(RunSpec(topic="Urban bees", speed="instant"))
    assert get_runtime().wait(run_id, RUN_TIMEOUT_S) is not None
    app.query_params["run"] = run_id
    app.run()
    assert not app.exception
    open_tab(app, "Social posts")
    return run_id


def texts(app: AppTest) -> str:
    return "\n".join(str(block.value) for block in app.code)


def test_each_network_shows_variant_a_first_and_b_on_request(app: AppTest) -> None:
    run_id = shown(app)
    posts = get_runtime().checkpoints(run_id)["social_promoter"].output.data["posts"]  # type: ignore[index]
    written = {(post["platform"], post["variant"]): post["text"] for post in posts}

    assert written["threads", "a"] in texts(app)
    assert f"{written['threads', 'b']}\n\n#" not in texts(app)
    app.segmented_control(key=f"variant_threads_{run_id}").set_value("B").run()

    assert not app.exception
    assert f"{written['threads', 'b']}\n\n#" in texts(app)


def test_a_choice_of_networks_holds_for_the_next_run(app: AppTest) -> None:
    shown(app)
    app.pills(key="networks").set_value(["bluesky"]).run()

    run_id = shown(app)

    assert app.pills(key="networks").value == ["bluesky"]
    assert app.segmented_control(key=f"variant_bluesky_{run_id}").value == "A"
    with pytest.raises(KeyError):
        app.segmented_control(key=f"variant_linkedin_{run_id}")
