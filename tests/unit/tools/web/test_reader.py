"""The reader against real servers with made-up names: what it connects to, takes and makes of it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from pipeline.tools.base import ToolError
from pipeline.tools.web import GuardedReader
from pipeline.tools.web import reader as reader_module
from pipeline.tools.web.addresses import not_public
from pipeline.tools.web.opener import AGENT
from tests.unit.tools.web.lab import PUBLIC, Lab, opened_lab

pytestmark = pytest.mark.slow

INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "fe80::1",
]


@pytest.fixture
async def lab() -> AsyncIterator[tuple[Lab, GuardedReader]]:
    async with opened_lab() as opened:
        opened[0].site("site.example")
        yield opened


Pair = tuple[Lab, GuardedReader]


async def refusal(reader: GuardedReader, url: str) -> ToolError:
    with pytest.raises(ToolError) as refused:
        await reader.read(url)
    assert refused.value.message
    assert refused.value.hint
    return refused.value


async def test_a_page_is_read_with_headings_title_publisher_and_date(lab: Pair) -> None:
    net, reader = lab
    net.page("site.example/bees")

    page = await reader.read("http://site.example/bees#spring")

    assert (page.url, page.publisher) == ("http://site.example/bees", "The Hive")
    assert page.published == "2024-03-05"
    assert "Bees" in page.title
    assert "## Spring" in page.text
    assert "Home" not in page.text
    assert net.connected == [PUBLIC]
    assert all(AGENT in agent for agent in net.agents)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_refused_before_any_connection(
    lab: Pair, address: str
) -> None:
    net, reader = lab
    net.site("rebound.example", address)
    net.site("mixed.example", PUBLIC, address)
    net.site("mixed-too.example", address, PUBLIC)
    words = {str(await refusal(reader, "http://unknown.example/"))}

    for name in ("rebound", "mixed", "mixed-too"):
        words.add(str(await refusal(reader, f"http://{name}.example/")))

    assert words == {str(not_public())}
    assert net.connected == []


async def test_a_second_answer_is_judged_like_the_first(lab: Pair) -> None:
    net, reader = lab
    net.names["turns.example"] = [[PUBLIC], ["127.0.0.1"]]
    net.page("turns.example/", headers={"Connection": "close"})
    net.page(
        "turns.example/robots.txt", "", content_type="text/plain", headers={"Connection": "close"}
    )

    await refusal(reader, "http://turns.example/")

    assert net.connected == [PUBLIC]
    assert net.asked == ["turns.example/robots.txt"]


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1/", "//127.0.0.1/", "http://inside.example/", "http://[::1]/", "http://2130706433/",
        "file:///etc/passwd", "gopher://site.example/", "javascript:alert(1)", "http://u:p@site.example/x",
        "http://site.example:22/", "http://site.example\\@127.0.0.1/", "\\\\127.0.0.1\\x", "http://[::1",
        "data:text/html,x", "http://localhost./", "https://0/", "//metadata.google.internal/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [301, 307])
async def test_a_redirect_to_what_may_not_be_read_is_refused(
    lab: Pair, to: str, status: int
) -> None:
    net, reader = lab
    net.site("inside.example", "192.168.0.7")
    net.redirect("site.example/go", to, status)

    await refusal(reader, "http://site.example/go")

    assert set(net.connected) == {PUBLIC}
    assert set(net.asked) == {"site.example/robots.txt", "site.example/go"}


async def test_a_socket_is_never_opened_to_an_inner_address_whatever_was_checked_before(
    lab: Pair,
) -> None:
    """The last gate alone: the session is asked for a literal address, past every other check."""
    net, reader = lab
    session = reader._open()
    try:
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"):
            with pytest.raises(ToolError):
                await session.get(f"http://{host}/")
    finally:
        await session.close()

    assert net.connected == []


async def test_redirects_are_followed_five_times(lab: Pair) -> None:
    net, reader = lab
    net.site("other.example", "1.1.1.1")
    for step in range(9):
        net.redirect(f"site.example/{step}", f"/{step + 1}")
    net.redirect("site.example/out", "http://other.example/bees")
    net.page("other.example/bees")
    net.page("site.example/9")

    assert (await reader.read("http://site.example/4")).url == "http://site.example/9"
    assert (await reader.read("http://site.example/out")).url == "http://other.example/bees"
    assert "more than 5 times" in str(await refusal(reader, "http://site.example/3"))


async def test_robots_txt_is_obeyed_and_asked_for_once(lab: Pair) -> None:
    net, reader = lab
    rules = f"User-agent: *\nDisallow: /private\n\nUser-agent: {AGENT}\nDisallow: /not-you\n"
    net.page("site.example/robots.txt", rules, content_type="text/plain")
    net.page("site.example/private")
    net.page("site.example/not-you")

    await reader.read("http://site.example/private")

    assert "robots.txt" in str(await refusal(reader, "http://site.example/not-you"))
    assert net.asked.count("site.example/robots.txt") == 1
    assert "site.example/not-you" not in net.asked


@pytest.mark.parametrize(
    ("status", "is_read"), [(404, True), (403, True), (500, False), (503, False)]
)
async def test_a_site_without_rules_is_read_and_one_that_cannot_tell_is_not(
    lab: Pair, status: int, is_read: bool
) -> None:
    net, reader = lab
    net.page("site.example/robots.txt", "", status=status)
    net.page("site.example/bees")

    if is_read:
        await reader.read("http://site.example/bees")
    else:
        assert "robots.txt" in str(await refusal(reader, "http://site.example/bees"))


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda b: zlib.compress(b)[2:-4]),
    ],
)
async def test_a_packed_page_is_read_and_a_bomb_is_not(lab: Pair, encoding: str, pack) -> None:  # type: ignore[no-untyped-def]
    net, reader = lab
    from tests.unit.tools.web.lab import ARTICLE

    net.page("site.example/packed", pack(ARTICLE.encode()), headers={"Content-Encoding": encoding})
    net.page("site.example/bomb", pack(bytes(50_000_000)), headers={"Content-Encoding": encoding})

    assert "## Spring" in (await reader.read("http://site.example/packed")).text
    assert "larger than 2 MB" in str(await refusal(reader, "http://site.example/bomb"))


async def test_what_is_no_page_is_refused_each_in_its_own_words(lab: Pair) -> None:
    net, reader = lab
    net.page("site.example/pdf", b"%PDF-1.7", content_type="application/pdf")
    net.page("site.example/image", b"\x89PNG", content_type="image/png")
    net.page("site.example/brotli", b"x", headers={"Content-Encoding": "br"})
    net.page("site.example/broken", b"\x00\x01nothing", headers={"Content-Encoding": "gzip"})
    net.page(
        "site.example/cut",
        gzip.compress(b"<p>a</p>" * 99)[:-9],
        headers={"Content-Encoding": "gzip"},
    )
    net.page("site.example/large", b"a" * 3_000_000)
    net.page("site.example/empty", b"")
    net.page("site.example/scripts", "<html><body><script>go()</script></body></html>")
    for status in (401, 418, 429, 500):
        net.page(f"site.example/{status}", status=status)

    words = {where: str(await refusal(reader, f"http://{where}")) for where in net.pages}
    words["missing"] = str(await refusal(reader, "http://site.example/missing"))

    assert len(set(words.values())) == len(words) - 2  # broken is cut, empty is scripts


async def test_plain_text_and_foreign_charsets_are_read(lab: Pair) -> None:
    net, reader = lab
    text = "# Käse\n\nHöhle, Größe und Öl."
    net.page("site.example/utf8", text, content_type="text/markdown")
    net.page(
        "site.example/latin", text.encode("cp1252"), content_type="text/plain", charset="latin-1"
    )
    net.page("site.example/untold", text.encode("cp1252"), content_type="text/plain")
    net.page("site.example/odd", text, content_type="text/plain", charset="idna")
    net.page(
        "site.example/utf16",
        "\ufeff".encode("utf-16-le") + text.encode("utf-16-le"),
        content_type="text/plain",
    )

    for where in list(net.pages):
        page = await reader.read(f"http://{where}")
        assert (page.text, page.title, page.publisher) == (text, "Käse", "site.example")


async def test_the_text_of_a_page_holds_nothing_that_cannot_be_seen(lab: Pair) -> None:
    net, reader = lab
    net.page(
        "site.example/", "a\x00b\x1b[31m c\u202ed\u2066e\x85f \ufefftext", content_type="text/plain"
    )

    assert (await reader.read("http://site.example/")).text == "ab[31m cdef text"


async def test_a_page_that_takes_too_long_is_given_up(
    lab: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, reader = lab
    monkeypatch.setattr(reader_module, "FETCH_S", 0.3)
    released = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response(text="late")

    net.pages["site.example/slow"] = drip

    assert "more than 0.3 seconds" in str(await refusal(reader, "http://site.example/slow"))
    released.set()


async def test_a_site_sees_two_connections_at_most(lab: Pair) -> None:
    net, reader = lab
    now, most = 0, 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(20):
            await asyncio.sleep(0)
        now -= 1
        return web.Response(text="Some words to read.")

    for number in range(8):
        net.pages[f"site.example/{number}"] = count
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(reader.read(f"http://site.example/{number}"))

    assert most <= 2


async def test_a_site_that_is_not_there_is_said_to_be_silent(lab: Pair) -> None:
    net, reader = lab
    net.port = 9  # nothing listens on it

    assert "did not answer" in str(await refusal(reader, "http://site.example/"))
