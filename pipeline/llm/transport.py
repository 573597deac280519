"""What the exceptions of the wire below a call mean.

Foreign exceptions (SDK, HTTP libraries, sockets) end here: `translate` turns each into one of
our errors, with the address that was asked.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Collection, Iterator

import aiohttp
import httpx2
import openai

from pipeline.base_url import address
from pipeline.errors import (
    AuthError,
    BadRequest,
    CallError,
    DeadlineExceeded,
    NoConnection,
    NotAnEndpoint,
    StreamBroken,
    Unreachable,
)
from pipeline.llm.failures import classify
from pipeline.llm.redact import provider_words
from pipeline.llm.wire import CONNECT_TIMEOUT_S, Refused


def transport_errors() -> tuple[type[Exception], ...]:
    """What a request may raise, whatever HTTP library the client was built on."""
    legacy = sys.modules.get("httpx")  # only there when somebody built a client on it
    errors: tuple[type[Exception], ...] = (
        Refused,
        openai.OpenAIError,
        httpx2.HTTPError,
        httpx2.StreamError,
        httpx2.InvalidURL,
        aiohttp.ClientError,
        OSError,  # sockets, TLS and time-outs
        ValueError,  # an address or a key that cannot be put into a request
    )
    return errors if legacy is None else (*errors, legacy.HTTPError)


def translate(
    exc: Exception, base_url: str, *, model: str = "", secrets: Collection[str] = ()
) -> CallError:
    """Turn an exception raised before the answer began into one of our errors."""
    if isinstance(exc, Refused):
        return classify(exc.status, exc.headers, exc.body, model=model, secrets=secrets)
    if isinstance(exc, openai.APIStatusError):
        response = exc.response
        return classify(
            response.status_code, response.headers, response.content, model=model, secrets=secrets
        )
    where, causes = address(base_url), list(_causes(exc))
    if not all(secret.isascii() and secret.isprintable() for secret in secrets):
        return AuthError(
            "The API key contains characters that no key has.",
            "Copy the key again, without spaces, quotes or line breaks.",
        )
    if isinstance(exc, UnicodeError):
        return BadRequest(
            "The prompt contains characters that cannot be sent.", "Remove them from the topic."
        )
    if any(isinstance(c, socket.gaierror) for c in causes):
        return Unreachable(
            f"The name in {where} cannot be found.", "Check the base URL and the network."
        )
    if any(isinstance(c, ssl.SSLError | ssl.CertificateError) for c in causes):
        return Unreachable(
            f"No secure connection to {where}.",
            "Check the certificate, and whether the address should begin with http://.",
        )
    if any(isinstance(c, ConnectionRefusedError) for c in causes):
        return Unreachable(
            f"Nothing answers at {where}: connection refused.",
            "Start the endpoint, or check the base URL and port.",
        )
    if broken := _rule_broken(causes):
        return StreamBroken(
            f"The answer of {where} broke the rules of HTTP ({provider_words(broken, secrets)}).",
            "Try again; if it goes on, check the endpoint and any proxy between.",
        )
    if any(isinstance(c, _BAD_ADDRESS) for c in causes):
        return NotAnEndpoint(
            f"{where} is not an OpenAI-compatible endpoint.",
            "Check the base URL: http:// or https://, no user name in it, and usually /v1 at the end.",
        )
    if _was_connecting_too_long(causes):
        return NoConnection(
            f"{where} does not answer: no connection within {CONNECT_TIMEOUT_S:.0f} s.",
            "Check the base URL, the network and a proxy or firewall between.",
        )
    if any(isinstance(c, httpx2.ReadTimeout | aiohttp.SocketTimeoutError) for c in causes):
        return DeadlineExceeded(f"{where} did not answer in time.", "Try again in a while.")
    words = provider_words(str(causes[-1]), secrets) or type(causes[-1]).__name__
    return Unreachable(
        f"The connection to {where} broke before an answer came ({words}).",
        "Check the endpoint and the network, then try again.",
    )


def translate_midway(exc: Exception) -> CallError:
    """Turn an exception raised while the answer was coming into one of our errors."""
    if any(isinstance(c, httpx2.TimeoutException | TimeoutError) for c in _causes(exc)):
        return DeadlineExceeded(
            "The endpoint stopped sending in the middle of the reply.", "Try again in a while."
        )
    return StreamBroken(
        "The connection was cut in the middle of the reply.",
        "Try again; if it goes on, check the endpoint and any proxy between.",
    )


_BAD_ADDRESS = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    ValueError,  # aiohttp's and yarl's word for it
    aiohttp.NonHttpUrlClientError,
    aiohttp.ClientResponseError,  # what answers does not speak HTTP
    httpx2.TooManyRedirects,
)


def _rule_broken(causes: Collection[BaseException]) -> str:
    """Of HTTP, by what begins like an answer; empty for who speaks another protocol."""
    told = next((c.message for c in causes if isinstance(c, aiohttp.ClientResponseError)), "")
    return "" if told.startswith("Bad status line") else told.split(":\n", 1)[0]


def _was_connecting_too_long(causes: Collection[BaseException]) -> bool:
    """On the aiohttp backend a dropped connection looks like a `ConnectTimeout` too: look deeper."""
    if any(isinstance(c, aiohttp.ClientError) for c in causes):
        return any(isinstance(c, aiohttp.ConnectionTimeoutError) for c in causes)
    return any(isinstance(c, httpx2.ConnectTimeout | httpx2.PoolTimeout) for c in causes)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what led to it, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = getattr(current, "os_error", None)  # aiohttp keeps the socket's error here
        if isinstance(inner, BaseException) and id(inner) not in seen:
            seen.add(id(inner))
            yield inner
        current = current.__cause__ or current.__context__
