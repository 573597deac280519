"""Whose runs a page shows: what Streamlit knows of the visit, handed to `pipeline/owners.py`.

Every question a page, a callback or a route asks the runtime goes with `owner()` or
`owner_of_request`. Nothing else may say who an owner is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from starlette.requests import HTTPConnection

from pipeline.errors import SpecError, UnknownVisitor
from pipeline.owners import Owners, SignedIn, Visit, owner_of, way_of
from pipeline.settings import load_settings
from pipeline.web.access import read_owner

_SIGN_IN = "Sign in on the page first."
_NO_COOKIE = "Allow cookies for this address and reload the page."
_FROM_PAGE = "Open it from the page: the link in “Calls and limits” is good for a minute."


def owner() -> str:
    """The owner of this browser session's runs.

    Raises `UnknownVisitor` with what to do for somebody who has none yet.
    """
    return _known(page_visit())


def is_known() -> bool:
    """True when this session has an owner; else it must sign in, or accept a cookie, first."""
    return owner_of(load_settings().owners, page_visit()) is not None


def owner_of_request(request: HTTPConnection, secret: Callable[[], bytes]) -> str:
    """As `owner`, for a route: by the token that a page signed with `secret`, else by the request.

    Who signed in is known to pages only, so where people sign in the token is needed. Nothing
    tells a token that is missing, wrong, too old or somebody else's apart.
    """
    token, visit = request.query_params.get("token"), request_visit(request)
    if token is None and way_of(load_settings().owners, visit) is not Owners.LOGIN:
        return _known(visit)
    found = read_owner(token or "", secret())
    if found is None or not may_be_of(found, request):
        raise UnknownVisitor("It is not known who is asking.", _FROM_PAGE)
    return found


def may_be_of(of_token: str, request: HTTPConnection) -> bool:
    """False when a token of an owner comes from somebody else's browser.

    A token without an owner is of a link, which anybody may have. Who is signed in only pages
    know; then the token itself, which lives a minute, has to do.
    """
    setting, visit = load_settings().owners, request_visit(request)
    if not of_token or way_of(setting, visit) is Owners.LOGIN:
        return True
    return owner_of(setting, visit) == of_token


def way() -> Owners:
    """How this session's owner is found."""
    return way_of(load_settings().owners, page_visit())


def wants_cookie(request: HTTPConnection) -> bool:
    """True when this visitor's browser is told apart by a cookie."""
    try:
        setting = load_settings().owners
    except SpecError:
        return False  # the page says what is wrong; nobody has runs until it is put right
    return way_of(setting, request_visit(request)) is Owners.COOKIE


def page_visit() -> Visit:
    context = st.context
    return _visit(context.headers, context.cookies, _signed_in())


def request_visit(request: HTTPConnection) -> Visit:
    return _visit(request.headers, request.cookies, None)


def sign_in_providers() -> list[str]:
    """The names `st.login` takes; an empty one is the one provider without a name."""
    auth = _auth()
    named = [name for name, value in auth.items() if isinstance(value, Mapping)]
    return named if "client_id" not in auth else ["", *named]


def signed_in_as() -> str:
    """What a person calls themselves, to show them; no part of who they are to us."""
    user = st.user.to_dict()
    return str(user.get("email") or user.get("name") or "signed in")


def _known(visit: Visit) -> str:
    setting = load_settings().owners
    found = owner_of(setting, visit)
    if found is None:
        login = way_of(setting, visit) is Owners.LOGIN
        raise UnknownVisitor(
            "It is not known whose runs these are.", _SIGN_IN if login else _NO_COOKIE
        )
    return found


def _visit(headers: Mapping[str, str], cookies: Mapping[str, str], user: SignedIn | None) -> Visit:
    return Visit.of(
        headers,
        cookies,
        bind=st.get_option("server.address") or "",
        login_configured=bool(_auth()),
        user=user,
    )


def sign_in_problem() -> str:
    """Why somebody whom a provider has signed in is still nobody here; empty when they are not."""
    user = st.user.to_dict()
    if user.get("is_logged_in") is not True or _signed_in() is not None:
        return ""
    return (
        "The sign-in provider's token does not say who you are, or is not meant for this app: "
        "`iss`, `sub` and an `aud` that holds the client id are needed."
    )


def _signed_in() -> SignedIn | None:
    user = st.user.to_dict()
    issuer, subject = user.get("iss"), user.get("sub")
    if user.get("is_logged_in") is not True or not issuer or not subject or not _is_for_us(user):
        return None
    return SignedIn(str(issuer), str(subject))


def _is_for_us(user: Mapping[str, Any]) -> bool:
    """False for a token made for another app; Streamlit's library takes some of those."""
    auth = _auth()
    section = auth.get(str(user.get("provider", "")), {})
    client_id = section.get("client_id") if isinstance(section, Mapping) else None
    audience = user.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    return (client_id or auth.get("client_id")) in audiences


def _auth() -> Mapping[str, Any]:
    """The `[auth]` section of the secrets; empty without one."""
    try:
        section = st.secrets.get("auth")
    except FileNotFoundError:
        return {}
    return section if isinstance(section, Mapping) else {}
