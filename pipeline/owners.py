"""Decide who is asking, and so whose runs they see. No I/O: values in, values out.

An owner is one word that a run is stored with. `pages/_owner.py` and `app.py` gather what is known
of a visit; `store.py` compares. `docs/who-sees-what.md` says the same for people.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from pipeline.models import LOCAL_OWNER

COOKIE_NAME: Final = "gantry_visitor"
RANDOM_BYTES: Final = 32
_RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes, as `token_urlsafe` writes them
_FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Owners(StrEnum):
    """How owners are told apart (`GANTRY_OWNERS`)."""

    AUTO = "auto"  # login where one is configured, local on this machine, else cookie
    LOCAL = "local"  # one owner: whoever reaches the page sees every run started on it
    COOKIE = "cookie"  # one owner per browser
    LOGIN = "login"  # one owner per signed-in person


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a provider says this is. Its own word for the person, not the address they may change."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Visit:
    """What is known of whoever asks.

    `bind` is the address the server listens on (empty: all), `host` the one the browser asked
    for (empty: no browser, as in a script).
    """

    bind: str = ""
    host: str = ""
    is_forwarded: bool = False
    cookie: str = ""
    login_configured: bool = False
    user: SignedIn | None = None

    @classmethod
    def of(
        cls,
        headers: Mapping[str, str],
        cookies: Mapping[str, str],
        *,
        bind: str,
        login_configured: bool,
        user: SignedIn | None = None,
    ) -> Visit:
        """`headers` are looked up in lower case; Starlette's and Streamlit's take any."""
        return cls(
            bind=bind,
            host=headers.get("host", ""),
            is_forwarded=any(name.lower() in _FORWARDING for name in headers),
            cookie=cookies.get(COOKIE_NAME, ""),
            login_configured=login_configured,
            user=user,
        )


def way_of(setting: Owners, visit: Visit) -> Owners:
    """How this visit's owner is found; never `AUTO`.

    A server on loopback is one person's, unless something stands between it and the browser: then
    the browser asked for another name, or the request says that it was passed on.
    """
    if setting is not Owners.AUTO:
        return setting
    if visit.login_configured:
        return Owners.LOGIN
    is_here = _is_loopback(visit.bind) and (not visit.host or _is_loopback(_name(visit.host)))
    return Owners.LOCAL if is_here and not visit.is_forwarded else Owners.COOKIE


def owner_of(setting: Owners, visit: Visit) -> str | None:
    """The owner; None for somebody who must sign in or accept a cookie first."""
    match way_of(setting, visit):
        case Owners.LOCAL:
            return LOCAL_OWNER
        case Owners.LOGIN:
            return None if visit.user is None else _owner("user", _joined(visit.user))
        case _:
            return _owner("browser", visit.cookie) if is_cookie(visit.cookie) else None


def new_cookie() -> str:
    return secrets.token_urlsafe(RANDOM_BYTES)


def is_cookie(value: str) -> bool:
    """True for what `new_cookie` may have made."""
    return _RANDOM.fullmatch(value) is not None


def new_share_token() -> str:
    """What a link carries: enough random bits that nobody finds another's."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def is_share_token(value: str) -> bool:
    return _RANDOM.fullmatch(value) is not None


def share_hash(token: str) -> str:
    """What is kept of a link: enough to know it again, not enough to make it."""
    return hashlib.sha256(f"share:{token}".encode()).hexdigest()


def _owner(kind: str, secret: str) -> str:
    # a hash: who reads the database must not be able to come back as that browser
    return f"{kind}-{hashlib.sha256(f'{kind}:{secret}'.encode()).hexdigest()}"


def _joined(user: SignedIn) -> str:
    return f"{len(user.issuer)}:{user.issuer}{user.subject}"


def _is_loopback(address: str) -> bool:
    if address.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """The host without its port; empty when it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
