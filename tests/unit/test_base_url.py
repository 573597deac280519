"""Which addresses are taken, and what of them people may see."""

from __future__ import annotations

import pytest

from pipeline.base_url import address, check_base_url, same_base_url
from pipeline.errors import SpecError


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:8000/v1/",
        "http://[::1]:8000/v1",
        "http://ollama:11434/v1",
        "https://bücher.example/v1",
        "https://host.example",
    ],
)
def test_an_address_is_taken_as_it_is(url: str) -> None:
    assert check_base_url(f" {url} ") == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost/v1",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://[host/v1",
        "http://a b/v1",
        "http://a\u202eb/v1",
        "http://a\x00b/v1",
        "http://a..b/v1",
        f"http://{'a' * 70}/v1",
        "CANARY@host/v1",
        "user:CANARY@host/v1",
        "http://CANARY@host/v1",
        "https://user:CANARY@host/v1",
        "https://host/v1?api-key=CANARY",
        "https://host/v1#CANARY",
        "http://user:CANARY@host:port/v1",
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SpecError, match="base URL") as caught:
        check_base_url(url)

    assert "https://host/v1" in caught.value.hint
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8443/v1/?key=1", "https://host:8443/v1"),
        ("http://host/", "http://host"),
        ("http://host:port/v1", "http://host/v1"),
        ("http://[bad/v1", "the base URL"),
        ("user:pw@host/v1", "the base URL"),
        (None, "https://api.openai.com/v1"),
    ],
)
def test_an_address_is_shown_without_what_is_private(url: str | None, shown: str) -> None:
    assert address(url) == shown


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://host/v1", "http://host/v1/", True),
        (None, "https://api.openai.com/v1", True),
        (None, "http://host/v1", False),
        ("http://host/v1", "http://host/v2", False),
        ("http://host/v1", "https://host/v1", False),
    ],
)
def test_two_spellings_of_one_place_are_the_same(
    one: str | None, other: str | None, same: bool
) -> None:
    assert same_base_url(one, other) is same
