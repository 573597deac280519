"""What somebody sees who has no runs of their own yet: a button to sign in, or why a cookie is missing.

Also who is signed in, and the way out.
"""

from __future__ import annotations

from importlib.util import find_spec

import streamlit as st

from pages._owner import is_known, sign_in_problem, sign_in_providers, signed_in_as, way
from pages._text import escaped
from pipeline.errors import GantryError
from pipeline.owners import Owners


def may_look_around() -> bool:
    """False for somebody who finds nothing behind any page yet."""
    try:
        return is_known()
    except GantryError:
        return True  # the page says what is wrong, whichever it is


def draw_door() -> None:
    """In place of a page, while nobody is known."""
    if way() is Owners.LOGIN:
        _sign_in()
    else:
        st.warning(
            "**Gantry knows your runs by a cookie, and your browser sent none.** Allow cookies for "
            "this address and reload the page.",
            icon=":material/cookie_off:",
        )


def draw_account() -> None:
    """Who is signed in, and the way out; nothing where nobody signs in."""
    if way() is not Owners.LOGIN:
        return
    with st.container(
        horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="account"
    ):
        st.caption(escaped(signed_in_as()), width="content")
        _sign_out()


def _sign_out() -> None:
    st.button(
        "Sign out", key="sign_out", icon=":material/logout:", type="tertiary", on_click=st.logout
    )


def _sign_in() -> None:
    st.title("Gantry", anchor=False)
    if problem := sign_in_problem():
        st.error(problem, icon=":material/error:")
        _sign_out()
        return
    providers = sign_in_providers()
    if not providers:
        st.error(
            "**Nobody can sign in yet.** `GANTRY_OWNERS` is `login`, and no provider is configured: "
            "write the `[auth]` section of `.streamlit/secrets.toml`, or set `GANTRY_OWNERS=auto`.",
            icon=":material/error:",
        )
        return
    if find_spec("authlib") is None:
        st.error(
            "**Signing in needs an extra that is not installed.** Run "
            "`pip install --require-hashes -r requirements-extras.txt`, and start Gantry again.",
            icon=":material/error:",
        )
        return
    st.write("Sign in to see your runs and to start new ones.")
    for number, name in enumerate(providers):
        st.button(
            f"Sign in with {escaped(name)}" if name else "Sign in",
            key=f"sign_in_{number}",
            type="primary",
            icon=":material/login:",
            on_click=st.login,
            args=(name,) if name else (),
        )
