"""Which addresses are read, decided without a network."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tools.base import ToolError
from pipeline.tools.web.addresses import PORTS, is_public, not_public, readable_url

ROWS = [
    line.split("\t")
    for line in Path("tests/data/ssrf.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
INTERNAL = [
    IPv4Network(n) for n in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
]
FORMS = [
    "http://127.1/", "http://127.0.1/", "http://0/", "http://0x7f000001/", "http://0x7f.1/",
    "http://0177.1/", "http://017700000001/", "http://127.0.0.1./", "http://127.0.0.01/",
    "http://[::]/", "http://[::1]/", "http://[0000::1]/", "http://[::127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/", "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[fec0::1]/",
    "http://[ff02::1]/", "http://[fd00:ec2::254]/", "http://[2606:4700::5efe:7f00:1]/",
    "http://[2001:db8::1]/", "http://192.0.0.192/", "http://198.18.0.1/", "http://240.0.0.1/",
    "http://255.255.255.255/", "http://168.63.129.16/", "http://192.88.99.1/",
    "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://127．0．0．1/", "http://127｡0｡0｡1/",
    "http://ⓛocalhost/", "http://localhost/", "http://a.localhost/", "http://LocalHost:80/",
    "http://metadata.google.internal/", "http://printer.local/", "http://intranet/",
    "http://user@example.com/", "http://user:secret@example.com/", "http://@example.com/",
    "http://example.com%40127.0.0.1/", "http://127.0.0.1%2f@example.com/", "http://%31%32%37.0.0.1/",
    "http://example.com\\@127.0.0.1/", "http:\\\\127.0.0.1/", "http:/127.0.0.1/", "http:127.0.0.1",
    "http:///127.0.0.1/", "http://", "http://:80/", "http://.../", "http://a..b/", "http://-/",
    "http://example.com:0/", "http://example.com:99999/", "http://example.com:6379/",
    "http://example.com:80:80/", "http://example.com:x/", "http://[::1/", "http://::1/",
    "http://exa mple.com/", "http://example.com\r\nHost: 127.0.0.1/", "http://exam\u200bple.com/",
    "http://example.com\u202e/", "http://evil.c℀.example.com/", "http://a／b.example/",
    "http://evil.example＃.internal.example/", "http://example.com＠127.0.0.1/", "http://a？b.example/",
    "file:///etc/passwd", "ftp://example.com/", "data:text/html,x", "view-source:http://example.com/",
    "ws://example.com/", "http+unix://%2Ftmp%2Fs/", "example.com", "", " ", "\x00http://example.com/",
    "http://\ud800.example/", "https://" + "a" * 64 + ".example.com/", "http://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2_000,
]  # fmt: skip
GOOD = {
    "https://example.com/a?b=1#part": "https://example.com/a?b=1",
    "  HTTP://Example.COM./A  ": "http://example.com/A",
    "https://bücher.example/ä": "https://xn--bcher-kva.example/%C3%A4",
    "http://ｅｘａｍｐｌｅ.com/": "http://example.com/",
    "http://8.8.8.8/": "http://8.8.8.8/",
    "http://[2606:4700::1111]/": "http://[2606:4700::1111]/",
    "http://[::ffff:8.8.8.8]/x": None,
    "https://example.com/@someone/post": "https://example.com/@someone/post",
    "https://example.com?q=a@b": None,
    "https://sub_domain.example.com:443/": "https://sub_domain.example.com/",
    "https://日本語.jp/": None,
}


@pytest.mark.parametrize(("verdict", "origin", "url"), ROWS)
def test_the_listed_addresses_are_judged_as_the_list_says(
    verdict: str, origin: str, url: str
) -> None:
    if verdict == "allow":
        assert readable_url(url).host
    else:
        with pytest.raises(ToolError):
            readable_url(url)


@pytest.mark.parametrize("url", FORMS)
def test_other_forms_of_the_same_tricks_are_refused(url: str) -> None:
    with pytest.raises(ToolError):
        readable_url(url)


@pytest.mark.parametrize(("written", "asked"), GOOD.items())
def test_a_good_address_is_asked_for_in_one_form(written: str, asked: str | None) -> None:
    url = readable_url(written)

    assert asked is None or str(url) == asked
    assert str(readable_url(str(url))) == str(url)


@given(st.sampled_from(INTERNAL).flatmap(lambda net: st.integers(int(net[0]), int(net[-1]))))
def test_no_way_of_writing_an_internal_address_is_read(value: int) -> None:
    dotted = str(IPv4Address(value))
    a, b, c, d = (int(part) for part in dotted.split("."))
    wrapped = [
        dotted, str(value), hex(value), f"0{value:o}", f"{a}.{value & 0xFFFFFF}", f"{a}.{b}.{c << 8 | d}",
        f"0x{a:x}.{b}.{c}.0x{d:x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"[::ffff:{dotted}]", f"[::{dotted}]",
        f"[64:ff9b::{dotted}]", f"[{IPv6Address(0x2002 << 112 | value << 80)}]",
        f"[2606:4700::5efe:{dotted}]", f"[2606:4700::200:5efe:{dotted}]",
    ]  # fmt: skip

    for host in wrapped:
        with pytest.raises(ToolError):
            readable_url(f"http://{host}/")


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_wrapping_an_address_never_makes_it_public(address: IPv4Address) -> None:
    public = is_public(str(address))

    assert is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}") == public
    assert not is_public(f"::{address}")
    assert not public or (address.is_global and not address.is_multicast)


@given(st.text(max_size=60))
def test_any_text_is_a_good_address_or_refused_in_words(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}.example.com/", f"http://example.com{text}"):
        with suppress(ToolError):
            read = readable_url(url)
            assert read.scheme in ("http", "https")
            assert read.port in PORTS
            assert read.user is None
            assert read.raw_host is not None
            assert read.raw_host.isascii()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "localhost", "db.internal", "[::1]", "0x7f.1"]
)
def test_every_address_that_is_not_public_gets_the_same_words(host: str) -> None:
    with pytest.raises(ToolError) as refused:
        readable_url(f"http://{host}/")

    assert str(refused.value) == str(not_public())
