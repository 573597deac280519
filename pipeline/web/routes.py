"""The routes beside the page: health, the socket of a run, the bundled plotly.

All of them only read. Streamlit's login, XSRF and origin checks do not cover them: the socket
checks the origin and takes a token that the page made (`access.py`), and whoever has none learns
nothing, not even that there is such a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import plotly
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.engine.health import Readiness
from pipeline.errors import GantryError, UnknownVisitor
from pipeline.llm.admission.snapshot import GateSnapshot
from pipeline.llm.admission.team import TeamSnapshot
from pipeline.web.access import Grant
from pipeline.web.hub import (
    CLOSE_FAILED,
    CLOSE_TOO_MANY,
    CLOSE_UNKNOWN,
    Hub,
    TooManyWatchers,
    Watcher,
)
from pipeline.web.readiness import ReadinessRoute
from pipeline.web.security import same_origin

LOOK_AGAIN_S: Final = 2.0  # how often an open socket's right to be open is looked up
ALIVE_EVERY_S: Final = 2.0  # of silence, after which a socket says that somebody is there
SEND_TIMEOUT_S: Final = 10.0  # a client that takes nothing for so long is gone
PLOTLY_JS: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PLOTLY_URL: Final = f"/assets/plotly-{plotly.__version__}.min.js"
IMMUTABLE: Final = "public, max-age=31536000, immutable"

ALIVE: Final = b'{"type":"alive"}'

_log = logging.getLogger(__name__)


class HubAccess(Protocol):
    """Gives the hub, made on the server's loop when it is first needed."""

    def __call__(self) -> Hub: ...


class AdmissionNow(NamedTuple):
    """This process's gates, and what the team does together where there is one."""

    gates: Sequence[GateSnapshot] = ()
    team: TeamSnapshot | None = None


class AdmissionAccess(Protocol):
    """Gives the gates as whoever asks may see them. Called off the server's loop; may block.

    Raises `UnknownVisitor` for somebody whom nothing makes known.
    """

    def __call__(self, visitor: HTTPConnection) -> AdmissionNow: ...


class Watching(Protocol):
    """Whether somebody may watch a run. Called off the server's loop; both may block."""

    def grant(self, visitor: HTTPConnection, run_id: str) -> Grant | None:
        """What the visitor's token grants for that run; None when that is nothing."""

    def still_holds(self, grant: Grant) -> bool:
        """False when the link behind it was withdrawn, or the run is gone."""


def make_routes(
    hub: HubAccess,
    watching: Watching,
    admission: AdmissionAccess | None = None,
    readiness: Readiness | None = None,
) -> list[BaseRoute]:
    """All routes of ours, for `st.App(routes=…)`. Without `readiness` there is no `/readyz`."""

    async def admission_now(request: Request) -> Response:
        return await _admission(request, admission)

    async def run_socket(websocket: WebSocket) -> None:
        await _serve_run(websocket, hub(), watching)

    ready = [Route("/readyz", ReadinessRoute(readiness).answer)] if readiness is not None else []
    return [
        Route("/healthz", healthz),
        *ready,
        Route("/assets/plotly.min.js", plotly_js),
        Route(PLOTLY_URL, plotly_js),
        Route("/api/admission", admission_now),
        WebSocketRoute("/api/runs/{run_id}/ws", run_socket),
    ]


async def healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def _admission(request: Request, access: AdmissionAccess | None) -> Response:
    """Limits, queue and refusals of every gate; calls by name only of whoever asks."""
    headers = {"Cache-Control": "no-store"}
    if not same_origin(request.headers):
        return JSONResponse({"error": "another site's page may not ask"}, 403, headers)
    try:
        now = await asyncio.to_thread(access, request) if access is not None else AdmissionNow()
    except UnknownVisitor as error:
        return JSONResponse({"error": str(error)}, 403, headers)
    except (GantryError, TimeoutError):
        return JSONResponse({"error": "the engine does not answer"}, 503, headers)
    shown: dict[str, Any] = {"gates": [gate.to_dict() for gate in now.gates]}
    if now.team is not None:
        shown["team"] = now.team.to_dict()
    return JSONResponse(shown, headers=headers)


async def plotly_js(request: Request) -> Response:
    """The plotly of the installed wheel: always the version Python draws with, no outside host."""
    caching = IMMUTABLE if request.url.path == PLOTLY_URL else "public, max-age=3600"
    return FileResponse(PLOTLY_JS, media_type="text/javascript", headers={"Cache-Control": caching})


async def _serve_run(websocket: WebSocket, hub: Hub, watching: Watching) -> None:
    """Snapshot, then batches, then a close code that says whether to come back."""
    if not same_origin(websocket.headers):
        await websocket.close(1008)  # before `accept`: the browser sees a plain 403
        return
    run_id = websocket.path_params["run_id"]
    await websocket.accept()  # a close code reaches a browser only after this
    try:
        grant = await asyncio.to_thread(watching.grant, websocket, run_id)
        watcher = await hub.join(grant.view) if grant is not None else None
    except TooManyWatchers:
        await websocket.close(CLOSE_TOO_MANY)
        return
    except GantryError as error:  # no engine, or a store that does not answer: worth another try
        _log.warning("Run %s cannot be shown live: %s", run_id, error)
        await websocket.close(CLOSE_FAILED)
        return
    if grant is None or watcher is None:
        await websocket.close(CLOSE_UNKNOWN)
        return
    try:
        await _relay(websocket, watcher, partial(watching.still_holds, grant))
    finally:
        await hub.leave(grant.view, watcher)


async def _relay(websocket: WebSocket, watcher: Watcher, may_see: Callable[[], bool]) -> None:
    """Send until there is no more to send, nobody there or no right to it; whichever comes first."""
    async with asyncio.TaskGroup() as group:
        ends = (group.create_task(_send(websocket, watcher)), group.create_task(_gone(websocket)))
        guard = group.create_task(_let_go(watcher, may_see))  # ends what `_send` waits for
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in (*ends, guard):
            task.cancel()


async def _send(websocket: WebSocket, watcher: Watcher) -> None:
    try:
        while (message := await _next(watcher)) is not None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await websocket.send_text(message.decode())
        await websocket.close(watcher.code)
    except (WebSocketDisconnect, TimeoutError):
        return  # the browser went away in the middle of a message; there is nobody to tell


async def _next(watcher: Watcher) -> bytes | None:
    """The watcher's next message, or that there is none yet: a browser cannot see a dead network."""
    try:
        async with asyncio.timeout(ALIVE_EVERY_S):
            return await watcher.get()
    except TimeoutError:
        return ALIVE


async def _let_go(watcher: Watcher, may_see: Callable[[], bool]) -> None:
    """Let the watcher go once it may no longer see the run."""
    try:
        while await asyncio.to_thread(may_see):  # noqa: ASYNC110 - another process may withdraw it
            await asyncio.sleep(LOOK_AGAIN_S)
    except GantryError as error:  # who may see it cannot be found out now; the browser comes back
        _log.warning("Whether a run may still be watched is not known: %s", error)
        watcher.end(CLOSE_FAILED)
    else:
        watcher.end(CLOSE_UNKNOWN)


async def _gone(websocket: WebSocket) -> None:
    """Return when the browser has left. It has nothing to say to us; what it says is ignored."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
