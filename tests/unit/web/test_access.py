"""Tokens for a run's socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.web.access import Grant, read, sign

SECRET, OTHER = b"s" * 32, b"o" * 32
GRANT = Grant("r1", owner="ann")


@given(st.text(), st.text(), st.text())
def test_a_token_says_what_was_signed(run_id: str, owner: str, share: str) -> None:
    grant = Grant(run_id, owner, share)

    assert read(sign(grant, SECRET), SECRET) == grant


def test_a_token_of_another_installation_says_nothing() -> None:
    assert read(sign(GRANT, OTHER), SECRET) is None


def test_a_token_that_is_too_old_says_nothing() -> None:
    assert read(sign(GRANT, SECRET), SECRET, life_s=-1) is None


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_token_says_nothing(position: int, sign_: str) -> None:
    token = sign(GRANT, SECRET)
    position %= len(token) - 1  # the last character of base64 holds bits that nobody reads
    changed = token[:position] + sign_ + token[position + 1 :]

    assert changed == token or read(changed, SECRET) is None


@pytest.mark.parametrize("token", ["", ".", "a.b.c", "\x00", "💡", "null", "x" * 100_000])
def test_what_is_no_token_says_nothing(token: str) -> None:
    assert read(token, SECRET) is None


def test_an_owner_and_somebody_with_a_link_do_not_watch_the_same_view() -> None:
    assert Grant("r1", owner="ann").view != Grant("r1", share="hash").view
