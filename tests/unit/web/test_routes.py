"""Our routes in the real app, in-process: health, headers, the bundled plotly, the run's socket."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import plotly
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pages._runtime import get_runtime
from pipeline.models import LOCAL_OWNER, RunSpec
from pipeline.web import live_view, routes
from pipeline.web.access import Grant, sign
from pipeline.web.hub import CLOSE_FINISHED, CLOSE_UNKNOWN, Watcher
from pipeline.web.routes import PLOTLY_URL

pytestmark = pytest.mark.slow

FINISH_S = 60.0


def socket_of(run_id: str, grant: Grant | None = None) -> str:
    """The socket's address with a token, by default one of the run's own owner."""
    token = sign(grant or Grant(run_id, LOCAL_OWNER), get_runtime().signing_secret())
    return f"/api/runs/{run_id}/ws?token={token}"


def test_health_is_told_without_touching_the_pipeline(client: TestClient) -> None:
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/", "/healthz", PLOTLY_URL])
def test_every_answer_keeps_the_page_to_itself(client: TestClient, path: str) -> None:
    headers = client.get(path).headers

    policy = headers["content-security-policy"]
    assert "img-src 'self' data: blob:" in policy
    assert "frame-ancestors 'self'" in policy
    assert "connect-src 'self'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_plotly_comes_from_the_installed_wheel_and_may_be_kept(client: TestClient) -> None:
    response = client.get(PLOTLY_URL)

    installed = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    assert response.content == installed.read_bytes()
    assert "immutable" in response.headers["cache-control"]


def test_an_unknown_run_is_closed_for_good(client: TestClient) -> None:
    with (
        client.websocket_connect(socket_of("AAAAAAAAAAAAAAAAAAAAAA")) as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_text()

    assert closed.value.code == CLOSE_UNKNOWN


def test_another_sites_page_is_refused(client: TestClient) -> None:
    run_id = get_runtime().submit(RunSpec(topic="Bees", speed="instant"))

    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(socket_of(run_id), headers={"Origin": "http://evil.example"}),
    ):
        pass


@pytest.mark.slow
def test_a_watcher_gets_a_snapshot_then_batches_then_the_end(client: TestClient) -> None:
    run_id = get_runtime().submit(RunSpec(topic="Urban bees", speed="fast"))
    messages = []

    with (
        client.websocket_connect(
            socket_of(run_id), headers={"Origin": "http://testserver"}
        ) as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        while True:
            messages.append(socket.receive_json())

    assert closed.value.code == CLOSE_FINISHED
    asides = [m for m in messages if m["type"] == "admission"]
    messages = [m for m in messages if m["type"] not in ("admission", "alive")]
    assert asides[0]["gates"][0]["title"].startswith("gantry-demo-")
    assert [m["type"] for m in messages[:2]] == ["snapshot", "batch"]
    assert messages[-1]["finished"] is True
    texts = messages[0]["texts"].get("editor", {}).get("text", "")
    texts += "".join(m["append"].get("editor", {}).get("text", "") for m in messages[1:])
    assert texts.strip() == get_runtime().checkpoints(run_id)["editor"].output.text.strip()


def test_a_late_visitor_gets_the_final_state_and_the_end(client: TestClient) -> None:
    run_id = get_runtime().submit(RunSpec(topic="Urban bees", speed="instant"))
    get_runtime().wait(run_id, FINISH_S)

    with client.websocket_connect(socket_of(run_id)) as socket:
        first = socket.receive_json()
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()

    assert first["finished"] is True
    assert {card["state"] for card in first["cards"]} == {"done"}
    assert closed.value.code == CLOSE_FINISHED


async def test_a_silent_run_says_that_somebody_is_there_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "ALIVE_EVERY_S", 0.01)
    watcher = Watcher(asyncio.Queue())

    assert await routes._next(watcher) == routes.ALIVE
    watcher.put(b"news")
    assert await routes._next(watcher) == b"news"


def test_admission_is_shown_with_limits_queue_and_refusals(client: TestClient) -> None:
    run_id = get_runtime().submit(RunSpec(topic="Salt marshes", speed="instant"))
    get_runtime().wait(run_id, FINISH_S)

    response = client.get("/api/admission")

    assert response.headers["cache-control"] == "no-store"
    gates = response.json()["gates"]
    (gate,) = [gate for gate in gates if gate["model"] == "gantry-demo-instant"]
    assert gate["endpoint"].startswith("http://127.0.0.1:")
    assert (gate["in_flight"], gate["waiting"], gate["refused"]) == (0, 0, 0)
    assert gate["admitted"] >= 10
    assert gate["hedges"] == {"sent": 0, "won": 0, "lost": 0}


def test_another_sites_page_may_not_ask_for_admission(client: TestClient) -> None:
    response = client.get("/api/admission", headers={"Origin": "https://elsewhere.example"})

    assert response.status_code == 403
    assert "gates" not in response.json()


def test_every_class_the_live_view_gives_has_a_style() -> None:
    folder = Path(live_view.__file__).parent
    scripts = "\n".join(script.read_text("utf-8") for script in folder.glob("*.js"))
    style = (folder / "live.css").read_text("utf-8")

    given = set(re.findall(r"\bgl-[a-z]+\b", scripts))
    plain = {"gl-time", "gl-tokens"}  # as the line they stand in

    assert {name for name in given if f".{name}" not in style} == plain


def test_readiness_is_told_by_the_real_app(client: TestClient) -> None:
    response = client.get("/readyz")

    assert response.status_code == 200
    assert set(response.json()["parts"]) == {"database", "queue", "provider"}
