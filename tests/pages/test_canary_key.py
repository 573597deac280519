"""A key goes to its endpoint and nowhere else, however hard the endpoint tries to give it back.

The endpoint here is the real demo behind a middleware that repeats the `Authorization` header it was
sent: in errors that are retried, in one that ends the run, or in the text of every answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from streamlit.testing.v1 import AppTest

from pages._runtime import close_runtime, get_runtime
from pipeline.engine.loop_thread import LoopThread
from pipeline.export.bundle import Bundle
from pipeline.llm.demo import HOST
from pipeline.llm.demo.server import Handler, make_app
from pipeline.models import LOCAL_OWNER, Endpoint, RunSpec, RunStatus
from pipeline.settings import load_settings
from pipeline.web.live_source import RunSource, open_run_source, strangers_view
from tests.pages.conftest import sent_to_browser

pytestmark = pytest.mark.slow

# No prefix that a pattern would know: what hides it has to know it.
KEYS = {"typed": "canarytyped4f81c2d09b7e", "configured": "canaryset93ad57e0f1c6"}
FINISH_S = 60.0


class Parrot:
    """An endpoint that repeats the key it was sent, in the way that was asked for."""

    def __init__(self, way: str, key: str) -> None:
        self.way = way
        self.key = key
        self.asked: Counter[str] = Counter()
        self._thread = LoopThread("parrot")

    def __enter__(self) -> Parrot:
        self._thread.start()
        self.url = self._thread.call(self._serve(), 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.call(self._runner.cleanup(), 10)
        self._thread.close(10)

    async def _serve(self) -> str:
        app = make_app("instant", self.key)
        app.middlewares.insert(0, self._repeat)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        return f"http://{HOST}:{self._runner.addresses[0][1]}/v1"

    @web.middleware
    async def _repeat(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.endswith("/chat/completions"):
            return await handler(request)
        told = request.headers["Authorization"].removeprefix("Bearer ")
        assert told == self.key
        agent = str((await request.json())["messages"][0]["content"]).split("\n", 1)[0]
        self.asked[agent] += 1
        if self.way == "fails":
            return _error(401, told)
        if self.way == "retried" and self.asked[agent] == 1:
            return _error(500, told)
        if self.way == "writes" and "writer" in agent.lower():
            return await _answer(
                request, f"# Bees\n\nThe key is {told}, they say. " + "Bees fly. " * 80
            )
        return await handler(request)


def _error(status: int, told: str) -> web.Response:
    message = f"Your key {told} is wrong, {json.dumps({'key': told})} and Bearer {told}"
    return web.json_response({"error": {"message": message, "code": told}}, status=status)


async def _answer(request: web.Request, text: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for delta, finish in (({"content": text}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await response.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


@pytest.fixture
def parrot(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parrot]:
    source, way = request.param
    with Parrot(way, KEYS[source]) as parrot:
        if source == "configured":
            monkeypatch.setenv("OPENAI_API_KEY", parrot.key)
            monkeypatch.setenv("OPENAI_BASE_URL", parrot.url)
        yield parrot
        close_runtime()


def start(parrot: Parrot) -> str:
    source = next(source for source, key in KEYS.items() if key == parrot.key)
    spec = RunSpec(
        topic="Bees",
        provider="openai",
        model="gantry-demo-instant",
        base_url=parrot.url,
        key_source=source,
        allow_unsourced=True,
    )
    typed = Endpoint(parrot.url, parrot.key, "typed") if source == "typed" else None
    return get_runtime().submit(spec, LOCAL_OWNER, typed)


async def live(run_id: str, view: str) -> bytes:
    source = await open_run_source(get_runtime(), view)
    assert isinstance(source, RunSource)
    return source.snapshot() + (await source.advance() or b"") + (await source.aside() or b"")


WAYS = [(source, way) for source in KEYS for way in ("retried", "fails", "writes")]


@pytest.mark.parametrize("parrot", WAYS, indirect=True, ids=["-".join(way) for way in WAYS])
def test_a_key_is_found_nowhere_but_at_its_endpoint(
    app: AppTest, parrot: Parrot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run_id = start(parrot)
    runtime = get_runtime()
    record = runtime.wait(run_id, FINISH_S)
    assert record is not None
    ended = RunStatus.FAILED if parrot.way == "fails" else RunStatus.DEGRADED
    assert record.status in (ended, RunStatus.DONE)
    app.query_params["run"] = run_id
    app.run()
    bundle = Bundle(
        record,
        runtime.events(run_id, LOCAL_OWNER),
        runtime.checkpoints(run_id, LOCAL_OWNER),
        texts=runtime.texts(run_id) if parrot.way != "writes" else {},
    )
    places = {
        "page": sent_to_browser(app),
        "record": repr(record),
        "facts": repr(bundle.events),
        "outputs": repr(bundle.checkpoints),
        "report": bundle.json(),
        "markdown": bundle.markdown(),
        "html": bundle.html(),
        "settings": repr(load_settings()) + str(load_settings().model_dump()),
        "keys": repr(runtime._running._keys) + repr(Endpoint(parrot.url, parrot.key)),
        "log": caplog.text + repr([entry.__dict__ for entry in caplog.records]),
    }
    if parrot.way != "writes":  # a model's own words are shown as they come, to their owner
        for name, view in (("live", run_id), ("shared", strangers_view(run_id))):
            places[name] = asyncio.run(live(run_id, view)).decode()
    close_runtime()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    places |= {path.name: path.read_bytes().decode("latin-1") for path in files}

    assert not app.exception
    assert parrot.asked
    assert {name for name, text in places.items() if parrot.key in text} == set()
    assert any("[hidden]" in text for text in places.values())
    assert "Bees" in places["page"]
    assert {"log", "gantry.sqlite3"} <= set(places)
