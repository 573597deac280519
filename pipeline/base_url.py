"""An endpoint's address: which ones are taken, and what of them people may see. Pure, no I/O.

Whether anything answers there is found out by asking (`llm/endpoint.py`).
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from pipeline.errors import SpecError

OPENAI_URL = "https://api.openai.com/v1"  # what an empty address means

_HOW = "Write it like https://host/v1."


def check_base_url(url: str) -> str:
    """Return `url` trimmed. Raises `SpecError` in words that repeat nothing secret of it.

    User names and queries are refused: they are where credentials hide, a run's address is stored
    and shown, and the client would put the path of a call behind the query.
    """
    url = url.strip()
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not _is_host(parts):
        raise SpecError("The base URL is not the address of an endpoint.", _HOW)
    if "@" in parts.netloc:
        raise SpecError(
            f"The base URL of {address(url)} holds a user name or password.",
            f"{_HOW} The key belongs into OPENAI_API_KEY, or into the field for it.",
        )
    if parts.query or parts.fragment:
        raise SpecError(
            f"The base URL of {address(url)} ends in a query or fragment (`?…` or `#…`), which "
            "calls cannot carry.",
            f"{_HOW} The key belongs into OPENAI_API_KEY, or into the field for it.",
        )
    return url


def address(base_url: str | None) -> str:
    """The address as people may see it: without user name, password and query."""
    try:
        parts = urlsplit(base_url or OPENAI_URL)
    except ValueError:
        return "the base URL"
    if not parts.scheme or not parts.netloc:
        return "the base URL"  # no telling what stands where in it
    port = _port(parts)
    shown = f"{parts.scheme}://{parts.hostname or ''}{f':{port}' if port else ''}{parts.path}"
    return shown.rstrip("/")


def same_base_url(one: str | None, other: str | None) -> bool:
    """True when calls to either go to the same place; a slash at the end is nothing."""
    return (one or OPENAI_URL).strip().rstrip("/") == (other or OPENAI_URL).strip().rstrip("/")


def _split(url: str) -> SplitResult | None:
    """The parts, the port readable; None for what is no address at all."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed only when it is read
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _is_host(parts: SplitResult) -> bool:
    """False for a missing name and for one with spaces, control or direction characters."""
    host = parts.hostname or ""
    if not host or not host.isprintable() or any(sign.isspace() for sign in host):
        return False
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False
