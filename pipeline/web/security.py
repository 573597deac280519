"""Headers that keep the page to itself, a visitor's cookie, and the origin check of the socket.

Decides which headers every HTTP response carries. Streamlit's own XSRF and origin checks do not
cover the routes we add, so those call `same_origin` themselves. Whose cookie it is that a request
carries, and whether it needs one, is `pipeline/owners.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.owners import COOKIE_NAME, is_cookie, new_cookie

# Streamlit's bundle needs inline styles, evaluates component modules from blob: addresses and
# compiles WebAssembly for tables; nothing may be loaded from, or sent to, another host.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
COOKIE_LIFE_S: Final = 400 * 24 * 3600  # as long as browsers keep one; begins anew at every visit
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """ASGI middleware; plain, because it must let WebSockets through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, send_with_headers)


class VisitorCookie:
    """ASGI middleware: gives a browser its cookie with the page, before the page's socket opens.

    `wanted` says whether this visitor is told apart by a cookie at all; it is asked for pages only.
    """

    def __init__(self, app: ASGIApp, wanted: Callable[[HTTPConnection], bool]) -> None:
        self._app = app
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if _is_page(request, message["status"], headers) and self._wanted(request):
                    headers.append("Set-Cookie", _visitor_cookie(request))
                    headers["Cache-Control"] = "private, no-store"  # nobody else gets this cookie
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def _is_page(request: HTTPConnection, status: int, headers: MutableHeaders) -> bool:
    """True for a page, and for the news that the browser's copy of it is still good."""
    kind = headers if status == 200 else request.headers
    name = "content-type" if status == 200 else "accept"
    return status in (200, 304) and "text/html" in kind.get(name, "")


def _visitor_cookie(request: HTTPConnection) -> str:
    """The header's value: the cookie the browser has, for another while, or a new one."""
    value = request.cookies.get(COOKIE_NAME, "")
    passed_on = request.headers.get("x-forwarded-proto", "").split(",")[0].strip()
    response = Response()
    response.set_cookie(
        COOKIE_NAME,
        value if is_cookie(value) else new_cookie(),
        max_age=COOKIE_LIFE_S,
        httponly=True,
        samesite="lax",
        secure="https" in (request.url.scheme, passed_on),
    )
    return response.headers["set-cookie"]


def same_origin(headers: Headers) -> bool:
    """True when the request comes from our own page, or from no page at all.

    A browser always sends `Origin` with a WebSocket; tools without one are no other site's page.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == headers.get("host", "")
