"""The launcher: `streamlit run app.py`. Joins the pages, our routes and the engine in one process.

Decides only what starts and stops with the server; screens are in `pages/`, routes in
`pipeline/web/`.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection

from pages._logs import set_up_server_logging
from pages._owner import may_be_of, owner_of_request, wants_cookie
from pages._runtime import close_runtime, get_runtime
from pipeline.engine.health import Part, unanswered
from pipeline.errors import GantryError
from pipeline.web.access import Grant, read, still_holds
from pipeline.web.hub import Hub, LiveSource
from pipeline.web.live_source import open_run_source
from pipeline.web.routes import AdmissionNow, make_routes
from pipeline.web.security import SecurityHeaders, VisitorCookie

_log = logging.getLogger("gantry")


async def _open_source(view: str) -> LiveSource | None:
    # the first to need the engine starts it, which takes as long as the database makes it wait
    runtime = await anyio.to_thread.run_sync(get_runtime)
    return await open_run_source(runtime, view)


hub = Hub(_open_source)


def _admission(visitor: HTTPConnection) -> AdmissionNow:
    runtime = get_runtime()
    owner = owner_of_request(visitor, runtime.signing_secret)
    return AdmissionNow(runtime.admission(owner), runtime.team(owner, patient=True))


class _Watching:
    """Reads the token a page made, and asks the store."""

    def grant(self, visitor: HTTPConnection, run_id: str) -> Grant | None:
        runtime = get_runtime()
        grant = read(visitor.query_params.get("token", ""), runtime.signing_secret())
        if grant is None or grant.run_id != run_id or not may_be_of(grant.owner, visitor):
            return None
        return grant if still_holds(grant, runtime) else None

    def still_holds(self, grant: Grant) -> bool:
        return still_holds(grant, get_runtime())


def _readiness() -> Sequence[Part]:
    try:
        return get_runtime().readiness()
    except GantryError as error:
        return unanswered(error.code, "Gantry could not start; the page and the log say why.")


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """The engine runs from the first request to the last, whoever is looking."""
    set_up_server_logging()
    try:
        await anyio.to_thread.run_sync(get_runtime)
    except GantryError as error:
        # The page says the same, in full, to whoever opens it; a fix needs no restart.
        _log.error("The engine did not start. %s", error)
    _warm_up()
    try:
        yield {}
    finally:
        await hub.aclose()
        await anyio.to_thread.run_sync(close_runtime)


def _warm_up() -> None:
    """Import what the first page needs, then keep the collector from walking it ever again.

    Streamlit collects garbage after every rerun; frozen, that costs a fifth.
    """
    import plotly.graph_objects  # noqa: F401

    gc.collect()
    gc.freeze()


app = st.App(
    Path(__file__).parent / "pages" / "_shell.py",
    lifespan=lifespan,
    middleware=[Middleware(SecurityHeaders), Middleware(VisitorCookie, wanted=wants_cookie)],
    routes=make_routes(lambda: hub, _Watching(), _admission, _readiness),
)
