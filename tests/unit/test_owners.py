"""Who is asking: one table of visits, and what no visit can do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import LOCAL_OWNER
from pipeline.owners import (
    COOKIE_NAME,
    Owners,
    SignedIn,
    Visit,
    is_share_token,
    new_cookie,
    new_share_token,
    owner_of,
    share_hash,
    way_of,
)

HERE = Visit(bind="127.0.0.1", host="localhost:8501")
ANN = SignedIn("https://id.example", "ann")


@pytest.mark.parametrize(
    ("visit", "way"),
    [
        (HERE, Owners.LOCAL),
        (Visit(bind="localhost", host="127.0.0.1:8501"), Owners.LOCAL),
        (Visit(bind="::1", host="[::1]:8501"), Owners.LOCAL),
        (Visit(bind="127.0.0.1"), Owners.LOCAL),  # no browser: a script
        (Visit(bind="127.0.0.1", host="gantry.example"), Owners.COOKIE),  # a proxy, or rebinding
        (Visit(bind="127.0.0.1", host="localhost.evil.example"), Owners.COOKIE),
        (Visit(bind="127.0.0.1", host="["), Owners.COOKIE),
        (replace(HERE, is_forwarded=True), Owners.COOKIE),
        (Visit(bind="0.0.0.0", host="localhost:8501"), Owners.COOKIE),
        (Visit(bind="", host="localhost:8501"), Owners.COOKIE),  # Streamlit's word for everywhere
        (replace(HERE, login_configured=True), Owners.LOGIN),
    ],
)
def test_how_an_owner_is_found_when_nothing_is_set(visit: Visit, way: Owners) -> None:
    assert way_of(Owners.AUTO, visit) is way


@pytest.mark.parametrize("setting", [Owners.LOCAL, Owners.COOKIE, Owners.LOGIN])
def test_what_is_set_holds_wherever_the_visit_comes_from(setting: Owners) -> None:
    assert way_of(setting, HERE) is setting
    assert way_of(setting, Visit(host="gantry.example")) is setting


def test_one_person_on_one_machine_is_the_command_lines_owner() -> None:
    assert owner_of(Owners.AUTO, HERE) == LOCAL_OWNER


def test_a_browser_keeps_its_owner_and_no_other_has_it() -> None:
    one, other = Visit(cookie=new_cookie()), Visit(cookie=new_cookie())

    assert owner_of(Owners.COOKIE, one) == owner_of(Owners.COOKIE, one)
    assert owner_of(Owners.COOKIE, one) != owner_of(Owners.COOKIE, other)
    assert one.cookie not in str(owner_of(Owners.COOKIE, one))


@given(st.text(max_size=60))
def test_a_cookie_that_we_did_not_make_is_nobody(cookie: str) -> None:
    assert owner_of(Owners.COOKIE, Visit(cookie=cookie)) is None


@pytest.mark.parametrize("setting", [Owners.COOKIE, Owners.LOGIN])
def test_nobody_can_say_they_are_local(setting: Owners) -> None:
    visit = Visit(cookie=LOCAL_OWNER, user=SignedIn("", LOCAL_OWNER))

    assert owner_of(setting, visit) != LOCAL_OWNER


def test_whoever_must_sign_in_is_nobody_whatever_cookie_they_have() -> None:
    assert owner_of(Owners.LOGIN, replace(HERE, cookie=new_cookie())) is None


@given(st.text(), st.text(), st.text(), st.text())
def test_two_people_are_one_owner_only_when_provider_and_word_are_the_same(
    issuer: str, subject: str, other_issuer: str, other_subject: str
) -> None:
    one, other = SignedIn(issuer, subject), SignedIn(other_issuer, other_subject)
    owners = [owner_of(Owners.LOGIN, Visit(user=user)) for user in (one, other)]

    assert (owners[0] == owners[1]) == (one == other)


def test_a_visit_is_read_from_headers_and_cookies() -> None:
    visit = Visit.of(
        {"host": "gantry.example", "x-forwarded-for": "203.0.113.9"},
        {COOKIE_NAME: "word"},
        bind="127.0.0.1",
        login_configured=False,
        user=ANN,
    )

    assert visit == Visit("127.0.0.1", "gantry.example", True, "word", False, ANN)


def test_what_is_kept_of_a_link_is_not_the_link() -> None:
    token = new_share_token()

    assert is_share_token(token)
    assert token not in share_hash(token)
    assert share_hash(token) != share_hash(new_share_token())
