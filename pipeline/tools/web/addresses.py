"""Decide which addresses may be read. Pure: nothing is resolved and nothing is opened here.

`readable_url` judges an address as written, `is_public` one IP address. The second is asked again
with the very address a connection goes to (`opener.py`); the first alone would promise nothing.

`ipaddress.is_global` is not enough. By the Python versions in use it calls global, or leaves open:
multicast (224.0.0.0/4, ff00::/8), site-local fec0::/10, 6to4 2002::/16 and NAT64 64:ff9b::/96 whatever
they wrap, the local NAT64 prefix 64:ff9b:1::/48, IPv4-compatible ::/96, 192.88.99.0/24 and parts of
192.0.0.0/24, ISATAP. So IPv6 is taken only inside 2000::/3, and what carries an IPv4 address is
judged by that address or refused.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

from pipeline.tools.base import ToolError

URL_MAX_CHARS = 2_000
# What websites use: those of the schemes, and the two that stand in for them.
PORTS = frozenset({80, 443, 8080, 8443})

_BEGINNING = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)", re.IGNORECASE)
_UNSEEN = re.compile(
    r"[\s\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*|0o[0-7]*")
_LOCAL_NAMES = re.compile(
    r"(?:.*\.)?(?:localhost|localdomain|local|internal|intranet|lan|home|corp|private|home\.arpa|onion)"
)
_NOT_V4 = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; some clouds keep their metadata here
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "168.63.129.16/32",  # a cloud's own services, on an address that looks public
    )
)
_V6 = IPv6Network("2000::/3")
_NOT_V6 = tuple(
    IPv6Network(net)
    for net in (
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: out of use, and may wrap anything
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = {0x0000_5EFE, 0x0200_5EFE}


def not_public() -> ToolError:
    """One wording for every address that is not public, known or not: it tells nobody what exists."""
    return ToolError(
        "This address does not lead to a public web page, so it was not read.",
        "The name is unknown, or belongs to a private or reserved network. Use a page on the public web.",
    )


def readable_url(raw: str) -> URL:
    """The address in the form it is asked for: host in ASCII, no last dot, no fragment.

    Raises `ToolError` for anything but http or https to a public host name or address on `PORTS`.
    A host name may still resolve to what is not public.
    """
    raw = raw.strip()
    if len(raw) > URL_MAX_CHARS:
        raise ToolError(
            f"The address is longer than {URL_MAX_CHARS:,} characters.", "Use a shorter address."
        )
    if "\\" in raw or _UNSEEN.search(raw):
        raise ToolError(
            "The address has spaces, backslashes or characters that cannot be seen.",
            "Send the address as a browser shows it.",
        )
    beginning = _BEGINNING.match(raw)
    if beginning is None:
        raise ToolError(
            "Only addresses that begin with http:// or https:// are read.",
            "Send the whole address of a web page.",
        )
    authority = _plain_authority(beginning["authority"])
    url = _parsed(f"{beginning['scheme'].lower()}://{authority}{raw[beginning.end() :]}")
    if url.port not in PORTS:
        raise ToolError(
            "Pages are read only on the ports of web servers.",
            f"These are {', '.join(map(str, sorted(PORTS)))}.",
        )
    host = (url.raw_host or "").lower().removesuffix(".")
    _check_host(host)
    return url.with_host(host).with_fragment(None)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to a host that anybody on the internet may reach.

    `address` as the system writes it; one with a zone (`fe80::1%eth0`) or in another form is not.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _is_public_v4(parsed)
    return parsed.scope_id is None and _is_public_v6(parsed)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not any(address in net for net in _NOT_V4)


def _is_public_v6(address: IPv6Address) -> bool:
    inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or address in _NAT64:
        return _is_public_v4(inner)
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP and not _is_public_v4(inner):
        return False
    return address in _V6 and address.is_global and not any(address in net for net in _NOT_V6)


def _plain_authority(written: str) -> str:
    """Host and port with full-width letters, digits and dots made plain."""
    if "@" in written or "%" in written:
        raise ToolError(
            "The address carries a user name, or a host in percent signs.",
            "Send it with the plain host name after the two slashes.",
        )
    plain = unicodedata.normalize("NFKC", written).replace("\u3002", ".")
    if plain != written and re.search(
        r"[\s/?#@:%\\\[\]]", plain.replace(":", "", written.count(":"))
    ):
        raise _no_host()  # a sign that looks like part of a name and is none
    return plain


def _parsed(text: str) -> URL:
    try:
        url = URL(text)
        if url.raw_host is None or url.port is None:
            raise _no_host()
    except ValueError as error:
        raise _no_host() from error
    return url


def _check_host(host: str) -> None:
    if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        # 127.1, 2130706433, 0x7f.0.0.1 and 0177.0.0.1 are no addresses here: `is_public` is strict
        if not is_public(host):
            raise not_public()
        return
    if "." not in host or _LOCAL_NAMES.fullmatch(host):
        raise not_public()
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise _no_host()


def _no_host() -> ToolError:
    return ToolError(
        "The address has no valid host name.", "Send the address as a browser shows it."
    )
